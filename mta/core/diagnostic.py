"""What a server or a report said about one failure, taken apart: code, status, command, text.

Reads free text: one SMTP reply, a Diagnostic-Code field, a paragraph of a bounce. Not here: what it
means (bounce_rules.py). Follows RFC 5321 4.2, RFC 3463 2 and RFC 3464 2.3.6.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from mta.core.asked_wait import asked_wait
from mta.core.frozen import frozen
from mta.core.outcome import Command
from mta.core.reply import Reply

MAX_TEXT = 4000
"""Characters of a diagnosis that are looked at; the reason stands in the first few hundred."""

_STATUS = re.compile(r"(?<![\w.])[45]\.[0-7]\.\d{1,3}(?![\d.]*\d)")
_NO_CONNECTION = frozenset({"4.4.1", "4.4.2"})
_CODE = re.compile(r"(?<![\w.\-/@=+])[45][0-7]\d(?![\w@/%]|[.]\w)")
_COMMANDS = tuple(
    (command, needles.split("|"), re.compile(pattern, re.IGNORECASE))
    for command, needles, pattern in (
        (Command.RCPT, "need rcpt|no valid recipients", r"need rcpt|no valid recipients"),
        (
            Command.END_OF_DATA,
            "of data|final data|i sent",
            r"end of data|final data|after i sent the message",
        ),
        (
            Command.RCPT,
            "rcpt|like recipient|recipient address",
            r"\brcpt\b|rcpt[ _]to|does not like recipient|recipient addresses? reje",
        ),
        (
            Command.MAIL,
            "mail|like sender",
            r"mail[ _]from(?=:| command|\]|\)|>)|does not like sender",
        ),
        (
            Command.DATA,
            "data",
            r"to data command|after data|>>> data|our data|\(data\)|data command",
        ),
        (Command.DATA, "smtp command", r"smtp command\s{1,9}data"),
        (Command.CONNECT, "initial|connect", r"initial connection|to connect\b|initial greeting"),
        (Command.EHLO, "helo|ehlo", r"(?:to|after) (?:ehlo|helo)\b|>>> (?:ehlo|helo)"),
    )
)
"""How mail servers name the step at which they were refused, most telling first: the words without
one of which a text need not be searched, and the search."""

_ANSWERED = re.compile(r"\(in reply to [A-Za-z -]{2,30} command\)")


@frozen
class Diagnostic:
    """One failure in the words of the server that reports it.

    Attributes:
        text: what it said, at most MAX_TEXT characters; may be "".
        code: reply code, 0 when there is none.
        status: enhanced status, "" when there is none.
        command: the step that was refused; None when nobody says.
        host: the server that said so, lower case; "" when nobody says.
    """

    text: str
    code: int = 0
    status: str = ""
    command: Command | None = None
    host: str = ""

    @classmethod
    def of_reply(cls, reply: Reply, command: Command | None, host: str = "") -> Diagnostic:
        """Return a reply of a session of our own."""
        return cls(reply.text[:MAX_TEXT], reply.code, reply.enhanced, command, host.lower())

    @classmethod
    def read(cls, text: str, *, status: str = "", host: str = "") -> Diagnostic:
        """Take apart a text.

        Args:
            text: a reply on one line, or any text about one failure.
            status: what a report says elsewhere; the text's own counts where that is vaguer.
            host: the server that the text is of; "" for unknown.
        """
        text = text[:MAX_TEXT]
        return cls(
            text,
            code_in(text),
            _best_status(status, text),
            _command(text),
            host.lower(),
        )

    @property
    def answer(self) -> Diagnostic:
        """The same with the text from its reply code on, to the first blank line.

        What a server answered tells more than the sentences of another program around it.
        """
        code = _CODE.search(self.text)
        if code is None:
            return self
        return replace(self, text=self.text[code.start() :].split("\n\n", 1)[0])

    @property
    def words(self) -> str:
        """The server's own words: what others write between and behind them is left out.

        Where a log or a report puts a reply on one line, the code that each line begins with stands
        between its words (RFC 5321 4.2.1), and Postfix says behind it which command was answered.
        """
        text = _ANSWERED.sub("", self.text)
        code = _CODE.search(text)
        if code is None or f"{code[0]}-" not in text:
            return text
        again = re.compile(rf"(?<=\s){code[0]}[- ](?:{_STATUS.pattern}(?: |$))?")
        return text[: code.end()] + again.sub("", text[code.end() :])

    @property
    def is_permanent(self) -> bool | None:
        """True for 5, False for 4; None where neither status nor code is known.

        The status counts before the code, but for 5.0.0: reporters give it to all that ended.
        """
        if self.code and self.status in {"", "5.0.0"}:
            return {4: False, 5: True}.get(self.code // 100)
        return {"4": False, "5": True}.get(self.status[:1])

    @property
    def retry_after(self) -> timedelta | None:
        """How long the text asks to wait; None where it names no time."""
        return asked_wait(self.text)


def code_in(text: str) -> int:
    """Return the first reply code in a text, 0 when there is none."""
    code = _CODE.search(text)
    return int(code[0]) if code else 0


def _best_status(given: str, text: str) -> str:
    """Return the most precise status: a detail of 0 means that the server did not know.

    The text is of the server that refused; what is given beside it may be a translation. But that
    there was no connection is nothing that a server says: there both are of the reporter.
    """
    said: list[str] = _STATUS.findall(text)
    found = [*said, given] if given else said
    if given and said and said[0] in _NO_CONNECTION:
        found = [given, *said]
    for vague in (".0", ".0.0"):
        for status in found:
            if not status.endswith(vague):
                return status
    return found[0] if found else ""


def _command(text: str) -> Command | None:
    lower = text.lower()
    for command, needles, pattern in _COMMANDS:
        if any(needle in lower for needle in needles) and pattern.search(text):
            return command
    return None
