"""The explain block of recipients that wait: what holds one, and until when.

Not here: what that is (core/explain.py, which the command line asks too).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from control_api.routes import timestamp
from mta.core.explain import Block, explain
from storage import engine_state
from storage.messages import RecipientView


def explain_block(
    recipient: RecipientView, blocks: Sequence[Block], now: datetime
) -> dict[str, object] | None:
    """Return the block; None (null) for a recipient that waits for nothing any more."""
    found = explain(engine_state.standing(recipient), blocks, now)
    if found is None:
        return None
    return {
        "constraint": found.constraint.value,
        "sentence": found.sentence,
        "until": timestamp(found.until) if found.until else None,
    }
