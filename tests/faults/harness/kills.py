"""One run: load, kills at random moments, drain, and what the ledger says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.postfix import Postfix
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright

DRAIN = 60.0
"""Seconds in which everything acknowledged must have arrived after the last kill."""


@dataclass
class Result:
    """What a run showed.

    Attributes:
        acknowledged, arrived, repeated: counts of recipients and deliveries, see Ledger.
        lost: acknowledged recipients that never arrived.
        kills: how many.
        claimed: at each kill, the entries that the server's storage says are in its memory; -1: it
            cannot be asked.
        sessions: at each kill, the receiver's connections: deliveries under way.
        drained: seconds until the last of them arrived, DRAIN when it did not.
        p99: seconds within which 99 % of acknowledgements came, kills included.
        trouble: answers that nobody expected.
        unknown: recipients of what arrived though nobody submitted it: reports of failures.
        victims: what was killed.
    """

    seed: int
    kills: int
    acknowledged: int
    arrived: int
    repeated: int
    lost: set[str]
    claimed: list[int]
    sessions: list[int]
    drained: float
    p99: float
    trouble: list[str]
    unknown: set[str] = field(default_factory=set)
    victims: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"kills {self.kills}, acknowledged {self.acknowledged}, lost {len(self.lost)}, "
            f"repeated {self.repeated} ({self.repeated / max(self.kills, 1):.1f} per kill, "
            f"{self.repeated / max(sum(self.sessions), 1):.2f} for each of {sum(self.sessions)} "
            f"sessions at the kills), drained in {self.drained:.1f} s, "
            f"p99 {self.p99 * 1000:.0f} ms, seed {self.seed}"
        )


@dataclass(frozen=True)
class Plan:
    """How to kill.

    Attributes:
        kills: how many times.
        apart: shortest and longest time between start and kill, in seconds.
        is_one: kill one process instead of the group.
        clients, callers: over SMTP and over HTTP.
        rate: messages a second of all of them, 0 for as many as are taken.
    """

    kills: int
    apart: tuple[float, float] = (0.8, 2.3)
    is_one: bool = False
    clients: int = 4
    callers: int = 4
    rate: float = 0


async def run(
    make: Callable[[int], Mailwright | Postfix], plan: Plan, seed: int
) -> tuple[Result, Mailwright | Postfix]:
    """Run a plan; the server has been stopped in order at the end, its files are left.

    Args:
        make: makes the server that delivers to a port.
        plan: how.
        seed: of every random choice.
    """
    draws, ledger = Random(seed), Ledger()
    load = Load(ledger, rate=plan.rate)
    async with Recorder(ledger, draws) as receiver:
        target = make(receiver.port)
        try:
            await target.start()
            api = (target.api_port, target.key) if isinstance(target, Mailwright) else None
            load.start(target.smtp_port, plan.clients, api=api, callers=plan.callers)
            moments = await _kill(target, receiver, plan, draws)
            await load.stop()
            drained = await drain(ledger)
            if isinstance(target, Mailwright):
                await settle(target)
            await target.stop()
        finally:
            await target.abandon()
    result = Result(
        seed=seed,
        kills=plan.kills,
        acknowledged=len(ledger.acknowledged),
        arrived=ledger.arrived.total(),
        repeated=ledger.repeated(),
        lost=ledger.missing(),
        claimed=moments.claimed,
        sessions=moments.sessions,
        drained=drained,
        p99=ledger.slowest(),
        trouble=load.trouble,
        unknown=ledger.unknown(),
        victims=moments.victims,
    )
    return result, target


@dataclass
class _Moments:
    """What was under way at each kill."""

    claimed: list[int] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    victims: list[str] = field(default_factory=list)


async def _kill(
    target: Mailwright | Postfix, receiver: Recorder, plan: Plan, draws: Random
) -> _Moments:
    moments = _Moments()
    for _ in range(plan.kills):
        await asyncio.sleep(draws.uniform(*plan.apart))  # the random moment is the point
        moments.sessions.append(receiver.sessions)
        if plan.is_one:
            moments.victims.append(await target.kill_one(draws))
        else:
            moments.claimed.append(await target.kill())
            await target.start()
    return moments


async def settle(target: Mailwright, within: float = DRAIN) -> None:
    """Wait until nothing is queued: what arrived right before a kill waits to be repeated."""
    until = time.monotonic() + within
    while time.monotonic() < until and any(not state.is_final for state in target.states()):
        await asyncio.sleep(0.1)


async def drain(ledger: Ledger, within: float = DRAIN) -> float:
    """Wait until everything acknowledged has arrived; return how long it took, at most `within`."""
    began = time.monotonic()
    while ledger.missing() and time.monotonic() - began < within:
        await asyncio.sleep(0.1)
    return time.monotonic() - began
