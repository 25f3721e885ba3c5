"""A real server against thirty ways in which a receiver misbehaves, all at once. (E02-E17, E21)"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.engine import configuration, running
from tests.support.evil_receiver import EVILS, Evil
from tests.support.receiver import Receiver

MESSAGE = b"From: a@sender.test\r\nSubject: s\r\nMessage-ID: <%s@sender.test>\r\n\r\nbody\r\n"
HURRIED = """
greeting_timeout = "1s"
command_timeout = "1s"
final_timeout = "1s"
retry = { first = "1h", ceiling = "1h", lifetime = "2h" }
"""


async def serving(stack: AsyncExitStack, evil: Evil) -> Receiver:
    return await stack.enter_async_context(Receiver(script=evil.script, extensions=evil.extensions))


async def test_e02_e03_e04_e05_e06_e07_e12_e13_e14_e15_e17_e21_each_has_its_verdict(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        receivers = {name: await serving(stack, evil) for name, evil in EVILS.items()}
        routing = {
            f"{name}.test": f"smtp://127.0.0.1:{receiver.port}"
            for name, receiver in receivers.items()
        }
        good = await stack.enter_async_context(Receiver())
        routing["good.test"] = f"smtp://127.0.0.1:{good.port}"
        config = configuration(routing=routing, delivery=HURRIED)
        engine = await stack.enter_async_context(running(tmp_path, config))
        until = await stack.enter_async_context(engine.journal())
        for name in EVILS:
            await engine.submit(MESSAGE % name.encode(), "a@sender.test", f"bee@{name}.test")
        await engine.submit(MESSAGE % b"good", "a@sender.test", "bee@good.test")
        await until(kind="delivered", recipient="bee@good.test")
        for name, evil in EVILS.items():
            (event,) = await until(kind=evil.kind, recipient=f"bee@{name}.test")
            assert event["data"].get("attempt", 1) == 1, event
        log = engine.log()
    for name, evil in EVILS.items():
        assert receivers[name].message_ids.total() == evil.dots, name
    assert "Traceback" not in log
