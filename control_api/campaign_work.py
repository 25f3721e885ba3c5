"""What is done with all that is queued of a campaign: held, released or canceled, step by step.

Each step is a transaction of its own, so that mail does not wait; what a crash interrupts, the
background task goes on with. Not here: what a step does (storage/campaign_queue.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from mta.core.campaign import Todo
from storage import campaign_queue
from storage.campaign_queue import START, Place
from storage.database import Database


async def work_off(
    database: Database, campaign_row: int, todo: Todo, now: Callable[[], datetime]
) -> None:
    """Do it to the end, or until something else is to be done.

    Args:
        database: where the queue is.
        campaign_row: whose emails.
        todo: what is to be done with them.
        now: the current time (aware, UTC).
    """
    place: Place | None = START
    while place is not None:
        step = partial(
            campaign_queue.work_off,
            campaign_row=campaign_row,
            todo=todo,
            place=place,
            now=now(),
        )
        place = await database.write(step)
