"""What of a message differs between its recipients: return path, unsubscribe fields, tracking.

All name the queue entry, so that what comes back is known to be about it whatever it says (VERP).
The stored message has none of them: they are put on at delivery, before signing, and are the same
at every attempt, because servers that greylist must see one return path.

Not here: the sealed forms (core/return_path.py, core/unsubscribe.py) and what comes back
(reports.py). Follows RFC 2369, RFC 8058, and RFC 9477 3.2 for CFBL-Feedback-ID, which finds the
entry in complaints that leave everything else out.
"""

from __future__ import annotations

import re

from mta.core import tracking, unsubscribe
from mta.core.address import Address
from mta.core.frozen import frozen
from mta.core.header_writer import header_block, plain
from mta.core.return_path import Purpose, ReturnPath, encode
from mta.core.submission import Door
from storage.queue import QueuedEntry, QueuedMessage

_HAS_UNSUBSCRIBE = re.compile(rb"^list-unsubscribe[ \t]*:", re.IGNORECASE | re.MULTILINE)


@frozen
class EntryMarks:
    """What marks are made with.

    Attributes:
        domain: of return paths and unsubscribe addresses; "" leaves return paths as they came.
        secret: what they are sealed with.
        rewrites_smtp: whether mail that was submitted by SMTP gets our return path too.
        public_url: where unsubscribe links lead, without a slash at its end; "" for none.
    """

    domain: str = ""
    secret: bytes = b""
    rewrites_smtp: bool = True
    public_url: str = ""

    def has_own_path(self, message: QueuedMessage) -> bool:
        """Tell whether a message goes out with a return path of ours; a null one stays."""
        is_rewritten = self.rewrites_smtp or message.door == Door.API.value
        return bool(self.domain and message.mail_from) and is_rewritten

    def is_individual(self, message: QueuedMessage) -> bool:
        """Tell whether what goes over the wire differs between the recipients of a message."""
        offer = message.unsubscribe
        differs = message.tracking is not None or (offer is not None and not offer.url)
        return differs or self.has_own_path(message)

    def return_path(self, message: QueuedMessage, entry: QueuedEntry, host: str = "") -> str:
        """Return what goes into MAIL FROM, "" for the null return path.

        Args:
            message: the mail.
            entry: its recipient.
            host: of the sender's own domain that return paths are in; "" for the server's.
        """
        if not self.has_own_path(message):
            return message.mail_from
        return f"{self._local(message, entry, Purpose.BOUNCE)}@{host or self.domain}"

    def marked(self, header: bytes, message: QueuedMessage, entry: QueuedEntry) -> bytes:
        """Return a header block, blank line and all, with the fields for one recipient added."""
        fields = self._unsubscribe_fields(header, message, entry)
        if self.has_own_path(message):
            fields += (("CFBL-Feedback-ID", self._local(message, entry, Purpose.BOUNCE)),)
        if not fields:
            return header
        block = header_block([(name, plain(value)) for name, value in fields])
        return header.removesuffix(b"\r\n") + block + b"\r\n"

    def filled(self, body: bytes, message: QueuedMessage, entry: QueuedEntry) -> bytes:
        """Return a body with the tokens of one recipient where a tracked message has places."""
        if message.tracking is None:
            return body
        return tracking.fill(
            body, message.tracking, self.secret, tenant_id=message.tenant_id, entry=entry.id
        )

    def _unsubscribe_fields(
        self, header: bytes, message: QueuedMessage, entry: QueuedEntry
    ) -> tuple[tuple[str, str], ...]:
        offer = message.unsubscribe
        if offer is None or _HAS_UNSUBSCRIBE.search(header):
            return ()
        if offer.url:
            return unsubscribe.header_fields(offer.url, None, is_one_click=offer.is_one_click)
        mailto = None
        if self.domain:
            mailto = Address(self._local(message, entry, Purpose.UNSUBSCRIBE), self.domain)
        if self.public_url:
            wish = unsubscribe.Unsubscribe(message.tenant_id, entry.id, offer.scope)
            url = f"{self.public_url}/u/{unsubscribe.token(wish, self.secret)}"
            return unsubscribe.header_fields(url, mailto, is_one_click=offer.is_one_click)
        return (("List-Unsubscribe", f"<mailto:{mailto}?subject=unsubscribe>"),) if mailto else ()

    def _local(self, message: QueuedMessage, entry: QueuedEntry, purpose: Purpose) -> str:
        path = ReturnPath(entry.id, message.tenant_id, message.queued_at.date())
        return encode(path, self.secret, purpose=purpose)


NO_MARKS = EntryMarks()
"""All recipients get the same."""
