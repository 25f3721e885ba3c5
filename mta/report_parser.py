"""Reads reports in a process of its own, so that the worst mail costs that process and no other.

    python -m mta.report_parser [RULES]     length and mail on standard input, length and JSON back

Before all, it says "" where it can read, and why not otherwise: nobody's report is at fault then.
The process has limits on time and memory besides the caps of the reader; one that dies or takes too
long is ended, and the next report gets a new one. Not here: what a report means (core/report.py)
and what to do about it (report_intake.py).
"""

from __future__ import annotations

import asyncio
import resource
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from config import bounce_rules
from config.loader import SettingsError
from mta.core import report_facts
from mta.core.json_text import decode, encode
from mta.core.report import read_report
from mta.core.report_facts import ReportFacts

BUDGET = 10.0
"""Seconds for one report; most take some milliseconds."""
START = 30.0
"""Seconds in which a process is to be ready; most take a tenth of one."""
MEMORY = 1 << 30
"""Bytes of address space, most of it never touched."""
MAX_ANSWER = 1 << 20
_LENGTH = 4
_FAILURES = (OSError, EOFError, ValueError)


class ParserDied(Exception):  # noqa: N818 - it is what happened to the process
    """The process ended or was too slow; the message says which."""


class NoParser(Exception):  # noqa: N818 - it is what there is
    """No process that reads can be started; the message says why."""


class ReportParser:
    """One parser process, started when it is needed and again when it died."""

    def __init__(self, rules: Path | None = None, *, command: tuple[str, ...] = ()) -> None:
        """Take the operator's own rules; tests give another `command`."""
        own = () if rules is None else (str(rules),)
        self._command = command or (sys.executable, "-m", "mta.report_parser", *own)
        self._process: Process | None = None

    async def parse(self, data: bytes) -> ReportFacts:
        """Return what a report says.

        Raises:
            ParserDied: nothing is known of this report.
            NoParser: it was not looked at.
        """
        process = await self._started()
        try:
            async with asyncio.timeout(BUDGET):
                if process.stdin is not None:
                    process.stdin.write(len(data).to_bytes(_LENGTH, "big") + data)
                answer = await _receive(process)
            return report_facts.from_json(answer)
        except TimeoutError:
            await self.close()
            raise ParserDied(f"reading took longer than {BUDGET:.0f} s") from None
        except (*_FAILURES, LookupError, TypeError) as error:
            await self.close()
            raise ParserDied(f"the parser failed: {type(error).__name__}") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._process.pid if self._process else None

    async def _started(self) -> Process:
        """Return the process, which is ready to read."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        pipe = asyncio.subprocess.PIPE
        try:
            async with asyncio.timeout(START):
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
                )
                problem = await _receive(self._process)
        except (TimeoutError, *_FAILURES) as error:
            problem = f"the parser does not start: {str(error) or type(error).__name__}"
        except BaseException:
            await self.close()
            raise
        if problem or self._process is None:
            await self.close()
            raise NoParser(problem)
        return self._process


async def _receive(process: Process) -> Any:
    """Return the JSON that it says next."""
    if process.stdout is None:
        raise EOFError("it has no output")
    size = int.from_bytes(await process.stdout.readexactly(_LENGTH), "big")
    if size > MAX_ANSWER:
        raise ValueError("too long an answer")
    return decode(await process.stdout.readexactly(size))


def serve(source: BinaryIO, sink: BinaryIO, read: Callable[[bytes], bytes]) -> None:
    """Answer every mail that comes in on `source` until its end."""
    while len(prefix := source.read(_LENGTH)) == _LENGTH:
        _answer(sink, read(source.read(int.from_bytes(prefix, "big"))))


def _answer(sink: BinaryIO, answer: bytes) -> None:
    sink.write(len(answer).to_bytes(_LENGTH, "big") + answer)
    sink.flush()


def main() -> None:
    """Run as the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        classifier = bounce_rules.load(own)
    except (SettingsError, OSError) as error:
        _answer(sys.stdout.buffer, encode(str(error)))
        return
    _answer(sys.stdout.buffer, encode(""))

    def read(data: bytes) -> bytes:
        facts = report_facts.facts_of(data, read_report(data, classifier))
        return encode(report_facts.to_json(facts))

    serve(sys.stdin.buffer, sys.stdout.buffer, read)


if __name__ == "__main__":
    main()
