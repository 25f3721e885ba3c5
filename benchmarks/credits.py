"""What credits cost: CPU seconds per 1,000 messages with them off and on, in turns.

`python -m benchmarks.credits [--count 2000] [--runs 3]`. First storage alone, accepting and
settling in transactions of 50 as the engine does; then the service whole, from injection to
delivery as in delivery.py. Prints a table and writes benchmarks/results/*.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.delivery import RESULTS, Case, Sink, inject
from benchmarks.engine import Engine
from storage import credit_ledger, queue, submissions
from storage.credit_ledger import Movement
from storage.database import Connection, Database
from storage.submissions import AcceptPolicy, Wish
from tests.storage import builders

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT_ONCE = 50
PLENTY = 10**9
CASES = (Case("one recipient each", (), 20), Case("100 recipients each", (), 10, 100, 0.05))


def in_storage(count: int, recipients: int, *, is_on: bool) -> float:
    """Return CPU seconds for 1,000 recipients that are accepted, claimed and delivered."""
    policy = AcceptPolicy(require_verified_domain=False, takes_credits=is_on)
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        database = Database.open(Path(directory))
        database.write_now(give)
        spent = time.process_time()
        for start in range(0, count, AT_ONCE):
            database.write_now(lambda db, n=start: accept(db, n, recipients, policy))  # type: ignore[misc]
            while database.write_now(settle):
                pass
        spent = time.process_time() - spent
        database.close()
    return spent / (count * recipients) * 1000


def give(connection: Connection) -> None:
    """Let the tenant have enough."""
    credit_ledger.adjust(connection, 1, PLENTY, kind=Movement.PURCHASE, description="", now=NOW)


def accept(connection: Connection, start: int, recipients: int, policy: AcceptPolicy) -> None:
    """Accept some messages in one transaction."""
    people = [f"p{number}@example.net" for number in range(recipients)]
    wishes = [Wish(builders.submission(*people), policy) for _ in range(AT_ONCE)]
    submissions.accept_all(connection, wishes, now=NOW)


def settle(connection: Connection) -> int:
    """Claim some recipients and deliver them, in one transaction; return how many."""
    entries = builders.claim(connection, limit=AT_ONCE)
    queue.settle(connection, [builders.settlement(one) for one in entries])
    return len(entries)


def whole(case: Case, count: int, *, is_on: bool) -> float:
    """Return CPU seconds of the service for 1,000 recipients."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = Engine(Path(directory), sink=sink.port, algorithms=[])
        with engine.config.open("a") as config:
            config.write(f"[credits]\nenabled = {json.dumps(is_on)}\n")
        try:
            port = engine.start()
            give_over_http(engine)
            inject(port, case, 100, 10_240, 10_000_000)
            sink.wait_for(100 * case.recipients, 60)
            sink.ask("reset")
            before = engine.usage()
            inject(port, case, count, 10_240, 0)
            sink.wait_for(count * case.recipients, 120)
            spent = engine.usage().cpu_s - before.cpu_s
        finally:
            engine.stop()
            sink.close()
    return spent / (count * case.recipients) * 1000


def give_over_http(engine: Engine) -> None:
    """Do as give(), as an operator does."""
    key = engine.run("key", "create", "--name", "operator", "--scope", "admin").strip()
    address = json.loads((engine.data / "endpoints.json").read_text())["api"]
    request = urllib.request.Request(
        f"http://{address}/v1/credits/adjust",
        json.dumps({"amount": PLENTY}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request):  # noqa: S310
        pass


def compare(measure: Callable[[bool], float], runs: int) -> tuple[float, float]:
    """Return the medians with credits off and on; runs alternate, so that both see the same day."""
    pairs = [(measure(False), measure(True)) for _ in range(runs)]
    return statistics.median(off for off, _ in pairs), statistics.median(on for _, on in pairs)


def main() -> None:
    """Measure, print, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="messages a run")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; medians are shown")
    options = parser.parse_args()
    print(f"{'CPU ms per 1,000 recipients':40} {'off':>8} {'on':>8} {'more':>7}")
    results = {}
    for case in CASES:
        count = max(AT_ONCE, int(options.count * case.share))
        measures: dict[str, Callable[[bool], float]] = {
            "storage": lambda is_on, c=case, n=count: in_storage(n, c.recipients, is_on=is_on),  # type: ignore[misc]
            "service": lambda is_on, c=case, n=count: whole(c, n, is_on=is_on),  # type: ignore[misc]
        }
        for where, measure in measures.items():
            off, on = compare(measure, options.runs)
            name = f"{where}, {case.name}"
            results[name] = {"off": off, "on": on}
            print(f"{name:40} {off * 1000:8.0f} {on * 1000:8.0f} {on / off - 1:7.1%}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"credits-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
