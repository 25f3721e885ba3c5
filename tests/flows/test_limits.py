"""What a key has used is known after a restart."""

from __future__ import annotations

from pathlib import Path

from tests.support.engine import configuration, running

LIMITS = '\n[api.limits]\nrequests = ["3/d"]\nexempt_networks = []\n'


async def test_j08_limits_and_last_use_survive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, configuration(extra=LIMITS)) as engine:
        for _ in range(2):
            assert (await engine.call("GET", "/v1/me")).status == 200
        assert await engine.stop() == 0
        await engine.start()
        last = await engine.call("GET", "/v1/me")
        assert last.status == 200
        assert last.body["api_key"]["last_used_at"] is not None
        assert last.headers["x-ratelimit-remaining"] == "0"
        refused = await engine.call("GET", "/v1/me")
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 3600


async def test_i06_a_key_revoked_on_the_command_line_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as engine:
        me = await engine.call("GET", "/v1/me")
        code, _, errors = await engine.mta("key", "revoke", me.body["api_key"]["id"])
        assert code == 0, errors
        assert (await engine.call("GET", "/v1/me")).status == 401
