"""The pieces of a mail that may be a bounce: notice, delivery status, returned mail.

Not here: what they mean (reported.py). Follows RFC 6522 3 for the order of the parts, and looks
everywhere else for mail systems that never heard of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mta.core.cloud_notice import CloudNotice, read_cloud_notice
from mta.core.dsn import TYPES, RecipientStatus, addresses_in, read_status
from mta.core.frozen import frozen
from mta.core.mime_reader import NO_FIELDS, Fields, Mail, Part, display_text, split_entity
from mta.core.notice import Notice, read_notice
from mta.core.notice_words import DAEMONS, DELAYS, FINALS, SUBJECTS
from mta.core.phrases import normal_form, without_addresses

MAX_NOTICE = 65_536
"""Characters of a text part that are read."""
RETURNED_TYPES = frozenset(
    {
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "text/rfc822-header",
        "message/rfc822-headers",
        "message/global-headers",
        "message/partial",
    },
)
"""Media types of the returned mail or of its header, the wrong ones that occur among them."""
_FIELDS_OF_NOTICES = ("x-failed-recipients", "x-ms-exchange-message-is-ndr")
"""Exim's and Gmail's, and Exchange's; nothing else has them."""
_ANSWERS = frozenset({"re", "aw", "sv", "antw", "odp", "ynt", "回复", "答复"})
"""What mail programs write before the subject of what is answered."""
_STATUS_STARTS = (b"reporting-mta:", b"final-recipient:", b"original-recipient:")


@frozen
class Evidence:
    """What a mail brings back.

    Attributes:
        mail: the whole.
        notice: its text for people.
        returned: header of the returned mail; no fields where it is not there.
        statuses: what its machine-readable parts say, in their order.
        cloud: the notification that it is instead; None for a mail like others.
        subject: its subject in normal form (phrases.py).
    """

    mail: Mail
    notice: Notice
    returned: Fields
    statuses: tuple[RecipientStatus, ...]
    cloud: CloudNotice | None
    subject: str

    @property
    def is_of_daemon(self) -> bool:
        """True when a mail system wrote it: so it says itself, or its return path is null."""
        null_path = self.mail.fields.get("return-path").replace(" ", "") == "<>"
        return null_path or self.is_from_daemon

    @property
    def is_from_daemon(self) -> bool:
        """True when it says that a mail system wrote it. Automatic replies have null paths too."""
        fields = self.mail.fields
        sender = f"{display_text(fields.get('from'))} {fields.get('sender')}"
        return bool(DAEMONS.owners(normal_form(sender)))

    @property
    def is_of_list(self) -> bool:
        """True when a mailing list sent it round."""
        fields = self.mail.fields
        return any(fields.has(name) for name in ("list-id", "list-unsubscribe", "list-post"))

    @property
    def announces_failure(self) -> bool:
        """True when its subject says that mail could not be delivered."""
        return bool(SUBJECTS.owners(self.subject))

    @property
    def own_subject(self) -> str:
        """Its subject without that of the returned mail, which may say anything, at the end."""
        returned = normal_form(display_text(self.returned.get("subject"))).strip()
        own = self.subject.strip()
        return f" {own.removesuffix(returned).strip()} " if returned else self.subject

    @property
    def is_notice(self) -> bool:
        """True when it can be about nothing but mail that was not delivered."""
        fields = self.mail.fields
        if any(fields.has(name) for name in _FIELDS_OF_NOTICES):
            return True
        if self.mail.report_type == "delivery-status":
            return True
        says_so = self.notice.has_introduction
        if not (self.is_from_daemon and self.announces_failure) and not self.shows_failure:
            return False
        if self.is_of_daemon:
            return self.announces_failure or says_so
        if self.is_of_list and not SUBJECTS.owners(f" {' '.join(self.subject.split()[:2])} "):
            return False  # news about bounces; a list's mail that failed has it first
        return self.announces_failure and says_so and not self._is_reply

    @property
    def _is_reply(self) -> bool:
        """True when somebody answers, maybe a notice: its subject follows the Re: then."""
        first, *others = self.subject.split()[:4] or [""]
        is_answer = first in _ANSWERS and bool(SUBJECTS.owners(f" {' '.join(others)} "))
        return is_answer or self.mail.fields.has("in-reply-to")

    @property
    def quotes(self) -> bool:
        """True when it shows what a server answered, or brings the mail back."""
        return bool(self.returned.items) or self.notice.quotes_answer

    @property
    def shows_failure(self) -> bool:
        """True when there is more than words: a server's answer, the returned mail, or a list.

        People, too, write that mail could not be delivered, and where to write instead. A list of
        addresses counts only in what is known to be a notice by its sender or subject.
        """
        if self.quotes:
            return True
        is_said = self.is_from_daemon or self.announces_failure
        return is_said and self.notice.lists_addresses

    @property
    def is_delay(self) -> bool:
        """True when the text says that delivery goes on."""
        text = self.subject + normal_form(without_addresses(self.notice.text[:8000]))
        return bool(DELAYS.owners(text)) and not FINALS.owners(text)

    def about(self, status: RecipientStatus) -> str:
        """Return the lines of the notice about a recipient of the delivery status."""
        addresses = [item.address for item in self.statuses]
        return "\n".join(
            self.notice.reason_for(address, addresses)
            for address in dict.fromkeys((status.address, status.original))
            if address
        )


def gather(mail: Mail) -> Evidence:
    """Take a mail apart."""
    subject = normal_form(display_text(mail.fields.get("subject")))
    texts = _texts(mail.parts)
    cloud = read_cloud_notice(texts[0]) if texts else None
    if cloud is not None:
        return Evidence(mail, read_notice(()), NO_FIELDS, cloud.statuses, cloud, subject)
    notice = read_notice(texts)
    statuses = [
        status
        for part in mail.parts
        if part.content_type in TYPES or _looks_like_status(part)
        for status in read_status(part)
    ]
    return Evidence(mail, notice, _returned(mail, notice), tuple(statuses), None, subject)


def addresses_of(fields: Fields, names: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses in some fields, none twice."""
    found: dict[str, str] = {}
    for name in names:
        for value in fields.all(name)[:20]:
            for _, address in addresses_in(display_text(value)[:20_000]):
                found.setdefault(address.lower(), address)
    return tuple(found.values())


def _texts(parts: Sequence[Part]) -> list[str]:
    """Return the texts before the returned mail; HTML only where there is no plain text."""
    plain, marked_up = list[str](), list[str]()
    for part in parts:
        if part.content_type in RETURNED_TYPES:
            break
        if part.content_type in {"text/plain", "text"}:
            plain.append(part.text[:MAX_NOTICE])
        elif part.content_type == "text/html":
            marked_up.append(part.text[:MAX_NOTICE])
    return [text for text in plain if text.strip()] or marked_up


def _returned(mail: Mail, notice: Notice) -> Fields:
    for part in mail.parts:
        if part.content_type in RETURNED_TYPES:
            return split_entity(part.octets.lstrip(b"\n"))[0]
    return split_entity(notice.returned.lstrip("\n").encode("utf-8", "replace"))[0]


def _looks_like_status(part: Part) -> bool:
    """Return whether a part declared as plain text is a delivery status."""
    start = part.body[:400].lower().lstrip()
    return part.content_type == "text/plain" and start.startswith(_STATUS_STARTS)
