"""What goes wrong beside the doors, and nobody expected: mail comes and goes as ever."""

from __future__ import annotations

import asyncio
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path

from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

MESSAGE = b"From: a@sender.test\r\nSubject: still here\r\n\r\nhello\r\n"
FAILURES = 'mailwright_job_failures_total{job="automations"}'
ERRORS = "mailwright_errors_logged_total"


def write(engine: Engine, statement: str) -> None:
    with closing(sqlite3.connect(engine.data / "mailwright.db")) as database:
        database.execute(statement)
        database.commit()


async def figure(engine: Engine, name: str) -> int:
    lines = (await asyncio.to_thread(metrics, engine)).splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[-1])


def metrics(engine: Engine) -> str:
    with urllib.request.urlopen(f"{engine.api}/metrics", timeout=20) as answer:  # noqa: S310
        return str(answer.read(), "ascii")


async def test_a_job_that_fails_leaves_doors_and_deliveries_alone(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        routes = {"*": f"smtp://{receiver.address}:{receiver.port}"}
        async with running(tmp_path, configuration(routing=routes, processes=1)) as engine:
            steps = [{"type": "tag", "add": ["seen"]}]
            wish = {"name": "a", "trigger": {"type": "contact.created"}, "steps": steps}
            assert (await engine.call("POST", "/v1/automations", wish)).status == 200
            assert await figure(engine, FAILURES) == 0
            write(engine, "UPDATE counters SET value = '{' WHERE name = 'automations'")
            contact = await engine.call("PUT", "/v1/contacts", {"email": "b@dest.test"})
            await engine.submit(MESSAGE, "a@sender.test", "b@dest.test")
            await receiver.wait_for(1)
            while not await figure(engine, FAILURES):
                await engine.submit(MESSAGE, "a@sender.test", "b@dest.test")
            write(engine, "UPDATE counters SET value = 0 WHERE name = 'automations'")
            async with asyncio.timeout(30):
                while contact.body["tags"] != ["seen"]:
                    contact = await engine.call("GET", "/v1/contacts/b@dest.test")
                while not await figure(engine, ERRORS):  # it is shown once a second
                    pass
            assert await engine.stop() == 0
            assert "automations failed, and will begin anew" in engine.log()
