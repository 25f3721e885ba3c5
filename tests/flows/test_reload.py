"""SIGHUP: the server goes on with its configuration as it is then, and loses nothing over it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

MAIL = b"From: app@sender.test\r\nTo: you@dest.test\r\nSubject: s\r\n\r\nbody\r\n"
NOWHERE = {"*": "smtp://127.0.0.1:1"}


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - another process, which sets no events
            await asyncio.sleep(0.02)


def hang_up(engine: Engine, config: str) -> None:
    engine.config.write_text(config)
    assert engine.process is not None
    os.kill(engine.process.pid, signal.SIGHUP)


def pids(engine: Engine) -> dict[str, int]:
    found: dict[str, int] = json.loads((engine.data / "endpoints.json").read_text())["processes"]
    return found


async def submit_at_last(engine: Engine, recipient: str) -> None:
    """Submit as clients do: again, when the server ends their session; the port is always open."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(submit, engine, recipient):
            pass


def submit(engine: Engine, recipient: str) -> bool:
    try:
        client = smtplib.SMTP("127.0.0.1", engine.smtp_port, timeout=20)
        with closing(client):  # QUIT may be answered by 421
            client.sendmail("app@sender.test", recipient, MAIL)
    except smtplib.SMTPException:
        return False
    return True


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_reload_takes_over_what_is_good_and_nothing_else(
    tmp_path: Path, processes: int
) -> None:
    async with Receiver() as receiver:
        pin = f"smtp://{receiver.address}:{receiver.port}"
        old = configuration(routing=NOWHERE, processes=processes)
        new = configuration(routing={"*": pin}, processes=processes)
        async with running(tmp_path, old) as engine:
            before = pids(engine)
            await engine.submit(MAIL, "app@sender.test", "before@dest.test")

            for number, (bad, reason) in enumerate(
                [
                    ("this is no TOML", "the old settings stay"),
                    (new.replace('"data"', '"elsewhere"'), "server.data_dir: needs a restart"),
                    (new + '[bounces]\nrules = "none.toml"\n', "none.toml"),
                ],
                start=1,
            ):
                hang_up(engine, bad)
                await until(lambda: engine.log().count("the old settings stay") == number)  # noqa: B023
                assert reason in engine.log()
            assert pids(engine) == before

            hang_up(engine, new)
            for number in range(20):
                await submit_at_last(engine, f"during{number}@dest.test")
            await until(lambda: engine.log().count("serving") > 1)
            if processes > 1:
                assert not set(pids(engine).values()) & set(before.values())
            await submit_at_last(engine, "after@dest.test")
            got = await receiver.wait_for(22)
            assert await engine.stop() == 0
    assert len({one.recipients[0] for one in got}) == len(got) == 22
    assert "Traceback" not in engine.log()
