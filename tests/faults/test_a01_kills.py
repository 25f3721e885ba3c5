"""SIGKILL at random moments under SMTP and HTTP load: nothing is lost, little is repeated. (A01)"""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.faults.harness.kills import Plan, Result, run
from tests.faults.harness.targets import Mailwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITE_CONNECTIONS = 20
"""delivery.max_connections_per_site: deliveries that can be under way to the one receiver."""


async def kill(directory: Path, plan: Plan) -> Result:
    result, engine = await run(
        lambda port: Mailwright(directory, port), plan, secrets.randbelow(10**6)
    )
    print(result)
    assert isinstance(engine, Mailwright)
    assert not result.lost, result
    assert not result.trouble
    assert not result.unknown
    assert result.acknowledged > 100 * plan.kills
    assert result.drained < 60
    states = engine.entries()
    assert all(state.is_final for found in states.values() for state in found)
    assert all(len(found) == 1 for to, found in states.items() if to.startswith("h"))
    engine.check_integrity()
    return result


async def test_a01_killing_the_whole_server_25_times_loses_nothing(tmp_path: Path) -> None:
    result = await kill(tmp_path, Plan(25))
    # The peer has each of them; what it took is written down right after, a group at a time.
    assert result.repeated <= sum(
        min(claimed, 2 * SITE_CONNECTIONS) for claimed in result.claimed
    ), result


async def test_a01_killing_one_process_10_times_loses_nothing(tmp_path: Path) -> None:
    result = await kill(tmp_path, Plan(10, is_one=True))
    assert result.repeated <= 10 * 2 * SITE_CONNECTIONS, result
