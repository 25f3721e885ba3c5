"""Contacts by the million: rows a second through an import job, and what mail feels of it.

`python -m benchmarks.imports [--rows 1000000]`. A CSV file is sent to the API of a serving engine
as a form. While it is applied, mail is submitted one by one over SMTP and the API is asked for its
health: their times, idle and meanwhile, tell what writer and event loop give up. Prints the figures
and writes benchmarks/results/*.json. Not here: what storage alone can do (contacts.py).
"""

from __future__ import annotations

import argparse
import http.client
import json
import smtplib
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.delivery import RESULTS, Sink
from benchmarks.engine import Engine, children
from benchmarks.source import Load

BOUNDARY = "an-import"
CHUNK = 1 << 18
IDLE_S = 4.0
"""Seconds of measuring before the import."""


def rows(count: int) -> Iterator[bytes]:
    """Yield a file of that many rows, in pieces."""
    yield b"email,FIRST_NAME,city,tags\n"
    for start in range(0, count, 5000):
        yield "".join(
            f"c{number}@d{number % 5000}.example,Name {number},Town {number % 700},"
            f"{'vip' if number % 100 == 0 else ''}\n"
            for number in range(start, min(start + 5000, count))
        ).encode()


def form(file: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a form with a file in it, of which one column is the city."""
    head = 'Content-Disposition: form-data; name="mapping"\r\n\r\n{"city": "properties.city"}'
    yield f"--{BOUNDARY}\r\n{head}\r\n--{BOUNDARY}\r\n".encode()
    yield b'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    yield from file
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


class Api:
    """The API of the engine under measurement."""

    def __init__(self, engine: Engine) -> None:
        endpoints = json.loads((engine.data / "endpoints.json").read_text())
        self.address = endpoints["api"]
        created = engine.run("key", "create", "--name", "bench", "--json")
        self._headers = {"Authorization": f"Bearer {json.loads(created)['key']}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of an answer."""
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers | {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def upload(self, path: str, file: Iterable[bytes]) -> Any:
        """Send a file in pieces; return the import."""
        connection = http.client.HTTPConnection(self.address, timeout=300)
        media = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", path, form(file), self._headers | media, encode_chunked=True)
        answer = connection.getresponse()
        value = json.loads(answer.read())
        if answer.status != 202:
            raise RuntimeError(value)
        return value


class Feeling:
    """Submits mail and asks for health, one at a time each, and notes how long that takes."""

    def __init__(self, port: int, address: str) -> None:
        self.accepts: list[float] = []
        self.answers: list[float] = []
        self._port = port
        self._address = address
        self._load = Load(0, 1_000_000, 10_240, 1)
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._submit, self._ask)]
        for thread in self._threads:
            thread.start()

    def take(self) -> dict[str, float]:
        """Return percentiles of what was noted since the last time, in milliseconds."""
        accepts, self.accepts = sorted(self.accepts), []
        answers, self.answers = sorted(self.answers), []
        found = {"accepted": float(len(accepts))}
        for name, times in (("accept", accepts), ("answer", answers)):
            for share in (50, 99):
                at = times[(len(times) - 1) * share // 100] if times else 0.0
                found[f"{name}_p{share}_ms"] = round(at * 1000, 2)
        return found

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _submit(self) -> None:
        number = 0
        with smtplib.SMTP("127.0.0.1", self._port) as client:
            while not self._is_over.wait(0.02):
                body = self._load.message(number).removesuffix(b".\r\n")
                started = time.perf_counter()
                client.sendmail("app@sender.test", [f"r{number}@dest.test"], body)
                self.accepts.append(time.perf_counter() - started)
                number += 1

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        while not self._is_over.wait(0.01):
            started = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.answers.append(time.perf_counter() - started)


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def memory_mb(engine: Engine) -> float:
    """Return the proportional memory of the service, readers of imports included."""
    total = 0
    for pid in family(engine.process.pid):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(rollup.partition("\nPss:")[2].split()[0])
    return round(total / 1024, 1)


def wait_for(api: Api, engine: Engine, import_id: str) -> tuple[Any, float]:
    """Return an import at its end, and the most memory seen meanwhile."""
    peak = 0.0
    while True:
        peak = max(peak, memory_mb(engine))
        found = api.call("GET", f"/v1/imports/{import_id}")
        if found["completed_at"]:
            return found, peak
        time.sleep(0.25)


def seconds(found: Any) -> float:
    """Return how long an import ran."""
    start, end = (datetime.fromisoformat(found[name]) for name in ("started_at", "completed_at"))
    return (end - start).total_seconds()


def measure(count: int) -> dict[str, Any]:
    """Import so many rows, twice; return figures."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = Engine(Path(directory), sink=sink.port, algorithms=[])
        try:
            port = engine.start()
            api = Api(engine)
            audience = api.call("POST", "/v1/audiences", {"name": "News"})["id"]
            path = f"/v1/audiences/{audience}"
            api.call("POST", f"{path}/fields", {"tag": "FIRST_NAME"})
            feeling = Feeling(port, api.address)
            time.sleep(IDLE_S)
            idle, before = feeling.take(), memory_mb(engine)
            started = time.monotonic()
            made = api.upload(f"{path}/imports", rows(count))
            figures: dict[str, Any] = {
                "upload_s": round(time.monotonic() - started, 2),
                "uploading": feeling.take(),
            }
            cpu = engine.usage().cpu_s
            found, peak = wait_for(api, engine, made["id"])
            busy = feeling.take()
            feeling.end()
            figures |= {
                "rows": count,
                "rows_per_second": round(count / seconds(found)),
                "cpu_s_per_1000_rows": round((engine.usage().cpu_s - cpu) / count * 1000, 4),
                "counts": found["counts"],
                "memory_before_mb": before,
                "memory_peak_mb": peak,
                "idle": idle,
                "importing": busy,
            }
            repeated = api.upload(f"{path}/imports", rows(count // 5))
            again, _ = wait_for(api, engine, repeated["id"])
            figures["again_rows_per_second"] = round(count // 5 / seconds(again))
        finally:
            engine.stop()
            sink.close()
    return figures


def main() -> None:
    """Measure, print, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    figures = measure(parser.parse_args().rows)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"imports-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
