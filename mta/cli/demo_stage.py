"""The stage of `mta demo`: receiving servers and an engine of its own, as processes.

Everything listens on 127.0.0.1 at free ports and is gone afterwards. Not here: the play (demo.py).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.units import Endpoint, endpoint
from mta.cli.failure import Failure
from mta.cli.output import print_note
from mta.core.frozen import frozen

TIMEOUT = 20.0
"""Seconds for a process to start, to answer or to stop."""

_CONFIG = """\
[server]
hostname = "mta.demo.example"
data_dir = "data"
[engine]
processes = 1
[api]
listen = "127.0.0.1:0"
[smtp.submission]
listen = ["127.0.0.1:0"]
[delivery]
allow_private_destinations = true
retry = {{ first = "2s", jitter = 0.0 }}
[dsn]
enabled = false
[routing]
{pins}
"""
_RECEIVING = re.compile(r"receiving at (\S+);")
_ENDPOINTS = re.compile(r"(\{.*\})", re.DOTALL)


@frozen
class Doors:
    """Where the engine of the demo listens."""

    submission: Endpoint
    api: str


def write_config(directory: Path, pins: Mapping[str, Endpoint]) -> Path:
    """Write the engine's mta.toml and return its path.

    Args:
        directory: for it, the data directory and the log.
        pins: recipient domain -> the server that its mail goes to.
    """
    routing = "\n".join(f'"{domain}" = "smtp://{at}"' for domain, at in pins.items())
    path = directory / "mta.toml"
    path.write_text(_CONFIG.format(pins=routing))
    return path


def run(config: Path, *arguments: str) -> str:
    """Run one mta command as a user would; return what it prints.

    Raises:
        Failure: it fails.
    """
    done = subprocess.run(  # noqa: S603 - our own program  # nosec B603
        _command("--config", str(config), *arguments),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"mta {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def receiving(store: Path, *options: str) -> Iterator[Endpoint]:
    """Run `mta sink` while the context lasts; give its address.

    Args:
        store: where it writes what it receives.
        options: how it misbehaves.
    """
    command = _command("sink", "--listen", "127.0.0.1:0", "--store", str(store), *options)
    log = store.with_suffix(".log")
    with _process(command, log) as process:
        yield endpoint(_wait_for(process, log, log, _RECEIVING))


@contextmanager
def serving(config: Path) -> Iterator[Doors]:
    """Run `mta serve` while the context lasts; give its doors when they are open."""
    log = config.with_name("serve.log")
    file = config.parent / "data" / "endpoints.json"
    with _process(_command("--config", str(config), "serve"), log) as process:
        found = json.loads(_wait_for(process, log, file, _ENDPOINTS))
        yield Doors(endpoint(found["submission"][0]), f"http://{found['api']}")


def post(url: str, key: str, body: Mapping[str, object]) -> dict[str, Any]:
    """POST JSON to the API and return its JSON answer.

    Raises:
        Failure: it refuses.
    """
    request = urllib.request.Request(  # noqa: S310 - the demo's own engine
        url,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310  # nosec B310
            found: dict[str, Any] = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            raise Failure(f"POST {url}: {error.code} {error.read(500).decode()}") from None
    except OSError as error:
        raise Failure(f"POST {url}: {error}") from None
    return found


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process while the context lasts.

    Raises:
        Failure: it does not stop when it is asked to.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program  # nosec B603
            command, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"mta {command[-1]} does not stop") from None


def _wait_for(
    process: subprocess.Popen[bytes], log: Path, file: Path, pattern: re.Pattern[str]
) -> str:
    """Return what the pattern finds in a file that a process is to write.

    Raises:
        Failure: the process ends, or takes too long; the end of its log is shown.
    """
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        found = pattern.search(file.read_text()) if file.exists() else None
        if found:
            return found.group(1)
        time.sleep(0.05)
    for line in log.read_text().splitlines()[-20:]:
        print_note(line)
    raise Failure("a part of the demo does not start; the end of its log stands above")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mta.cli.main", *arguments]
