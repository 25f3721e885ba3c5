"""A user made on the command line logs in at a real server, and is out at once when removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.engine import Engine, configuration, running

ON = "\n[api.login]\nenabled = true\n"
ANT = "ant@shop.example"
FIRST, SECOND = b"correct horse battery\n", b"tall oak 1024 leaves\n"


async def log_in(engine: Engine, line: bytes) -> Any:
    body = {"email": ANT, "password": line.decode().strip()}
    return await engine.call("POST", "/v1/login", body, {"Authorization": ""})


async def status(engine: Engine, token: str) -> int:
    answer = await engine.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status


async def mta(engine: Engine, *arguments: str, stdin: bytes = b"") -> None:
    code, _, errors = await engine.mta(*arguments, stdin=stdin)
    assert code == 0, errors


async def test_a_user_from_the_command_line_to_the_api(tmp_path: Path) -> None:
    async with running(tmp_path, configuration(extra=ON)) as engine:
        await mta(engine, "user", "add", ANT, "--role", "viewer", stdin=FIRST)
        session = await log_in(engine, FIRST)
        assert session.status == 200
        assert await status(engine, session.body["token"]) == 200
        await mta(engine, "user", "password", ANT, stdin=SECOND)
        assert await status(engine, session.body["token"]) == 401
        assert (await log_in(engine, FIRST)).status == 401
        again = await log_in(engine, SECOND)
        assert await engine.stop() == 0
        await engine.start()  # tokens outlive a restart
        assert await status(engine, again.body["token"]) == 200
        await mta(engine, "user", "remove", ANT)
        assert await status(engine, again.body["token"]) == 401
        assert await engine.stop() == 0
    logged = engine.log()
    assert FIRST.decode().strip() not in logged
    assert again.body["token"] not in logged
