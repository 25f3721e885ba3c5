"""The part of a delivery report that people read: what happened, what the server said, what to do.

Texts that strangers wrote stand in it indented, and as plain text only. Not here: the report around
it (delivery_report.py). English: mail programs that know a report show it in their own words.
"""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import assert_never

from mta.core.delivery_status import RecipientReport, Report
from mta.core.dsn import Action

_ADVICE = {
    "1.1": "No such mailbox exists there. Check the address for typing errors.",
    "1.2": "Its domain takes no mail. Check the part behind the @ for typing errors.",
    "1.3": "The address is not valid there. Check it for typing errors.",
    "1.10": "Its domain takes no mail at all. Check the part behind the @ for typing errors.",
    "2.1": "The mailbox is closed. Ask the recipient for another address.",
    "2.2": "The mailbox is full. Tell the recipient in another way, or try again in a few days.",
    "2.3": "The mail is too large for this recipient. Send less at once, or a link to it.",
    "3.4": "The mail is too large for this server. Send less at once, or a link to it.",
    "4.4": "Its domain could not be found. Check the part behind the @ for typing errors.",
    "4.7": "All attempts in that time failed. Try again later, or reach the recipient otherwise.",
}
"""Subject and detail of RFC 3463 -> what a sender can do about a failure."""
_ADVICE_BY_SUBJECT = {
    "4": "Its server could not be reached. Try again later, or reach the recipient otherwise.",
    "6": "The server cannot take mail of this form. Show this report to whoever runs your mail.",
    "7": "The server refused the mail by its own rules, which only its operators can change. "
    "Show this report to whoever runs your mail.",
}
_OTHER_ADVICE = (
    "Sent once more without a change it would most likely fail again. "
    "Show this report to whoever runs your mail."
)


def subject(report: Report) -> str:
    """Return the subject, by the worst that happened; it quotes nothing."""
    if report.tells_of(Action.FAILED):
        return "Your mail could not be delivered"
    if report.tells_of(Action.DELAYED):
        return "Your mail is delayed"
    return "Your mail was passed on"


def explain(report: Report, *, is_whole: bool) -> str:
    """Return the text, lines ended by newlines.

    Args:
        report: what to tell; what servers said in it may hold anything.
        is_whole: whether the mail is attached, not only its header.
    """
    attached = "your mail" if is_whole else "the header of your mail"
    arrived = f"which arrived here on {_minute(report.arrived_at)}"
    sections = [
        _wrapped(f"This is the mail server {report.hostname}."),
        *(_section(each) for each in report.recipients),
        _wrapped(f"Attached are these facts for programs, and {attached}, {arrived}."),
    ]
    text = "\n\n".join(sections) + "\n"
    return text.encode("utf-8", "replace").decode()  # a lone surrogate becomes a question mark


def _section(each: RecipientReport) -> str:
    """Return what happened, what was said and what to do, for one recipient."""
    paragraphs = [_wrapped(f"Your mail to <{each.recipient.address}> {_what_happened(each)}.")]
    if each.action in {Action.FAILED, Action.DELAYED}:
        paragraphs += [*_what_was_said(each), _wrapped(_what_to_do(each))]
    return "\n\n".join(paragraphs)


def _what_happened(each: RecipientReport) -> str:
    match each.action:
        case Action.FAILED:
            return "could not be delivered"
        case Action.DELAYED:
            return "could not be delivered yet"
        case Action.DELIVERED:
            return "was delivered"
        case Action.RELAYED:
            server = f"the server {each.host}" if each.host else "a server"
            return f"was passed on to {server}, which does not report what becomes of it"
        case Action.EXPANDED:
            return "was passed on to the members of the list behind that address"
        case _:
            assert_never(each.action)


def _what_was_said(each: RecipientReport) -> list[str]:
    """Return a line and the indented words of the server, or ours; nothing when there are none."""
    if each.reply:
        codes = f"{each.reply.code} {each.reply.enhanced}".rstrip()
        who = f"The server {each.host} said:" if each.host else "The answer was:"
        return [_wrapped(who), _indented(f"{codes} {each.reply.text}")]
    return ["The reason is:", _indented(each.error)] if each.error else []


def _what_to_do(each: RecipientReport) -> str:
    if each.action is Action.DELAYED:
        until = f" until {_minute(each.retry_until)}" if each.retry_until else ""
        return f"You need not do anything: further attempts follow{until}."
    detail = each.status.partition(".")[2]
    by_subject = _ADVICE_BY_SUBJECT.get(detail.partition(".")[0], _OTHER_ADVICE)
    return _ADVICE.get(detail, by_subject)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 76, break_long_words=False, break_on_hyphens=False)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
