"""Receiving servers that each misbehave in one way, and what has to become of mail to them.

The server itself is receiver.py. A verdict is the kind of the event that follows "queued", and how
many final dots the server saw before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.receiver import EXTENSIONS, Act, Answer, Bye, Drip

STEPWISE = ("SIZE 50000000", "8BITMIME")


@dataclass(frozen=True)
class Evil:
    """One way to misbehave.

    Attributes:
        row: the fault's id.
        script: see Receiver.
        kind: of the event that has to follow.
        dots: final dots that the server sees at the first attempt.
    """

    row: str
    kind: str
    script: Mapping[str, Answer | Sequence[Answer]] = field(default_factory=dict)
    dots: int = 0
    extensions: Sequence[str] = EXTENSIONS


EVILS: Mapping[str, Evil] = {
    "no-banner": Evil("E02", "deferred", {"CONNECT": Act.HANG}),
    "refusing-banner": Evil("E02", "deferred", {"CONNECT": "554 5.7.1 go away"}),
    "busy-banner": Evil("E02", "deferred", {"CONNECT": Bye("421 4.3.2 busy")}),
    "banner-flood": Evil("E03", "deferred", {"CONNECT": (b"220-" + b"A" * 70 + b"\r\n") * 9000}),
    "helo-only": Evil("E04", "delivered", {"EHLO": "502 what"}, 1, ()),
    "busy-ehlo": Evil("E04", "deferred", {"EHLO": "421 4.3.2 busy"}),
    "endless-ehlo": Evil("E04", "deferred", {"EHLO": "250-x\r\n" + "250-Y\r\n" * 10_000 + "250 Z"}),
    "closes-at-dot": Evil("E05", "deferred", {"DOT": Act.CLOSE}, 1),
    "resets-at-dot": Evil("E05", "deferred", {"DOT": Act.RESET}, 1),
    "hangs-at-dot": Evil("E05", "deferred", {"DOT": Act.HANG}, 1),
    "closes-at-ehlo": Evil("E06", "deferred", {"EHLO": Act.CLOSE}),
    "closes-at-mail": Evil("E06", "deferred", {"MAIL": Act.CLOSE}),
    "closes-at-rcpt": Evil("E06", "deferred", {"RCPT": Act.CLOSE}, 0, STEPWISE),
    "closes-at-data": Evil("E06", "deferred", {"DATA": Act.CLOSE}),
    "421-at-mail": Evil("E07", "deferred", {"MAIL": Bye("421 4.3.2 closing")}),
    "421-at-rcpt": Evil("E07", "deferred", {"RCPT": Bye("421 4.3.2 closing")}),
    "421-at-dot": Evil("E07", "deferred", {"DOT": Bye("421 4.3.2 closing")}, 1),
    "drips-at-dot": Evil("E08", "deferred", {"DOT": Drip("250 2.0.0 queued", 0.2)}, 1),
    "garbage-at-dot": Evil("E12", "deferred", {"DOT": b"\xff\xfe\x00what\r\n"}, 1),
    "two-digits": Evil("E12", "deferred", {"DOT": b"25 ok\r\n"}, 1),
    "underscored": Evil("E12", "deferred", {"DOT": b"2_5 0 ok\r\n"}, 1),
    "first-no-then-yes": Evil("E12", "deferred", {"DOT": b"550-no\r\n250 yes\r\n"}, 1),
    "first-yes-then-no": Evil("E12", "deferred", {"DOT": b"250-yes\r\n550 no\r\n"}, 1),
    "overlong": Evil("E12", "deferred", {"DOT": b"250 " + b"a" * 9000 + b"\r\n"}, 1),
    "251-at-rcpt": Evil("E13", "delivered", {"RCPT": "251 2.1.5 forwarding"}, 1),
    "252-at-rcpt": Evil("E13", "delivered", {"RCPT": "252 2.1.5 perhaps"}, 1),
    "200-at-dot": Evil("E13", "delivered", {"DOT": "200 ok"}, 1),
    "250-to-data": Evil("E14", "deferred", {"DATA": "250 fine"}, 0, STEPWISE),
    "354-to-rcpt": Evil("E14", "deferred", {"RCPT": "354 go"}, 0, STEPWISE),
    "refuses-then-hangs": Evil("E15", "bounced", {"DOT": "550 5.7.1 spam", "RSET": Act.HANG}, 1),
    "refuses-then-data": Evil("E17", "bounced", {"RCPT": "550 5.1.1 no", "DATA": "354 go"}, 1),
    "too-small": Evil("E21", "bounced", {}, 0, ("SIZE 10",)),
}
