"""What runs of automations do when they are due: some of one automation at a time.

    read      runs, people, what mails are made of     a snapshot
    compose   mails                                    a thread
    write     effects, and where the runs are now      one transaction

A run whose pause, end or other move came in between is left alone. So a mail is accepted in the
transaction in which its run moves on: once, whatever happens to the process. Not here: webhooks,
which have workers of their own (automation_posts.py), single effects (automation_effects.py).
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from control_api.automation_effects import Actor
from control_api.automation_jobs import Job, read_jobs
from control_api.automation_mail import Mails, Materials, compose, materials
from control_api.automation_tools import Tools
from control_api.submissions import discard
from mta.core.frozen import frozen
from storage import automation_runs, automations, faults
from storage.automation_runs import Move, RunState
from storage.automations import AutomationRecord
from storage.database import Connection

BATCH = 100
"""Runs of one automation in one transaction."""


@frozen
class _Batch:
    """What is next for runs of one automation, and what their mails are made of."""

    automation: AutomationRecord
    jobs: tuple[Job, ...]
    materials: Materials


@frozen
class _Outcome:
    """Which mails were accepted, and whether there is anything new for others to look at."""

    accepted: frozenset[str]
    is_news: bool


class Work:
    """Moves runs on."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def advance(self, row: int) -> None:
        """Do the next step of some runs of an automation that are due.

        Raises:
            StorageError: call again.
        """
        tools, now = self._tools, self._tools.now()
        batch = await tools.database.read(partial(self._read, row=row, now=now))
        if batch is None:
            return
        mails = Mails()
        if batch.materials:
            mails = await asyncio.to_thread(
                compose, tools.composer, batch.automation, batch.materials, batch.jobs, now
            )
        actor = Actor(batch.automation, mails, tools.composer.policy, now)
        outcome = await tools.database.write(lambda db: _write(db, batch, actor))
        faults.reach("after_automation_step")
        if outcome.is_news:
            tools.kick()
        if refused := mails.without(outcome.accepted):
            await asyncio.to_thread(discard, refused, tools.database.spool)

    def _read(self, connection: Connection, row: int, now: datetime) -> _Batch | None:
        automation = automations.by_row(connection, row)
        if automation is None:
            return None
        runs = automation_runs.due(connection, row, posts=False, now=now, limit=BATCH)
        jobs = tuple(read_jobs(connection, self._tools, automation, runs))
        return _Batch(automation, jobs, materials(connection, automation, jobs))


def _write(connection: Connection, batch: _Batch, actor: Actor) -> _Outcome:
    """Do what is next, and write down where the runs are then."""
    current = automation_runs.current(connection, [job.run for job in batch.jobs])
    jobs = [job for job in batch.jobs if job.run.row in current and actor.is_ready(job)]
    accepted = actor.accept(connection, jobs)
    moves = [
        Move(job.run, job.run.position, None, RunState.COMPLETED)
        if job.place is None
        else actor.move(connection, job, job.place, accepted)
        for job in jobs
    ]
    faults.reach("before_automation_step")
    automation_runs.move(connection, moves, now=actor.now)
    email_ids = frozenset(one.email_id for one in accepted.values() if one.email_id)
    return _Outcome(email_ids, is_news=any(move.done is not None for move in moves))
