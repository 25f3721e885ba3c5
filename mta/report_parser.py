"""Reads reports in a process of its own, so that the worst mail costs that process and no other.

    python -m mta.report_parser [RULES]     length and mail on standard input, length and JSON back

The process has limits on time and memory besides the caps of the reader; one that dies or takes too
long is ended, and the next report gets a new one. Not here: what a report means (core/report.py)
and what to do about it (report_intake.py).
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from config import bounce_rules
from mta.core import report_facts
from mta.core.json_text import JsonError, decode, encode
from mta.core.report import read_report
from mta.core.report_facts import ReportFacts

BUDGET = 10.0
"""Seconds for one report, the start of the process included; most take some milliseconds."""
MEMORY = 1 << 30
"""Bytes of address space, most of it never touched."""
MAX_ANSWER = 1 << 20
_LENGTH = 4


class ParserDied(Exception):  # noqa: N818 - it is what happened to the process
    """The process ended or was too slow; the message says which."""


class ReportParser:
    """One parser process, started when it is needed and again when it died."""

    def __init__(self, rules: Path | None = None, *, command: tuple[str, ...] = ()) -> None:
        """Take the operator's own rules; tests give another `command`."""
        own = () if rules is None else (str(rules),)
        self._command = command or (sys.executable, "-m", "mta.report_parser", *own)
        self._process: asyncio.subprocess.Process | None = None

    async def parse(self, data: bytes) -> ReportFacts:
        """Return what a report says.

        Raises:
            ParserDied: nothing is known of this report.
        """
        try:
            async with asyncio.timeout(BUDGET):
                answer = await self._ask(data)
            return report_facts.from_json(decode(answer))
        except TimeoutError:
            await self.close()
            raise ParserDied(f"reading took longer than {BUDGET:.0f} s") from None
        except (OSError, EOFError, JsonError, LookupError, TypeError, ValueError) as error:
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

    async def _ask(self, data: bytes) -> bytes:
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
            )
        writer, reader = self._process.stdin, self._process.stdout
        if writer is None or reader is None:
            raise EOFError("the parser has no pipes")
        writer.write(len(data).to_bytes(_LENGTH, "big") + data)
        await writer.drain()
        size = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        if size > MAX_ANSWER:
            raise ValueError("too long an answer")
        return await reader.readexactly(size)


def serve(source: BinaryIO, sink: BinaryIO, read: Callable[[bytes], bytes]) -> None:
    """Answer every mail that comes in on `source` until its end."""
    while len(prefix := source.read(_LENGTH)) == _LENGTH:
        answer = read(source.read(int.from_bytes(prefix, "big")))
        sink.write(len(answer).to_bytes(_LENGTH, "big") + answer)
        sink.flush()


def main() -> None:
    """Run as the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    classifier = bounce_rules.load(own)

    def read(data: bytes) -> bytes:
        facts = report_facts.facts_of(data, read_report(data, classifier))
        return encode(report_facts.to_json(facts))

    serve(sys.stdin.buffer, sys.stdout.buffer, read)


if __name__ == "__main__":
    main()
