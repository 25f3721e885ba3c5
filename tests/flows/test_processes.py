"""Several processes: each may die, the server goes on, and its end is everybody's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mta.doors import Doors
from mta.kick import ACCEPTED, COMING, kick_listener
from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

MAIL = b"From: app@sender.test\r\nTo: you@dest.test\r\nSubject: s\r\n\r\nbody\r\n"
SENDER = "app@sender.test"


def pids(engine: Engine) -> dict[str, int]:
    found: dict[str, int] = json.loads((engine.data / "endpoints.json").read_text())["processes"]
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - other processes, which set no events
            await asyncio.sleep(0.02)


def config(receiver: Receiver, processes: int = 2) -> str:
    routing = {"*": f"smtp://{receiver.address}:{receiver.port}"}
    return configuration(routing=routing, processes=processes)


@pytest.mark.parametrize("name", ["front", "delivery-0"])
async def test_a_process_that_is_killed_is_replaced(tmp_path: Path, name: str) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        await engine.submit(MAIL, SENDER, "one@dest.test")
        before = pids(engine)
        os.kill(before[name], signal.SIGKILL)
        await until(lambda: pids(engine)[name] != before[name])
        await engine.submit(MAIL, SENDER, "two@dest.test")
        got = await receiver.wait_for(2)
        after = pids(engine)
    assert {one.recipients[0] for one in got} >= {"one@dest.test", "two@dest.test"}
    assert {part: pid for part, pid in after.items() if part != name} == {
        part: pid for part, pid in before.items() if part != name
    }


async def test_no_process_interrupts_other_programs(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        policies = {name: os.sched_getscheduler(pid) for name, pid in pids(engine).items()}
    assert policies == {"front": os.SCHED_BATCH, "delivery-0": os.SCHED_BATCH}


async def test_clients_wait_while_the_front_is_replaced(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        os.kill(pids(engine)["front"], signal.SIGKILL)
        await engine.submit(MAIL, SENDER, "waits@dest.test")  # never refused
        [got] = await receiver.wait_for(1)
    assert list(got.recipients) == ["waits@dest.test"]


async def test_nobody_outlives_the_supervisor(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        children = pids(engine)
        await engine.kill()
        await until(lambda: not any(map(is_alive, children.values())))
        await engine.start()
        await engine.submit(MAIL, SENDER, "you@dest.test")
        assert await receiver.wait_for(1)


@pytest.mark.parametrize(("priority", "is_urgent"), [("transactional", True), ("bulk", False)])
async def test_the_front_says_ahead_that_urgent_mail_comes(
    tmp_path: Path, priority: str, is_urgent: bool
) -> None:
    email = {"from": SENDER, "to": "you@dest.test", "subject": "s", "text": "t"}
    kicks: list[bytes] = []
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        with kick_listener(engine.data, kicks.append, "delivery-0"):  # in its place
            answer = await engine.call("POST", "/v1/emails", email | {"priority": priority})
            assert answer.status == 200
            await until(lambda: ACCEPTED in kicks)
            assert (COMING in kicks) is is_urgent
            kicks.clear()
            marked = b"X-MTA-Priority: " + priority.encode() + b"\r\n" + MAIL
            await engine.submit(marked, SENDER, "you@dest.test")
            await until(lambda: ACCEPTED in kicks)
            assert COMING in kicks  # MAIL does not tell what comes


async def test_connections_are_limited_for_all_processes_together(tmp_path: Path) -> None:
    limited = configuration(processes=4).replace(
        "[smtp.submission]", "[smtp.submission]\nmax_connections_per_address = 5"
    )
    async with running(tmp_path, limited) as engine:
        found = [await asyncio.open_connection("127.0.0.1", engine.smtp_port) for _ in range(16)]
        async with asyncio.timeout(20):
            greetings = [(await reader.readline())[:3] for reader, _ in found]
        for _, writer in found:
            writer.close()
    assert (greetings.count(b"220"), greetings.count(b"421")) == (5, 11)


async def test_an_orderly_end_is_everybodys(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        children = pids(engine)
        assert await engine.stop() == 0
        assert not any(map(is_alive, children.values()))
        assert "Traceback" not in engine.log()


async def test_sites_are_shared_among_delivery_processes(tmp_path: Path) -> None:
    names = [f"d{number}.test" for number in range(8)]
    async with Receiver() as receiver:
        routing = dict.fromkeys(names, f"smtp://{receiver.address}:{receiver.port}")
        text = configuration(routing=routing, processes=4)
        async with running(tmp_path, text) as engine:
            assert set(pids(engine)) == {"front", "edge-1", "delivery-0", "delivery-1"}
            for name in names * 3:
                await engine.submit(MAIL, SENDER, f"you@{name}")
            got = await receiver.wait_for(24)
    assert len(got) == 24


async def test_who_comes_after_the_end_has_begun_is_refused(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        port = engine.smtp_port
        assert await engine.stop() == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


def test_doors_are_kept_by_those_who_answer() -> None:
    mail, api = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    doors = Doors(submission=(mail,), api=api)
    doors.close(keep_mail=True)
    assert (mail.fileno() == -1, api.fileno() == -1) == (False, True)
    doors.close()
    assert mail.fileno() == -1
