"""A campaign: contacts from a CSV file get one tracked, signed mail of a template each, and count.

`python -m benchmarks.campaigns [--contacts 20000] [--kill] [--pause]`. The time is that from the
request to send until the last mail has arrived; composing, accepting, signing and delivering are in
it. With --kill the service is killed (SIGKILL) after a third and started again; with --pause it is
paused after two thirds for some seconds, and what arrives a second later is counted. At the end the
receiver's count, the campaign's figures and the number of contacts are compared. Prints the figures
and writes benchmarks/results/*.json. Not here: imports (imports.py), the receiver (sink.py).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.delivery import RESULTS, RSA, Sink
from benchmarks.engine import Engine, Usage, children
from benchmarks.imports import Api, wait_for

PATIENCE_S = 3600.0
PAUSED_S = 3.0
"""How long the campaign is paused."""
SETTLE_S = 60.0
"""Seconds for the figures to be complete after the last mail."""
_ITEM = (
    "<tr><td style='padding:8px'><h2>Number {0}</h2><p>Some words about it, and why somebody in"
    " your town would want to have it at once.</p><a href='https://shop.example/item/{0}'>Look at"
    " it</a></td></tr>"
)
TEMPLATE = {
    "name": "news",
    "subject": "{{ name }}, this week in {{ city }}",
    "html": "<!doctype html><html><body><p>Dear {{ name }},</p><table>"
    + "".join(_ITEM.format(number) for number in range(20))
    + "</table><p>Bye! We wrote to {{ email }}.</p></body></html>",
}


@dataclass(frozen=True)
class Plan:
    """What one run does."""

    contacts: int
    domains: int
    kills: bool
    pauses: bool


def people(plan: Plan) -> Iterator[bytes]:
    """Yield a file with everybody in it, in pieces."""
    yield b"email,name,city\n"
    for start in range(0, plan.contacts, 1000):
        yield "".join(
            f"c{number}@d{number % plan.domains}.test,Name {number},Town {number % 700}\n"
            for number in range(start, min(start + 1000, plan.contacts))
        ).encode()


class Peak:
    """The most memory that a service had, looked at every half second."""

    def __init__(self, engine: Engine) -> None:
        self.mb = 0.0
        self._engine = engine
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._is_over.wait(0.5):
            try:
                self.mb = max(self.mb, self._engine.usage().pss_mb)
            except (FileNotFoundError, ProcessLookupError, IndexError):
                continue  # it was killed just now

    def end(self) -> float:
        """Stop looking; return the most, in MB."""
        self._is_over.set()
        self._thread.join()
        return round(self.mb, 1)


class Run:
    """One campaign on an engine of its own."""

    def __init__(self, directory: Path, sink: Sink, plan: Plan, processes: int | None) -> None:
        self.plan = plan
        self.sink = sink
        self.engine = Engine(directory, sink=sink.port, algorithms=[RSA], processes=processes)
        text = self.engine.config.read_text()
        public = '[api]\npublic_url = "https://mail.sender.test"\n'
        self.engine.config.write_text(text.replace("[api]\n", public))
        self.engine.start()
        self.api = Api(self.engine)
        self.cpu = 0.0

    def prepare(self) -> str:
        """Import the contacts and write the campaign; return its path."""
        audience = self.api.call("POST", "/v1/audiences", {"name": "News"})["id"]
        made = self.api.upload(f"/v1/audiences/{audience}/imports", people(self.plan))
        found, _ = wait_for(self.api, self.engine, made["id"])
        if found["counts"]["inserted"] != self.plan.contacts:
            raise RuntimeError(found)
        template = self.api.call("POST", "/v1/templates", TEMPLATE)["id"]
        self.api.call("POST", f"/v1/templates/{template}/publish")
        body = {
            "name": "Benchmark",
            "audience_id": audience,
            "from": "Shop <shop@sender.test>",
            "template": {"id": template},
            "tracking": {"opens": True, "clicks": True},
        }
        return f"/v1/campaigns/{self.api.call('POST', '/v1/campaigns', body)['id']}"

    def until(self, count: int) -> None:
        """Wait until that many different people have mail."""
        deadline = time.monotonic() + PATIENCE_S
        while self.sink.ask()["others"] < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {count} mails: {self.sink.ask()}")
            time.sleep(0.05)

    def kill(self) -> float:
        """Kill the service and all its processes; start it; return the seconds that took."""
        self.cpu += self.engine.usage().cpu_s
        started = time.monotonic()
        (self.engine.data / "endpoints.json").unlink()
        for pid in (self.engine.process.pid, *children(self.engine.process.pid)):
            os.kill(pid, signal.SIGKILL)
        self.engine.process.wait(60)
        self.engine.log.close()
        self.engine.start()
        self.api = Api(self.engine)
        return time.monotonic() - started

    def pause(self, path: str) -> dict[str, float]:
        """Pause and resume it; return what arrived late, and how long each request took."""
        asked = time.monotonic()
        self.api.call("POST", f"{path}/pause")
        paused = time.monotonic()
        time.sleep(max(0.0, asked + 1.0 - time.monotonic()))
        after_1s = self.sink.ask()["recipients"]
        time.sleep(PAUSED_S)
        late = self.sink.ask()["recipients"] - after_1s
        resuming = time.monotonic()
        self.api.call("POST", f"{path}/resume")
        return {
            "late_after_pause": late,
            "pause_s": round(paused - asked, 3),
            "resume_s": round(time.monotonic() - resuming, 3),
            "stood_s": round(resuming - asked, 3),
        }

    def settled(self, path: str, is_so: Callable[[Any], bool]) -> Any:
        """Return the figures of the campaign when they are complete, or when time is up."""
        deadline = time.monotonic() + SETTLE_S
        while not is_so(found := self.api.call("GET", path)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found


def measure(plan: Plan, processes: int | None = None) -> dict[str, Any]:
    """Send one campaign and return the figures."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-campaign-") as directory:
        run = Run(Path(directory), sink, plan, processes)
        try:
            path = run.prepare()
            figures = send(run, path)
        finally:
            run.engine.stop()
            sink.close()
    return figures


