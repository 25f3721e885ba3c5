"""When a failed delivery stops all further mail to an address, and for how long.

Only failures that are about the mailbox or its domain ever do. A refusal for reputation,
authentication, policy or content says nothing about the recipient: suppressing on it would lose a
good address through our own fault, so a policy that asks for that is refused.

Not here: complaints and unsubscriptions, which suppress at once and need no decision, and where
suppressions are kept (storage/suppressions.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from types import MappingProxyType

from mta.core.bounce import HARD, BounceClass
from mta.core.frozen import frozen

REPEATED_ONLY = frozenset({BounceClass.MAILBOX_FULL, BounceClass.RELAY_DENIED})
"""Classes that suppress only when they repeat: a full mailbox is emptied, and a host that denies
relaying may be about to learn its new domain."""
ALLOWED = HARD | REPEATED_ONLY
"""The classes that a policy may name."""
MAX_FAILURES = 100
MAX_SPAN = timedelta(days=36_500)
"""A longer time is a slip of the pen, and the calendar has an end."""


class PolicyError(ValueError):
    """The policy cannot be: one line that names the class and says why."""


@frozen
class Rule:
    """What failures of one class lead to.

    Attributes:
        failures: how many it takes. With 1, at once, only a hard failure does it; with more, soft
            ones count like hard ones.
        within: the time in which they happen; of no account where failures is 1.
        apart: failures that follow a counted one within this time are not counted: one bad
            afternoon with ten mails is one failure.
        lasts: how long the address is suppressed; None until somebody lifts it.
    """

    failures: int = 1
    within: timedelta = timedelta(days=30)
    apart: timedelta = timedelta(hours=20)
    lasts: timedelta | None = None


DEFAULT_RULES: Mapping[BounceClass, Rule] = MappingProxyType(
    {
        BounceClass.BAD_MAILBOX: Rule(),
        # A domain may drop out of the DNS for a day, and an expired one is often renewed.
        BounceClass.BAD_DOMAIN: Rule(failures=2, lasts=timedelta(days=90)),
        BounceClass.INACTIVE_MAILBOX: Rule(failures=2, lasts=timedelta(days=180)),
        BounceClass.MAILBOX_FULL: Rule(failures=3, lasts=timedelta(days=30)),
    }
)


@frozen
class SuppressionPolicy:
    """Which classes suppress and how; a class without a rule never does.

    Attributes:
        rules: by class.
        sandbox_domain: what goes there is made up, and tells nothing of an address; "" for none.

    Raises:
        PolicyError: a rule for a class that is not ALLOWED, or one that makes no sense.
    """

    rules: Mapping[BounceClass, Rule] = field(default_factory=lambda: DEFAULT_RULES)
    sandbox_domain: str = ""

    def __post_init__(self) -> None:
        for bounce_class, rule in self.rules.items():
            if problem := _problem(bounce_class, rule):
                raise PolicyError(f"{bounce_class.value}: {problem}")

    def decide(
        self,
        bounce_class: BounceClass,
        *,
        is_hard: bool,
        earlier: Iterable[datetime],
        now: datetime,
    ) -> Suppress | Keep:
        """Return what one failure, the newest, does to its address.

        Args:
            bounce_class: what kind of failure it is.
            is_hard: whether that failure alone says that the address gets no more mail.
            earlier: when mail to the address failed with this class before, in any order; older
                ones than the rule's `within` may be left out, and so should be those from before
                the address proved alive.
            now: when this failure was learned (aware, UTC).
        """
        rule = self.rules.get(bounce_class)
        if rule is None:
            return Keep.CLASS
        if rule.failures == 1 and not is_hard:
            return Keep.SOFT
        if _count(earlier, rule, now) < rule.failures:
            return Keep.TOO_FEW
        return Suppress(bounce_class, None if rule.lasts is None else now + rule.lasts)


NO_SUPPRESSION = SuppressionPolicy({})
"""Nothing suppresses."""


@frozen
class Suppress:
    """No more mail to the address until `until` (aware, UTC); None until somebody lifts it."""

    reason: BounceClass
    until: datetime | None


class Keep(enum.Enum):
    """The address still gets mail, and why."""

    CLASS = "class"
    """Failures of this class do not suppress."""
    SOFT = "soft"
    """Only a hard failure of this class does."""
    TOO_FEW = "too_few"
    """There were not enough failures in the time."""


def _problem(bounce_class: BounceClass, rule: Rule) -> str:
    """Return what is wrong with a rule, "" for nothing."""
    if bounce_class not in ALLOWED:
        return "never suppresses, it does not say that the address is bad"
    if not 1 <= rule.failures <= MAX_FAILURES:
        return f"failures must be 1 to {MAX_FAILURES}"
    if bounce_class in REPEATED_ONLY and rule.failures < 2:
        return "failures must be at least 2, one alone passes"
    return _problem_in_time(rule)


def _problem_in_time(rule: Rule) -> str:
    if rule.lasts is not None and rule.lasts <= timedelta(0):
        return "the suppression must last longer than no time"
    if max(rule.within, rule.apart, rule.lasts or timedelta(0)) > MAX_SPAN:
        return f"no time may be longer than {MAX_SPAN.days} days"
    if rule.apart < timedelta(0) or rule.within < rule.apart * (rule.failures - 1):
        return f"{rule.failures} failures so far apart do not fit into the time they must happen in"
    return ""


def _count(earlier: Iterable[datetime], rule: Rule, now: datetime) -> int:
    """Return how many failures count, the one at `now` included, from the newest back."""
    counted = 1
    last = now
    for at in sorted(earlier, reverse=True):
        if now - at <= rule.within and last - at >= rule.apart and at <= now:
            counted += 1
            last = at
    return counted
