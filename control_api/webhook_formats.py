"""The forms in which endpoints get events: an endpoint's `format` names one of them.

The native form is in webhook_message.py, those of dialects are theirs; app.py lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from mta.core.frozen import frozen
from storage.events import JournalEntry


@frozen
class WebhookFormat:
    """How a post looks.

    Attributes:
        name: as in `format` of an endpoint.
        body_of: makes the body for an event.
        headers_of: makes the headers that a post carries from the event's id, the time (aware), the
            body and the secrets that sign, the newest first.
    """

    name: str
    body_of: Callable[[JournalEntry], bytes]
    headers_of: Callable[[str, datetime, bytes, Sequence[str]], dict[str, str]]


Formats = Mapping[str, WebhookFormat]
"""Name -> format, those of dialects."""
