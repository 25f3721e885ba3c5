"""The field `tracking` of an email: {"opens": true, "clicks": true}, or true for both.

Not here: what is put into the HTML (mta/core/tracking.py).
"""

from __future__ import annotations

from control_api.fields import Fields
from mta.core.tracking import NO_TRACKING, Tracking


def read_tracking(fields: Fields) -> Tracking:
    """Take the field; nothing is tracked when it is not there, false, or wrong."""
    value = fields.take("tracking")
    if value is None or isinstance(value, bool):
        return Tracking(opens=True, clicks=True) if value else NO_TRACKING
    path = f"{fields.path}.tracking" if fields.path else "tracking"
    inside = Fields(value, fields.errors, path)
    found = Tracking(opens=_flag(inside, "opens"), clicks=_flag(inside, "clicks"))
    inside.finish()
    return found


def _flag(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value is True
