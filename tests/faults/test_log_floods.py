"""A log that nobody reads holds up nothing, and refused connections do not fill it. (O09)"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FAST, FakeHandler, listening, service

TALKATIVE = """
from mta.logs import log_event, logging_to_stderr
with logging_to_stderr(style="plain", level="info"):
    for number in range(100_000):
        log_event("delivered", email=f"em_{number}")
    print("all said", flush=True)
print("ended", flush=True)
"""


def test_o09_a_log_that_nobody_reads_holds_up_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TALKATIVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    try:
        assert process.stdout.readline() == b"all said\n"
        assert process.stdout.readline() == b"ended\n"
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


async def test_o09_refused_connections_are_not_logged_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    limits = replace(FAST, connections_per_address=1)
    async with listening(service(FakeHandler(), limits)) as port, dialogue(port):
        for _ in range(500):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await reader.read()).startswith(b"421")
            writer.transport.abort()
    assert len(caplog.records) < 5
