"""Delivery status notifications: the machine-readable part -> what it says of each recipient.

Lenient: fields may stand in the wrong group, twice or nowhere. Not here: what a failure means
(bounce_rules.py), the text for people beside it (notice.py), writing notifications of our own.
Follows RFC 3464 2 and RFC 6533 3.
"""

from __future__ import annotations

import enum
import re

from mta.core.frozen import frozen
from mta.core.mime_reader import Fields, Part, printable_text, split_entity

TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
MAX_RECIPIENTS = 1000
MAX_DIAGNOSTIC = 4000
MAX_OCTETS = 1_048_576

_ADDRESS = re.compile(
    r"(?:\"(?:[^\"\\\s<>]|\\[!-~])(?:[^\"\\\n<>]|\\[ -~]){0,62}\"|[^\s<>()\[\]\",;:@\\]{1,64})"
    r"@(?:[A-Za-z0-9\u0080-\uffff](?:[A-Za-z0-9.\u0080-\uffff_-]{0,253}))"
)
_LABELS = re.compile(r"^(?:smtp|rfc-?822|mailto|to)=", re.IGNORECASE)
_UNFOLDED_REPLY = re.compile(rb"\n(?=[245]\d\d[ -])")
_BLANK_LINES = re.compile(rb"\n[ \t]*\n\s*")
_ESCAPED = re.compile(r"\\x\{((?:10|[0-9A-Fa-f])?[0-9A-Fa-f]{1,4})\}")
_STATUS = re.compile(r"\b[245]\.[0-7]\.\d{1,3}\b")


class Action(enum.Enum):
    """What the reporting server did about a recipient (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    """Handed to a server that does not report what becomes of it."""
    EXPANDED = "expanded"
    """Handed on to the members of a list."""


@frozen
class RecipientStatus:
    """One group of per-recipient fields (RFC 3464 2.3).

    Attributes:
        address: original recipient where it is given, else the final one; never "".
        original: as the sender gave it (Original-Recipient), "" when not there.
        action: None where it is missing or unknown.
        status: "5.1.1", "" when there is none.
        diagnostic: what the remote server said, without its type; may be "".
        remote: the server that said it, lower case; may be "".
    """

    address: str
    original: str
    action: Action | None
    status: str
    diagnostic: str
    remote: str


_WIDE = str.maketrans(dict.fromkeys("：；，。、（）「」『』《》【】！？＜＞", " "))
"""Punctuation of texts that have no blanks around addresses."""


def addresses_in(text: str) -> list[tuple[int, str]]:
    """Return the mail addresses in a text, each with the place where it begins."""
    found = []
    for match in _ADDRESS.finditer(text.translate(_WIDE)):
        address = _LABELS.sub("", match[0]).lstrip("'`=*|").rstrip(".-_'")
        local, _, domain = address.rpartition("@")
        is_cut = "..." in match[0]
        if local and domain and not is_cut and address.isprintable():
            found.append((match.start(), address))
    return found


def read_status(part: Part) -> tuple[RecipientStatus, ...]:
    """Return what a delivery-status part says of each recipient, in its order, none twice."""
    found: dict[str, RecipientStatus] = {}
    per_message = Fields(())
    groups = _BLANK_LINES.split(part.octets[:MAX_OCTETS].strip(), MAX_RECIPIENTS)
    for group in groups[:MAX_RECIPIENTS]:
        fields, _ = split_entity(_UNFOLDED_REPLY.sub(b"\n ", group))
        status = _recipient(fields, per_message)
        if status is not None:
            found.setdefault(status.address.lower(), status)
        elif not per_message.items:
            per_message = fields
    return tuple(found.values())


def _recipient(fields: Fields, per_message: Fields) -> RecipientStatus | None:
    diagnostic = _diagnostic(fields)
    final = _final(_unescaped(fields.get("final-recipient")), diagnostic)
    original = first_address(_unescaped(fields.get("original-recipient")))
    actual = first_address(fields.get("x-actual-recipient"))
    # The original one is what we mailed; "user@host" without a dot is no address of ours.
    address = next(
        (a for a in (original, final, actual) if "." in a.rpartition("@")[2]), final or original
    )
    if not address:
        return None
    return RecipientStatus(
        address,
        original,
        _action(fields.get("action") or per_message.get("action")),
        _status(fields.get("status") or per_message.get("status")),
        diagnostic,
        printable_text(fields.get("remote-mta").rpartition(";")[2].strip().lower())[:255],
    )


def _final(value: str, diagnostic: str) -> str:
    """Return the final recipient, in quotes where the reporter took them off the local part."""
    bare = value.rpartition(";")[2].strip()[:320]
    local, _, domain = bare.rpartition("@")
    quoted = f'"{local}"@{domain}'
    if local and quoted in diagnostic and addresses_in(quoted) == [(0, quoted)]:
        return quoted
    return first_address(value)


def _unescaped(value: str) -> str:
    r"""Return a recipient with what is written as \x{E4} as it is (RFC 6533 3)."""
    if not value.lstrip().lower().startswith("utf-8"):
        return value
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value[:2000])


def first_address(value: str) -> str:
    """Return the first address in a field value, "" when there is none."""
    found = addresses_in(value[:2000])
    return found[0][1] if found else ""


def _action(value: str) -> Action | None:
    word = re.match(r"[a-z]*", value.strip().lower())
    name = word[0] if word else ""
    if name in {"fail", "failure", "error", "expired"}:
        return Action.FAILED
    return next((action for action in Action if action.value == name), None)


def _status(value: str) -> str:
    match = _STATUS.search(value[:200])
    return match[0] if match else ""


def _diagnostic(fields: Fields) -> str:
    texts = []
    for value in (*fields.all("diagnostic-code"), fields.get("x-supplementary-info")):
        kind, semicolon, text = value.partition(";")
        texts.append(text if semicolon and " " not in kind.strip() else value)
    return printable_text(" ".join(filter(None, texts)).strip()[:MAX_DIAGNOSTIC])
