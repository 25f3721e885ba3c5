"""Bounces written for people: which addresses a notice names, and what it says of each.

There is no standard for them. What they share is looked for: a first part that says that mail could
not be delivered, addresses that stand at the start of a line or behind a label, a reason near them,
and the returned mail behind a line that announces it. Not here: the words (notice_words.py), what a
reason means (bounce_rules.py).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from mta.core.dsn import addresses_in
from mta.core.frozen import frozen
from mta.core.notice_words import ENDS, INTRODUCTIONS, SUCCESSES
from mta.core.phrases import normal_form, without_addresses

MAX_LINES = 2000
MAX_LINE = 1000
MAX_REASON_LINES = 25
MAX_MENTIONS = 500

_QUOTE = re.compile(r"^> (?![>])|^>(?=\s*$)")
_BULLET = re.compile(r"(?!>>>)[\s<>\"'*|(\[\-•:]*(?:(?:smtp|rfc-?822|mailto)[:;=]\s?)?[\s<\"'(\[]*")
_CODE = re.compile(r"[\s<>\-.]*[45]\d\d[ \-:]+(?:#?[45]\.\d{1,3}\.\d{1,3}[ :]*)?[\s<]*")
_ANSWER = re.compile(r"[>\"']?:\s?([45]\d\d[ -].+)")
_STATED = re.compile(
    r"(?<![\w.])[45]\.[0-7]\.\d{1,3}(?![\w.])|(?<![\w.#-])(?:4[2-5]|5[0-57])\d[ -][A-Za-z\"'<#]"
)
"""An enhanced status, or a reply code and text behind it."""
_CONTINUED = re.compile(r"[45]\d\d-")
_RETURNED = re.compile(
    r"(?:received|return-path|mime-version|dkim-signature|x-mailer|message-id):", re.IGNORECASE
)
_HEADER_LINE = re.compile(
    r"(?:from|sender|subject|date|sent|cc|reply-to|message-id|envelope-from):", re.IGNORECASE
)
_NOT_A_RECIPIENT = re.compile(
    r"(?:\bfrom|mailto|contact|sender|reply-to|return-path|message-id|\bby|\bcc|postmaster|help|https?)"
    r"[ :=<\"'(\[]*$",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[^@]{1,80}[:=]\s*[<\"'(\[]*$")
_BARE_NAME = re.compile(r"<?[A-Za-z0-9][A-Za-z0-9._-]{0,63}>?")
_ORIGIN = re.compile(r"\((?:ultimately )?(?:generated|expanded) from:? [<]?$", re.IGNORECASE)
_STAFF = re.compile(
    r"(?:postmaster|mailer-daemon|abuse|support|help|helpdesk|webmaster|admin)@", re.IGNORECASE
)


class Rank(enum.IntEnum):
    """How surely an address in a notice is one that the mail did not reach; less is surer."""

    ENTRY = 1
    """It opens a line, or stands behind a label."""
    SENTENCE = 2
    """It stands in the sentence that says so."""
    TRANSCRIPT = 3
    """A reply code opens its line."""
    MENTION = 4
    """Anywhere else."""


@frozen
class Mention:
    """An address on a line of a notice."""

    line: int
    address: str
    rank: Rank
    is_announced: bool
    """A line before it said that mail could not be delivered."""


@frozen
class Failure:
    """What a notice says of one address.

    Attributes:
        address: as it stands there.
        reason: the lines about it, may be "".
    """

    address: str
    reason: str


@frozen
class Notice:
    """The text of a notice up to the returned mail, line by line, and what addresses it names.

    Attributes:
        lines: without quote marks.
        mentions: addresses outside of lists of those that were reached.
        has_introduction: some line says that mail could not be delivered.
        returned: what follows the line that announces the returned mail; may be "".
    """

    lines: tuple[str, ...]
    mentions: tuple[Mention, ...]
    has_introduction: bool
    returned: str

    @property
    def bare_names(self) -> tuple[str, ...]:
        """Names without a domain that stand alone right under a line that announces addresses."""
        found = []
        for above, line in pairwise(line.strip() for line in self.lines if line.strip()):
            is_announced = above.endswith(":") and " recipient" in normal_form(above)
            if is_announced and _BARE_NAME.fullmatch(line):
                found.append(line.strip("<>"))
        return tuple(found)

    @property
    def lists_addresses(self) -> bool:
        """True when an address, or a name, opens a line or stands behind a label."""
        sure = {Rank.ENTRY, Rank.TRANSCRIPT}
        return any(mention.rank in sure for mention in self.mentions) or bool(self.bare_names)

    @property
    def quotes_answer(self) -> bool:
        """True when some line has a reply code or an enhanced status."""
        return any(_STATED.search(line) for line in self.lines)

    @property
    def text(self) -> str:
        """The whole notice."""
        return "\n".join(self.lines)

    def failures(self, own: Iterable[str], known: Iterable[str]) -> tuple[Failure, ...]:
        """Return the addresses that the mail did not reach, each with the lines about it.

        Args:
            own: addresses of whom the notice went to and comes from.
            known: recipients of the returned mail, as far as it names them.
        """
        chosen = self._chosen({a.lower() for a in own}, {a.lower() for a in known})
        return tuple(
            Failure(address, self.reason_for(address, chosen)) for address in chosen.values()
        )

    def _chosen(self, own: set[str], known: set[str]) -> dict[str, str]:
        usable = [m for m in self.mentions if m.address.lower() not in own]
        usable = usable or [m for m in self.mentions if m.rank is Rank.ENTRY]
        for rank in Rank:
            level = [m for m in usable if m.rank == rank]
            if rank is Rank.ENTRY:  # a notice may begin with "To:", "Subject:" of the mail
                level = [m for m in level if m.is_announced] or level
            if rank is Rank.MENTION:
                level = [m for m in level if m.address.lower() in known] or level[:1]
            if level:
                chosen: dict[str, str] = {}
                for mention in level:
                    chosen.setdefault(mention.address.lower(), mention.address)
                return chosen
        return {}

    def answer_for(self, address: str) -> str:
        """Return the reply that stands behind an address on its line, "" when there is none."""
        key = address.lower()
        for line in self.lines:
            start = line.lower().find(key)
            if start >= 0 and _BULLET.fullmatch(line[:start]):
                answer = _ANSWER.match(line, start + len(key))
                if answer:
                    return answer[1]
        return ""

    def completed(self, reply: str) -> str:
        """Return a reply whose first line is given, with the others of a transcript."""
        if not _CONTINUED.match(reply):
            return reply
        shown = f"<<< {reply.strip()}"
        start = next((n for n, line in enumerate(self.lines) if line.strip() == shown), None)
        if start is None:
            return reply
        found = [reply.strip()]
        for line in self.lines[start + 1 : start + MAX_REASON_LINES]:
            if not line.startswith(f"<<< {reply[:3]}"):
                break
            found.append(line[4:].strip())
            if not _CONTINUED.match(found[-1]):
                break
        return " ".join(found)

    def reason_for(self, address: str, others: Iterable[str] = ()) -> str:
        """Return the lines that speak of an address: from each mention to the next of another.

        In a transcript the reason stands before the line with the address instead.
        """
        key = address.lower()
        names = {other.lower() for other in others} - {key}
        stops = {m.line for m in self.mentions if m.address.lower() in names}
        mine = [m for m in self.mentions if m.address.lower() == key]
        if mine and all(m.rank is Rank.TRANSCRIPT for m in mine):
            last = mine[-1].line
            first = max((stop + 1 for stop in stops if stop < mine[0].line), default=0)
            lines = self.lines[max(first, last - MAX_REASON_LINES) : last + 1]
            talks = [n for n, line in enumerate(lines) if "while talking to" in line.lower()]
            return "\n".join(lines[talks[-1] if talks else 0 :])
        numbers: dict[int, None] = {}
        for mention in mine[:4]:
            for number in range(
                mention.line, min(mention.line + MAX_REASON_LINES, len(self.lines))
            ):
                if number in numbers or (number != mention.line and number in stops):
                    break
                numbers[number] = None
        return "\n".join(self.lines[number].strip() for number in numbers)


def read_notice(texts: Sequence[str]) -> Notice:
    """Read the text parts of a notice, the returned mail not among them."""
    lines: list[str] = []
    mentions: list[Mention] = []
    introduced, reached = False, False
    raw = [line for text in texts for line in text.split("\n")][:MAX_LINES]
    for number, given in enumerate(raw):
        line = _QUOTE.sub("", given[:MAX_LINE])
        form = normal_form(without_addresses(line))
        if _is_end(line, form, has_mentions=bool(mentions)):
            return Notice(tuple(lines), tuple(mentions), introduced, "\n".join(raw[number + 1 :]))
        lines.append(line)
        if SUCCESSES.owners(form):
            reached = True
            continue
        says_so = bool(INTRODUCTIONS.owners(form))
        reached = reached and not says_so
        introduced = introduced or says_so
        if not reached and len(mentions) < MAX_MENTIONS:
            is_announced = introduced or bool(_STATED.search(line))
            mentions += _mentions(
                number, line, is_sentence=says_so or _continues(lines), is_announced=is_announced
            )
    return Notice(tuple(lines), tuple(mentions), introduced, "")


def _is_end(line: str, form: str, *, has_mentions: bool) -> bool:
    if _RETURNED.match(line):
        return has_mentions
    if len(line) > 100 or " was received " in form or " not " in form or "@" in line:
        return False
    stripped = line.strip()
    is_rule = stripped.startswith(("-", "=", "*", "_", "#", "|"))
    is_announcement = len(stripped) < 75 and stripped.endswith((":", ".", "-", "=", "*"))
    short = len(stripped) < 30 and not has_mentions
    return bool(ENDS.owners(form)) and (is_rule or is_announcement or short)


def _continues(lines: list[str]) -> bool:
    """Return whether the sentence before this line, on the line above, announced an address."""
    if len(lines) < 2 or not lines[-2].strip():
        return False
    return bool(INTRODUCTIONS.owners(normal_form(without_addresses(lines[-2]))))


def _mentions(number: int, line: str, *, is_sentence: bool, is_announced: bool) -> list[Mention]:
    found: list[Mention] = []
    for start, address in addresses_in(line):
        before = line[:start]
        if "." not in address.rpartition("@")[2] or "://" in before[-80:]:
            continue
        if _STAFF.match(address) and not _BULLET.fullmatch(before):
            continue  # whom to ask for help, unless it opens the line
        if _NOT_A_RECIPIENT.search(before) and not _ORIGIN.search(before):
            continue
        rank = _rank(before, is_sentence=is_sentence, is_first=not found)
        found.append(Mention(number, address, rank, is_announced))
    return found


def _rank(before: str, *, is_sentence: bool, is_first: bool) -> Rank:
    """Return how surely an address that follows `before` on its line is a failed one."""
    start = before.strip()
    if _CODE.fullmatch(before) or start.startswith((">>>", "In:", "Out:")):
        return Rank.TRANSCRIPT
    if start.startswith("<<<") or _HEADER_LINE.match(start) or _ORIGIN.search(before):
        return Rank.MENTION
    if _BULLET.fullmatch(before) or (is_first and _LABEL.fullmatch(before)):
        return Rank.ENTRY
    return Rank.SENTENCE if is_sentence else Rank.MENTION
