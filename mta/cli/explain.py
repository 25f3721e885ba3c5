"""What a queue entry waits for, in one line for people: the sentence that ends a support case.

What that is decides core/explain.py, for the API too; here it gets its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.cli.output import clock, distance
from mta.core.explain import Block, Constraint, Explanation, explain
from storage import engine_state
from storage.messages import RecipientView
from storage.queue import EntryView

_OWN_TIME = frozenset({Constraint.RETRY, Constraint.SCHEDULE})


def explanation_of(entry: EntryView | RecipientView, blocks: Sequence[Block], now: datetime) -> str:
    """Return one line; "" for an entry that waits for nothing any more."""
    found = explain(engine_state.standing(entry), blocks, now)
    return line(found, now) if found else ""


def line(found: Explanation, now: datetime) -> str:
    """Return an explanation with its time."""
    if found.until is None:
        return found.sentence
    until = f"{clock(found.until)} ({distance(found.until, now)})"
    if found.constraint in _OWN_TIME:
        return f"next attempt {until}: {found.sentence}"
    return f"until {until}: {found.sentence}"
