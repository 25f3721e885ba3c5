"""Webhook steps of automations: signed posts, and what follows from their outcomes.

One worker for each automation that has some due, so that an endpoint that is slow or dead holds up
nobody else. A post is made before its outcome is written down: it arrives at least once, and all
tries of a step have the same webhook-id. Not here: bytes on the wire (http_client.py), the
endpoints of a tenant (webhook_sender.py).
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from control_api.automation_effects import FAILED, RETRYING, Ended, moved, type_of
from control_api.automation_jobs import Job, read_jobs
from control_api.automation_tools import Tools
from control_api.http_client import Answered, Posted
from control_api.routes import timestamp
from control_api.webhook_message import headers_of
from control_api.webhook_plan import wished_wait
from mta.core.automation import Post
from mta.core.automation_plan import Place, webhook_retry
from mta.core.json_text import encode
from storage import automation_runs, automations
from storage.automation_runs import Done, Move
from storage.automations import AutomationRecord
from storage.database import Connection

TYPE = "automation.webhook"
"""The `type` of the body."""
AT_ONCE = 8
"""Posts of one automation under way."""
ALTOGETHER = 64
"""Posts of all automations under way."""
_MAX_DETAIL = 500


class Posts:
    """Posts what webhook steps say."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._places = asyncio.Semaphore(ALTOGETHER)

    async def work_off(self, row: int) -> None:
        """Make all posts of an automation that are due.

        Raises:
            StorageError: call again; what was posted last is posted once more then.
        """
        while True:
            now = self._tools.now()
            found = await self._tools.database.read(partial(self._read, row=row, now=now))
            if found is None:
                return
            automation, jobs = found
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._step(automation, job)) for job in jobs]
            moves = [task.result() for task in tasks]
            await self._tools.database.write(partial(self._write, moves=moves))

    def _read(
        self, connection: Connection, row: int, now: datetime
    ) -> tuple[AutomationRecord, list[Job]] | None:
        automation = automations.by_row(connection, row)
        if automation is None or automation.status != automations.ACTIVE:
            return None
        runs = automation_runs.due(connection, row, posts=True, now=now, limit=AT_ONCE)
        return (automation, read_jobs(connection, self._tools, automation, runs)) if runs else None

    async def _step(self, automation: AutomationRecord, job: Job) -> Move:
        """Make one post; return where its run is then."""
        place, post = job.place, job.post
        if place is None or post is None:  # what it depended on has changed since it failed
            return Move(job.run, job.run.position, self._tools.now())
        async with self._places:
            outcome = await self._post(automation, job, place, post)
        return self._settled(job, place, outcome)

    async def _post(
        self, automation: AutomationRecord, job: Job, place: Place, post: Post
    ) -> Posted:
        at = self._tools.now()
        body = encode({"type": TYPE, "timestamp": timestamp(at), "data": _data(automation, job)})
        headers = headers_of(f"{job.run.id}_{place.position}", at, body, [automation.secret])
        return await self._tools.client.post(post.url, body, headers)

    def _settled(self, job: Job, place: Place, outcome: Posted) -> Move:
        now, run, attempts = self._tools.now(), job.run, job.run.attempts + 1
        if outcome.is_success:
            return moved(job, place, Ended(detail=_told(outcome)), now)
        again = webhook_retry(attempts, now, wished_wait(outcome), self._tools.rng.random())
        if again is None:
            return moved(job, place, Ended(FAILED, _told(outcome)), now)
        done = Done(place.path, type_of(place), RETRYING, _told(outcome))
        return Move(run, place.position, again, posts=True, attempts=attempts, done=done)

    def _write(self, connection: Connection, moves: list[Move]) -> None:
        current = automation_runs.current(connection, [one.run for one in moves])
        kept = [one for one in moves if one.run.row in current]
        automation_runs.move(connection, kept, now=self._tools.now())


def _told(outcome: Posted) -> str:
    if isinstance(outcome, Answered):
        return f"HTTP {outcome.status}"
    return outcome.error[:_MAX_DETAIL]


def _data(automation: AutomationRecord, job: Job) -> dict[str, object]:
    run, contact = job.run, job.person.contact
    member = job.person.members.get(run.audience_id)
    return {
        "automation_id": automation.id,
        "automation_name": automation.name,
        "run_id": run.id,
        "step": job.place.path if job.place else "",
        "contact": {
            "id": contact.id,
            "email": contact.email,
            "name": contact.name or None,
            "properties": contact.properties,
            "tags": contact.tags,
        },
        "audience_id": run.audience_id or None,
        "fields": member.values if member else {},
        "data": run.data,
    }
