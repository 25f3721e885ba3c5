"""What a delivery report says: its values, when one is due, and the part that programs read.

Not here: the message around it (delivery_report.py) and its words for people (delivery_words.py).
Follows RFC 3461 4 to 6, RFC 3464 2, and RFC 6533 3 for addresses in UTF-8: all of it is ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import assert_never

from mta.core.address import Address
from mta.core.dsn import Action
from mta.core.envelope import Recipient
from mta.core.frozen import frozen
from mta.core.header import rfc5322_date
from mta.core.header_writer import MAX_PIECE, FieldText, header_block, plain
from mta.core.reply import Reply

MAX_DIAGNOSTIC = 1500
"""Characters of a diagnostic code in the report."""
MAX_WORD = 200
"""Characters of a diagnostic that stay together, so that its lines can be folded."""

_NOTIFY_DEFAULT = "FAILURE,DELAY"
"""What no NOTIFY means: failures in any case, and delays if the server likes (RFC 3461 4.1)."""
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_XTEXT_CODE = re.compile(r"\+([0-9A-F]{2})")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]++")
_PRINTABLE = re.compile(r"[ -~]*")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")


@frozen
class RecipientReport:
    """The report on one recipient.

    Attributes:
        recipient: where the mail was going, and what the client asked for it.
        action: what became of it.
        status: enhanced status such as "5.1.1" (RFC 3463).
        reply: what the server said, None when none spoke.
        error: what went wrong where no server spoke, one line in our words; "" for nothing.
        host: the server that spoke, "" for none.
        attempted_at: when that was (aware); None when there was no attempt.
        retry_until: when we give up (aware); counts for delays only, None when not known.
    """

    recipient: Recipient
    action: Action
    status: str
    reply: Reply | None = None
    error: str = ""
    host: str = ""
    attempted_at: datetime | None = None
    retry_until: datetime | None = None

    def __post_init__(self) -> None:
        if not _STATUS.fullmatch(self.status):
            raise ValueError(f"{self.status!a} is not an enhanced status")


@frozen
class Report:
    """A report on one mail, to its sender.

    Attributes:
        hostname: our own name.
        to: the return path of the mail.
        date: when the report is made (aware).
        message_id: of the report, with its angle brackets.
        recipients: at least one.
        arrived_at: when the mail was accepted (aware).
        header: header block of the mail, without the blank line.
        body: what follows the blank line; None when it is not at hand or too much to read.
        ret: RET as given: "FULL", "HDRS", or "" (RFC 3461 4.3).
        envid: ENVID as given, in xtext; "" when not given (RFC 3461 4.4).
    """

    hostname: str
    to: Address
    date: datetime
    message_id: str
    recipients: tuple[RecipientReport, ...]
    arrived_at: datetime
    header: bytes
    body: bytes | None = None
    ret: str = ""
    envid: str = ""

    def __post_init__(self) -> None:
        if not self.recipients:
            raise ValueError("a report tells of at least one recipient")

    def tells_of(self, action: Action) -> bool:
        """Tell whether that is what became of the mail for any of the recipients."""
        return any(each.action is action for each in self.recipients)


def wants(notify: str, what: str) -> bool:
    """Tell whether NOTIFY, "" when it was not given, asks for SUCCESS, FAILURE or DELAY."""
    return what in (notify or _NOTIFY_DEFAULT).split(",")


def is_report_due(action: Action, notify: str, return_path: Address | None) -> bool:
    """Tell whether the sender is to be told (RFC 3461 4.1 and 5.2).

    Args:
        action: what became of the mail.
        notify: NOTIFY of the recipient in upper case, "" when it was not given.
        return_path: who sent the mail; nobody is ever told of mail with the null return path, None.
    """
    if return_path is None:
        return False
    match action:
        case Action.FAILED:
            return wants(notify, "FAILURE")
        case Action.DELAYED:
            return wants(notify, "DELAY")
        case Action.DELIVERED | Action.RELAYED | Action.EXPANDED:
            return wants(notify, "SUCCESS")
        case _:
            assert_never(action)


def action_on_acceptance(
    notify: str, return_path: Address | None, *, has_peer_dsn: bool
) -> Action | None:
    """Return what to report now that the next hop has accepted the mail; None for nothing.

    A next hop that offers DSN was told what the sender asked for and reports by itself (RFC 3461
    5.2.1). Past any other the trace ends, and that is what the sender is told (RFC 3461 5.2.2).
    """
    if has_peer_dsn or not is_report_due(Action.RELAYED, notify, return_path):
        return None
    return Action.RELAYED


def delivery_status(report: Report) -> bytes:
    """Return the body of message/delivery-status: a block for the mail, one for each recipient.

    Raises:
        ComposeError: a host name that no header field can hold.
    """
    blocks = [header_block(list(_of_mail(report)))]
    blocks += [header_block(list(_of_recipient(each))) for each in report.recipients]
    return b"\r\n".join(blocks)


def _of_mail(report: Report) -> Iterator[FieldText]:
    """Yield the fields about the mail as a whole (RFC 3464 2.2)."""
    if envid := _from_xtext(report.envid):
        yield "Original-Envelope-Id", plain(envid)
    yield "Reporting-MTA", plain(f"dns; {report.hostname}")
    yield "Arrival-Date", plain(rfc5322_date(report.arrived_at))


def _of_recipient(each: RecipientReport) -> Iterator[FieldText]:
    """Yield the fields about one recipient (RFC 3464 2.3)."""
    if original := _original_recipient(each.recipient.orcpt):
        yield "Original-Recipient", plain(original)
    yield "Final-Recipient", plain(_final_recipient(each.recipient.address))
    yield "Action", plain(each.action.value)
    yield "Status", plain(each.status)
    if each.host:
        yield "Remote-MTA", plain(f"dns; {_mta_name(each.host)}")
    if each.reply:
        yield "Diagnostic-Code", plain(f"smtp; {_diagnostic(str(each.reply))}")
    elif each.error:
        yield "Diagnostic-Code", plain(f"X-Mailwright; {_diagnostic(each.error)}")
    if each.attempted_at:
        yield "Last-Attempt-Date", plain(rfc5322_date(each.attempted_at))
    if each.retry_until and each.action is Action.DELAYED:
        yield "Will-Retry-Until", plain(rfc5322_date(each.retry_until))


def _mta_name(host: str) -> str:
    """Return a host as an MTA-name: an address is a literal (RFC 3464 2.1.2, RFC 5321 4.1.3)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _original_recipient(orcpt: str) -> str:
    """Return ORCPT decoded; "" where there is none that a header line can hold (RFC 3464 2.3.1)."""
    kind, _, address = orcpt.partition(";")
    is_utf8 = kind.lower() == "utf-8"
    address = _escaped(address, _NOT_PRINTABLE) if is_utf8 else _from_xtext(address)
    is_fit = _ADDRESS_TYPE.fullmatch(kind) and address and len(address) < MAX_PIECE
    return f"{kind}; {address}" if is_fit else ""


def _final_recipient(address: Address) -> str:
    if address.needs_smtputf8:
        return f"utf-8; {_escaped(str(address), _NOT_QCHAR)}"
    return f"rfc822; {address}"


def _from_xtext(text: str) -> str:
    """Return what xtext stands for (RFC 3461 4); "" where that is not printable ASCII."""
    decoded = _XTEXT_CODE.sub(lambda code: chr(int(code[1], 16)), text)
    return decoded if _PRINTABLE.fullmatch(decoded) else ""


def _escaped(text: str, special: re.Pattern[str]) -> str:
    r"""Return text with special characters as \x{...} (RFC 6533 3)."""
    return special.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", text)


def _diagnostic(text: str) -> str:
    """Return text as one line of ASCII that can be folded."""
    words = _escaped(" ".join(text.split()), _NOT_PRINTABLE)[:MAX_DIAGNOSTIC].split(" ")
    return " ".join(
        word[start : start + MAX_WORD] for word in words for start in range(0, len(word), MAX_WORD)
    )
