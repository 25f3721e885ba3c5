"""An SMTP reply as one value that travels whole from the wire to the webhook.

Not here: classification (bounce.py) and the wire itself (mta/smtp_client.py).
Follows RFC 5321 4.2 (reply codes) and RFC 3463 (enhanced status codes).
"""

from __future__ import annotations

import re

from mta.core.frozen import frozen

MAX_TEXT = 1000
"""Characters of reply text kept; what a longer-winded peer says after them is cut."""

_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|\Z)")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line separators, bidi overrides (a log reader's trap) and lone surrogates."""


@frozen
class Reply:
    """One answer of a server.

    Attributes:
        code: three digits, 200 to 599 (RFC 5321 4.2.1).
        enhanced: enhanced status such as "5.1.1" (RFC 3463), "" when the peer sent none.
        text: the text of all lines joined by newlines, without codes, safe to print; may be "".
    """

    code: int
    enhanced: str
    text: str

    @classmethod
    def of(cls, code: int, text: str) -> Reply:
        """Build a reply from a code and the text lines, taking the enhanced status out of the text.

        The enhanced status counts only where its class agrees with the code (RFC 2034 4).
        It is taken from the first line, and off every further line that repeats it. Characters that
        are not safe to print become "?" and the text is cut at MAX_TEXT characters.
        """
        if text.isascii() and text.isprintable():  # one clean line, as nearly always
            return cls._of_line(code, text.strip(" "))
        lines = [line.strip(" \t\r") for line in text.split("\n")]
        match = _ENHANCED.match(lines[0])
        enhanced = match[1] if match and match[1][0] == str(code)[:1] else ""
        if enhanced:
            lines = [_without(enhanced, line) for line in lines]
        return cls(code, enhanced, _UNPRINTABLE.sub("?", "\n".join(lines))[:MAX_TEXT])

    @classmethod
    def _of_line(cls, code: int, line: str) -> Reply:
        match = _ENHANCED.match(line)
        if match is None or match[1][0] != str(code)[:1]:
            return cls(code, "", line[:MAX_TEXT])
        return cls(code, match[1], line[match.end() :][:MAX_TEXT])

    @property
    def is_positive(self) -> bool:
        """True for 2yz: the command was carried out (RFC 5321 4.2.1)."""
        return 200 <= self.code <= 299

    @property
    def is_transient(self) -> bool:
        """True for 4yz: trying again may succeed."""
        return 400 <= self.code <= 499

    @property
    def is_permanent(self) -> bool:
        """True for 5yz: the same command will not succeed."""
        return 500 <= self.code <= 599

    def __str__(self) -> str:
        """One line for people: code, enhanced status if any, text with newlines as spaces."""
        parts = (str(self.code), self.enhanced, self.text.replace("\n", " "))
        return " ".join(part for part in parts if part)


def _without(enhanced: str, line: str) -> str:
    match = _ENHANCED.match(line)
    return line[match.end() :] if match and match[1] == enhanced else line
