"""List requests: how long each takes over 1,000 and over 1,000,000 stored emails.

`python -m benchmarks.lists [--large 1000000] [--requests 200]`. Each history is written by SQL
(mail_history.py) into a database of its own, on which the engine then serves; every request goes
over HTTP on a connection that is kept. Prints p50 and p99 in milliseconds and writes
benchmarks/results/lists-*.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from benchmarks import mail_history
from benchmarks.engine import Engine
from storage.database import Database

RESULTS = Path(__file__).parent / "results"


def requests(count: int, now: datetime) -> dict[str, str]:
    """Return name -> query of every case over a history of so many emails."""
    middle = f"em_{count // 2:026d}"
    week = quote((now - timedelta(days=7)).isoformat())
    day = quote((now - timedelta(days=14)).isoformat())
    return {
        "newest": "",
        "limit=100": "limit=100",
        "after the middle": f"after={middle}",
        "before the middle": f"before={middle}",
        "since a week": f"since={week}",
        "until two weeks ago": f"until={day}",
        "status=delivered": "status=delivered",
        "status=bounced": "status=bounced",
        "status=queued (none)": "status=queued",
        "to": "to=u62@gmail.test",
        "to, nobody": "to=nobody@gmail.test",
        "to and since": f"to=u62@gmail.test&since={week}",
        "from": "from=app1@sender.test",
        "from, nobody": "from=nobody@sender.test",
        "domain, large": "domain=gmail.test",
        "domain, small": "domain=d4729.test",
        "tag and value": "tag=campaign&tag_value=c5",
        "tag": "tag=campaign",
        "tag, none": "tag=nothing",
        "batch": f"batch_id=bt_{1:026d}",
        "q, many": "q=order",
        "q, none": "q=zzz",
        "domain, status and q, none": "domain=gmail.test&status=delivered&q=zzz",
        "from, tag, status": "from=app1@sender.test&tag=campaign&status=delivered",
        "total": "include=total&limit=1",
        "total of delivered": "include=total&limit=1&status=delivered",
        "total of q": "include=total&limit=1&q=zzz",
    }


def measure(count: int, repeat: int) -> dict[str, tuple[float, float]]:
    """Return name -> p50 and p99 over a history of so many emails, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = Engine(Path(directory), sink=9, algorithms=[])
        now = datetime.now(UTC)
        database = Database.open(engine.data)
        started = time.perf_counter()
        database.write_now(lambda connection: mail_history.write(connection, count, now))
        database.close()
        size = (engine.data / "mailwright.db").stat().st_size
        seconds = time.perf_counter() - started
        print(f"{count} emails written in {seconds:.1f} s, {size / 2**20:.0f} MiB", flush=True)
        key = json.loads(engine.run("key", "create", "--name", "bench", "--json"))["key"]
        engine.start()
        try:
            api = json.loads((engine.data / "endpoints.json").read_text())["api"]
            client = http.client.HTTPConnection(api)
            asked = requests(count, now)
            return {name: times(client, key, query, repeat) for name, query in asked.items()}
        finally:
            engine.stop()


def times(
    client: http.client.HTTPConnection, key: str, query: str, repeat: int
) -> tuple[float, float]:
    """Return p50 and p99 of a request, after three that warm up."""
    found = []
    for number in range(repeat + 3):
        started = time.perf_counter()
        client.request("GET", f"/v1/emails?{query}", headers={"Authorization": f"Bearer {key}"})
        answer = client.getresponse()
        body = answer.read()
        elapsed = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{query}: {answer.status} {body!r}")
        if number >= 3:
            found.append(elapsed)
    cuts = statistics.quantiles(found, n=100)
    return round(statistics.median(found), 2), round(cuts[98], 2)


def main() -> None:
    """Measure both histories and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    options = parser.parse_args()
    small, large = (measure(count, options.requests) for count in (options.small, options.large))
    print(f"{'p50 / p99 ms':30} {options.small:>16,} {options.large:>18,}")
    for name, (p50, p99) in small.items():
        print(f"{name:30} {p50:7.2f} /{p99:7.2f} {large[name][0]:9.2f} /{large[name][1]:7.2f}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"lists-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({str(options.small): small, str(options.large): large}, indent=2))


if __name__ == "__main__":
    main()