def send(run: Run, path: str) -> dict[str, Any]:
    """Send it, with a kill and a pause where they are wished for; compare all counts."""
    plan, idle = run.plan, run.engine.usage()
    peak = Peak(run.engine)
    run.cpu -= idle.cpu_s
    extra: dict[str, float] = {}
    started = time.time_ns()
    run.api.call("POST", f"{path}/send")
    if plan.kills:
        run.until(plan.contacts // 3)
        extra["restart_s"] = round(run.kill(), 2)
    if plan.pauses:
        run.until(plan.contacts * 2 // 3)
        extra |= run.pause(path)
    run.until(plan.contacts)
    arrived = run.sink.ask()
    shown = run.settled(path, lambda it: it["counts"]["delivered"] >= plan.contacts)
    used: Usage = run.engine.usage()
    stood = extra.get("stood_s", 0.0) + extra.get("restart_s", 0.0)
    seconds = (arrived["last_ns"] - started) / 1e9
    total = run.api.call("GET", f"{path}/recipients?include=total&limit=1")["total"]
    ended = run.settled(path, lambda it: it["status"] == "completed")
    return {
        "contacts": plan.contacts,
        "rate": round(plan.contacts / (seconds - stood), 1),
        "seconds": round(seconds, 1),
        "cpu_s_per_1000": round((run.cpu + used.cpu_s) / plan.contacts * 1000, 3),
        "peak_pss_mb": peak.end(),
        "received": run.sink.ask()["others"],
        "repeats": run.sink.ask()["repeats"],
        "signatures": arrived["signatures"],
        "accepted": total,
        "delivered": shown["counts"]["delivered"],
        "skipped": shown["counts"]["skipped"],
        "status": ended["status"],
        **extra,
    }


def is_right(figures: dict[str, Any]) -> bool:
    """Tell whether everybody had exactly one email, and all counts agree."""
    names = ("received", "accepted", "delivered")
    agree = all(figures[name] == figures["contacts"] for name in names)
    return agree and figures["status"] == "completed" and not figures.get("late_after_pause")


def main() -> None:
    """Run it and print the figures; exit with 1 when they do not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=20_000, help="people in the audience")
    parser.add_argument("--domains", type=int, default=200, help="domains they are spread over")
    parser.add_argument("--processes", type=int, default=None, help="of the service")
    parser.add_argument("--kill", action="store_true", help="kill the service on the way")
    parser.add_argument("--pause", action="store_true", help="pause the campaign on the way")
    options = parser.parse_args()
    plan = Plan(options.contacts, options.domains, options.kill, options.pause)
    figures = measure(plan, options.processes)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"campaigns-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=1), flush=True)
    print("everybody exactly once, all counts agree" if is_right(figures) else "COUNTS DIFFER")
    raise SystemExit(0 if is_right(figures) else 1)


if __name__ == "__main__":
    main()
