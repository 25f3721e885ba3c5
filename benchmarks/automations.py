"""Runs of automations: steps a second, and what those cost that only wait.

`python -m benchmarks.automations [--runs 5000] [--waiting 100000]`. Contacts enter an automation
and wait; a turn of the runner is timed among few and among many that wait. Then the few go on: a
tag, a mail of 2 KB that is rendered and accepted, the end. In one process, without HTTP and
delivery. Prints the figures and writes benchmarks/results/*.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.delivery import RESULTS
from config.settings import Api, Policy, Server, Settings
from control_api.automation_runner import AutomationRunner
from control_api.automation_tools import Tools
from control_api.http_client import HttpClient
from control_api.personal_mail import Composer
from control_api.tracker import Tracker
from control_api.webhook_message import SECRET_SIZE, format_secret
from mta.core.automation import Reentry
from mta.core.event import JsonValue
from mta.core.template import Source
from storage import automation_runs, automations, contacts, templates
from storage.automation_runs import Entrant
from storage.automations import ACTIVE, NewAutomation
from storage.contacts import NewContact
from storage.database import Connection, Database

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://mail.sender.test"
BATCH = 1000
TURNS = 200
DAY = timedelta(days=1)


class Clock:
    """Stands still until it is moved."""

    now = START

    def __call__(self) -> datetime:
        return self.now


class Bench:
    """A database and a runner on it."""

    def __init__(self, directory: Path, client: HttpClient) -> None:
        self.clock = Clock()
        self.database = Database.open(directory)
        settings = Settings(
            server=Server(hostname="mta.sender.test", data_dir=directory),
            api=Api(public_url=URL),
            policy=Policy(require_verified_domain=False),
        )
        tracker = Tracker(self.database, URL)
        composer = Composer(
            settings, tracker, self.database.spool, now=self.clock, entropy=os.urandom
        )
        tools = Tools(self.database, client, composer, lambda: None, self.clock, random.Random(1))
        self.runner = AutomationRunner(tools)

    async def fill(self, count: int, days: int) -> float:
        """Let so many enter an automation that waits first; return how many do in a second."""
        prepare = partial(self._prepare, count=count, days=days)
        row, people = await self.database.write(prepare)
        started = time.perf_counter()
        for start in range(0, count, BATCH):
            some = [Entrant(row, one, Reentry.AFTER_END) for one in people[start : start + BATCH]]
            await self.database.write(partial(_enter, entrants=some))
        return count / (time.perf_counter() - started)

    def _prepare(self, connection: Connection, count: int, days: int) -> tuple[int, list[int]]:
        source = Source(
            "Hello {{ name | default: email }}", f"<p>Hi {{{{ email }}}}</p>{'x' * 1500}"
        )
        template = templates.create(connection, 1, "t", source, now=START)
        found = templates.get(connection, 1, template)
        assert found is not None
        templates.publish(connection, found, 1, now=START)
        steps: list[JsonValue] = [
            {"type": "wait", "days": days},
            {"type": "tag", "add": ["x"]},
            {"type": "send", "template_id": template, "from": "shop@sender.test"},
        ]
        new = NewAutomation("a", ACTIVE, "api", {"trigger": {"type": "api"}, "steps": steps})
        secret = format_secret(os.urandom(SECRET_SIZE))
        name = automations.create(connection, 1, new, secret=secret, is_test=False, now=START)
        made = automations.get(connection, 1, name)
        assert made is not None
        emails = [f"p{count}.{number}@dest.test" for number in range(count)]
        people = [NewContact(email, email) for email in emails]
        rows = contacts.upsert_all(connection, 1, people, now=START).rows
        return made.row, list(rows.values())

    async def work(self) -> tuple[float, float]:
        """Do all that is due; return seconds and CPU seconds."""
        started, cpu = time.perf_counter(), time.process_time()
        until: datetime | None = self.clock.now
        while until is not None and until <= self.clock.now:
            async with asyncio.TaskGroup() as group:
                until = await self.runner.turn(group)
        return time.perf_counter() - started, time.process_time() - cpu

    async def idle(self) -> float:
        """Return the seconds that a turn takes in which nothing is due."""
        return sum([(await self.work())[0] for _ in range(TURNS)]) / TURNS


def _enter(connection: Connection, entrants: list[Entrant]) -> None:
    for one in entrants:
        automation_runs.enter(connection, one, now=START)


async def measure(runs: int, waiting: int, directory: Path) -> dict[str, float]:
    """Return the figures by name."""
    client = HttpClient(timeout=timedelta(seconds=5))
    bench = Bench(directory, client)
    found = {"entered_per_s": await bench.fill(runs, 1)}
    _, cpu = await bench.work()
    found["wait_cpu_us"] = cpu / runs * 1e6
    found[f"turn_ms_{runs}_waiting"] = await bench.idle() * 1000
    await bench.fill(waiting, 2)
    await bench.work()
    found[f"turn_ms_{waiting}_waiting"] = await bench.idle() * 1000
    bench.clock.now += DAY
    seconds, cpu = await bench.work()
    found |= {"tag_mail_end_per_s": runs / seconds, "tag_mail_end_cpu_us": cpu / runs * 1e6}
    await client.close()
    [(mails,)] = bench.database.read_now(
        lambda db: db.execute("SELECT COUNT(*) FROM messages").fetchall()
    )
    assert mails == runs
    bench.database.close()
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Read the options, measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--waiting", type=int, default=100_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(measure(options.runs, options.waiting, Path(directory)))
    for name, value in found.items():
        print(f"{name:28} {value:>12,.3f}")
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"automations-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
