"""What a server offers in its answer to EHLO (RFC 5321 4.1.1.1)."""

from __future__ import annotations

from mta.core.frozen import frozen


@frozen
class Extensions:
    """The extensions we make use of; a plain Extensions() is a server that only knows HELO.

    Attributes:
        size: SIZE offered, so that MAIL may state the size (RFC 1870).
        max_size: largest message it takes, octets; None when it names no limit.
        pipelining: commands may be sent ahead (RFC 2920).
        eight_bit: 8BITMIME (RFC 6152).
        smtputf8: UTF-8 in addresses and headers (RFC 6531).
        dsn: RET, ENVID, NOTIFY and ORCPT are understood (RFC 3461).
        starttls: STARTTLS (RFC 3207).
        auth: mechanisms in upper case (RFC 4954), empty when none.
    """

    size: bool = False
    max_size: int | None = None
    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    auth: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> Extensions:
        """Read the text of a reply to EHLO: a greeting line, then one keyword a line.

        What is unknown or malformed is skipped; "AUTH=LOGIN", an old way to write it, counts.
        """
        offered: dict[str, list[str]] = {}
        for line in text.split("\n")[1:]:
            keyword, *values = line.upper().replace("AUTH=", "AUTH ", 1).split() or [""]
            offered.setdefault(keyword, []).extend(values)
        return cls(
            size="SIZE" in offered,
            max_size=_limit(offered.get("SIZE", [])),
            pipelining="PIPELINING" in offered,
            eight_bit="8BITMIME" in offered,
            smtputf8="SMTPUTF8" in offered,
            dsn="DSN" in offered,
            starttls="STARTTLS" in offered,
            auth=frozenset(offered.get("AUTH", [])),
        )


def _limit(values: list[str]) -> int | None:
    """Return the limit SIZE declares; "SIZE" and "SIZE 0" declare none (RFC 1870 4)."""
    if values and len(values[0]) <= 20 and values[0].isascii() and values[0].isdigit():
        return int(values[0]) or None
    return None
