"""Suppressions: addresses that mail no longer goes to."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    JSON,
    PAGE,
    SINCE,
    TOTAL,
    Schema,
    Spec,
    array,
    body,
    given,
    identifier,
    listing,
    number,
    or_null,
    query,
    ref,
    resource,
    text,
    time,
    wish,
)

_TAG = "Suppressions"
CSV = "text/csv"
_REASON = text("A word; `manual` unless given.", maxLength=64)
_DETAILS: Mapping[str, Schema] = {
    "reason": _REASON,
    "expires_at": time("When it ends; null: never."),
}
_EMAIL = text("The address.")
_RULE = query("rule", "Only by this rule: of the bounce rules, or the id of an import.")
_FILTERS = (query("reason", "Only for this reason."), _RULE, SINCE)
_SEARCH = query("q", "Only addresses with this in them.")
COMPONENTS: Mapping[str, Schema] = {
    "Suppression": resource(
        "suppression",
        {
            "id": identifier("sup"),
            "email": _EMAIL,
            "reason": text("Such as `bounce`, `complaint`, `manual`."),
            "rule": or_null(text("The rule that matched, or the id of the import.")),
            "event_id": or_null(identifier("ev")),
            "email_id": or_null(identifier("em")),
            "created_at": time(),
            "expires_at": or_null(time()),
        },
        {
            "id": "sup_01KJMQ0R00000000000000000S",
            "email": "ant@example.net",
            "reason": "bounce",
            "rule": "enhanced-5.1.1",
            "event_id": "ev_01KJMQ0R000000000000000007",
            "email_id": "em_01KJMQ0R00000000000000000E",
            "created_at": "2026-03-01T12:00:00.000Z",
            "expires_at": None,
        },
    ),
}
SPECS: Mapping[str, Spec] = {
    "POST /v1/suppressions": Spec(
        _TAG,
        "One address, or up to 1000 in `emails`. Addresses are compared with the domain in lower"
        " case; what follows a plus counts.",
        request={
            JSON: wish(
                {},
                {
                    "email": _EMAIL,
                    "emails": array(
                        {"anyOf": [_EMAIL, wish({"email": _EMAIL}, _DETAILS)]}, maxItems=1000
                    ),
                    **_DETAILS,
                },
            )
        },
        answer=body(
            {
                "anyOf": [
                    ref("Suppression"),
                    given(
                        {
                            "object": {"const": "list"},
                            "data": array(ref("Suppression")),
                            "added": number("How many are new."),
                        }
                    ),
                ]
            }
        ),
        is_idempotent=True,
        examples={
            "One": {"email": "ant@example.net", "reason": "manual"},
            "Several": {
                "emails": [
                    "bee@example.net",
                    {"email": "camel@example.net", "expires_at": "2040-01-01T00:00:00Z"},
                ]
            },
        },
    ),
    "GET /v1/suppressions": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, TOTAL, *_FILTERS, _SEARCH),
        answer=listing(ref("Suppression"), total=number()),
    ),
    "POST /v1/suppressions/import": Spec(
        _TAG,
        "As many rows as you like, read and written as they arrive. The first row may name the"
        " columns: `email`, `reason`, `expires_at`.",
        request={CSV: text("Addresses, one in a row (RFC 4180).")},
        parameters=(query("reason", "Of rows that have none.", text(maxLength=64)),),
        answer=body(
            resource(
                "suppression_import",
                {
                    "id": identifier("imp"),
                    "rows": number(),
                    "added": number(),
                    "unchanged": number("Were suppressed already."),
                    "invalid": number(),
                    "errors": array(
                        given({"row": number(), "message": text()}), "The first 100 bad rows."
                    ),
                },
            )
        ),
        is_idempotent=True,
        examples={"Two": "email,reason\r\nann@example.net,manual\r\nbob@example.net,complaint\r\n"},
    ),
    "GET /v1/suppressions/export": Spec(
        _TAG,
        "The whole list, newest first.",
        parameters=(*_FILTERS, _SEARCH),
        answer={CSV: text("Rows (RFC 4180).")},
    ),
    "POST /v1/suppressions/undo": Spec(
        _TAG,
        "Removes all that were added since a time, by a rule, for a reason; one of them is needed.",
        request=body(
            wish(
                {},
                {
                    "since": time(),
                    "rule": text("Or the id of an import."),
                    "reason": text(),
                },
            )
        ),
        answer=body(resource("suppression_undo", {"removed": number()})),
        is_idempotent=True,
        examples={"An import": {"rule": "imp_01KJMQ0R0000000000000000PQ"}},
    ),
    "GET /v1/suppressions/{email}": Spec(
        _TAG, "By address or id.", answer=body(ref("Suppression"))
    ),
    "DELETE /v1/suppressions/{email}": Spec(
        _TAG,
        "By address or id. Doing it again succeeds too.",
        answer=body(
            resource(
                "suppression",
                {"id": or_null(text()), "email": text(), "deleted": {"const": True}},
            )
        ),
    ),
}
