"""The field `unsubscribe` of an email: how its recipients get out.

    "unsubscribe": true                                  of all that the tenant sends, by our page
    "unsubscribe": {"audience_id": "aud_..."}            of one list, by our page
    "unsubscribe": {"url": "https://...", "one_click": true}   by a page of the app's own

Not here: the header fields made of it (mta/entry_marks.py).
"""

from __future__ import annotations

from control_api.fields import Fields
from mta.core.unsubscribe import MAX_SCOPE, MAX_URL, UnsubscribeOffer, header_fields


def read_offer(fields: Fields) -> UnsubscribeOffer | None:
    """Take the field; None when it is not there, false, or wrong."""
    value = fields.take("unsubscribe")
    if value is None or isinstance(value, bool):
        return UnsubscribeOffer() if value else None
    inside = Fields(value, fields.errors, "unsubscribe")
    url, scope = inside.text("url", MAX_URL), inside.text("audience_id", MAX_SCOPE)
    one_click = inside.take("one_click")
    if one_click is not None and not isinstance(one_click, bool):
        inside.fail("one_click", "invalid_type", "Expected true or false.")
    if url and scope:
        inside.fail("url", "conflict", "Give url or audience_id, not both.")
    if len(scope.encode()) > MAX_SCOPE:
        inside.fail("audience_id", "too_long", f"At most {MAX_SCOPE} bytes are allowed.")
    if url and not _is_usable(url):
        inside.fail("url", "invalid_url", "Expected an http or https URL without spaces or commas.")
    inside.finish()
    return UnsubscribeOffer(scope, url, one_click is not False)


def _is_usable(url: str) -> bool:
    try:
        header_fields(url, None)
    except ValueError:
        return False
    return True
