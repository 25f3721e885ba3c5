"""The rules in [suppression]: one short sentence for each class of failure.

    "never"
    "at once"                              with the first hard failure, until somebody lifts it
    "at once for 90d"                      the same, for a while
    "3 within 30d apart 20h for 30d"       when it repeats; "apart" and "for" may be left out

Not here: what a rule does (mta/core/suppression.py), and which classes may have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from config import units
from mta.core.bounce import BounceClass
from mta.core.suppression import Rule, SuppressionPolicy

NEVER = "never"
_RULE = re.compile(
    r"(?:at once|(?P<failures>[0-9]{1,3}) within (?P<within>[0-9.]+[a-z]+)"
    r"(?: apart (?P<apart>[0-9.]+[a-z]+))?)(?: for (?P<lasts>[0-9.]+[a-z]+))?"
)


def reader(value: object) -> str:
    """Return a rule as it is written, with single spaces and in lower case.

    Raises:
        BadValueError: not a sentence of that form.
    """
    text = " ".join(units.text(value).lower().split())
    if text != NEVER:
        _rule(text)
    return text


def policy(rules: Mapping[BounceClass, str]) -> SuppressionPolicy:
    """Return the policy that the sentences make.

    Raises:
        PolicyError: a rule that makes no sense for its class.
    """
    return SuppressionPolicy({one: _rule(text) for one, text in rules.items() if text != NEVER})


def _rule(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise units.BadValueError(
            'must be "never", "at once", or such as "3 within 30d apart 20h for 30d"'
        )
    lasts = None if match["lasts"] is None else units.duration(match["lasts"])
    if match["failures"] is None:
        return Rule(lasts=lasts)
    apart = timedelta(0) if match["apart"] is None else units.duration(match["apart"])
    return Rule(int(match["failures"]), units.duration(match["within"]), apart, lasts)
