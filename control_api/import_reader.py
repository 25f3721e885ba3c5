"""Reads the file of an import in a process of its own: a job in, batches of rows out.

    python -m control_api.import_reader     a job on standard input, batches on standard output

A million rows take the better part of a minute of a processor, which would hold up the event loop
of the server, and they are a stranger's. The process has a limit on memory, and waits while the
server has not taken the last batch. Not here: reading (import_rows.py), what becomes of the rows
(import_worker.py).
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import BinaryIO, cast

from control_api.import_rows import Batch, Job, UnreadableError, read
from mta.core.contact import Status
from mta.core.contact_csv import Layout
from mta.core.event import JsonValue
from mta.core.json_text import JsonError, decode, encode
from storage.audiences import AudienceField
from storage.contacts import NewContact
from storage.import_rows import RefusedRow
from storage.joining import Joiner

PATIENCE = 120.0
"""Seconds for one batch, the start of the process included, and rows that are passed over."""
MEMORY = 1 << 30
"""Bytes of address space, most of it never touched."""
MAX_BATCH = 64 << 20
"""Bytes of a batch: what the largest rows could come to."""
AHEAD = 1 << 20
"""Bytes that are taken from the process before they are asked for; twice that at most."""
NICE = 5
"""How far the process steps back for mail."""
_LENGTH = 4


class ReaderDied(Exception):  # noqa: N818 - it is what happened to the process
    """The process ended or was too slow; the message says which."""


class ImportReader:
    """One process, for one file."""

    def __init__(self, job: Job, *, command: tuple[str, ...] = ()) -> None:
        """Take the job; tests give another `command`."""
        self._job = job
        self._command = command or (sys.executable, "-m", "control_api.import_reader")
        self._process: asyncio.subprocess.Process | None = None

    async def next(self) -> Batch | None:
        """Return the next batch, None at the end.

        Raises:
            UnreadableError: the file cannot be read any further.
            ReaderDied: nothing is known of the rest.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._receive()
                if not data:
                    problem = (await self._receive()).decode()
                    if problem:
                        raise UnreadableError(problem)
                    return None
            return await asyncio.to_thread(batch_from_json, data)
        except TimeoutError:
            raise ReaderDied(f"reading took longer than {PATIENCE:.0f} s") from None
        except (OSError, EOFError, JsonError, TypeError) as error:
            raise ReaderDied(f"the reader failed: {type(error).__name__}") from None

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._process.pid if self._process else None

    async def _receive(self) -> bytes:
        process = self._process or await self._start()
        if process.stdout is None:
            raise EOFError
        size = int.from_bytes(await process.stdout.readexactly(_LENGTH), "big")
        if size > MAX_BATCH:
            raise EOFError
        return await process.stdout.readexactly(size)

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            limit=AHEAD,
        )
        if process.stdin is None:
            raise EOFError
        process.stdin.write(job_to_json(self._job) + b"\n")
        await process.stdin.drain()
        return process


def job_to_json(job: Job) -> bytes:
    """Return a job as one line."""
    layout = job.layout
    return encode(
        {
            "path": str(job.path),
            "layout": None if layout is None else layout_to_json(layout),
            "fields": [
                (one.tag, one.label, one.type, one.default_value, one.is_required)
                for one in job.known.values()
            ],
            "status": job.status.value,
            "start": job.start,
        }
    )


def job_from_json(line: bytes) -> Job:
    """Return what job_to_json was given."""
    data = cast("dict[str, object]", decode(line))
    layout = data["layout"]
    rows = cast("list[tuple[str, str, str, str, bool]]", data["fields"])
    known = [AudienceField(*row) for row in rows]
    return Job(
        Path(str(data["path"])),
        None if layout is None else layout_from_json(cast("dict[str, object]", layout)),
        {one.tag: one for one in known},
        Status(str(data["status"])),
        cast("int", data["start"]),
    )


def layout_to_json(layout: Layout) -> dict[str, object]:
    """Return a layout as JSON."""
    return {"codec": layout.codec, "delimiter": layout.delimiter, "targets": layout.targets}


def layout_from_json(data: Mapping[str, object]) -> Layout:
    """Return what layout_to_json was given."""
    targets = tuple(cast("list[str]", data["targets"]))
    return Layout(str(data["codec"]), str(data["delimiter"]), targets)


def batch_to_json(batch: Batch) -> bytes:
    """Return a batch as JSON."""
    joiners = [
        (
            *(one.contact.key, one.contact.email, one.contact.name, one.contact.properties),
            *(one.contact.tags, one.status.value, one.values),
        )
        for one in batch.joiners
    ]
    refused = [astuple(one) for one in batch.refused]
    return encode((batch.start, batch.end, batch.position, joiners, refused))


_JoinerRow = tuple[str, str, str, dict[str, JsonValue], list[str], str, dict[str, JsonValue]]
_RefusedRow = tuple[int, str, str, str, str]


def batch_from_json(data: bytes) -> Batch:
    """Return what batch_to_json was given."""
    start, end, position, joiners, refused = cast(
        "tuple[int, int, int, list[_JoinerRow], list[_RefusedRow]]", decode(data)
    )
    return Batch(
        start,
        end,
        [_joiner(row) for row in joiners],
        [RefusedRow(*row) for row in refused],
        position,
    )


def _joiner(row: _JoinerRow) -> Joiner:
    key, email, name, properties, tags, status, values = row
    return Joiner(NewContact(key, email, name, properties, tuple(tags)), Status(status), values)


def main() -> None:
    """Run as the process: write batches, each behind its length, then one of length 0 and why."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    sink = sys.stdout.buffer
    job = job_from_json(sys.stdin.buffer.readline())
    problem = ""
    try:
        for batch in read(job):
            _write(sink, batch_to_json(batch))
    except UnreadableError as error:
        problem = str(error)
    _write(sink, b"")
    _write(sink, problem.encode())
    sink.flush()


def _write(sink: BinaryIO, data: bytes) -> None:
    sink.write(len(data).to_bytes(_LENGTH, "big") + data)


if __name__ == "__main__":
    main()
