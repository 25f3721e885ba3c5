"""Everything that the API document allows and forbids is asked of a live server. (J04)"""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.faults.rows import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 40
"""`make fuzz-api` takes longer."""


async def test_j04_no_answer_differs_from_the_document() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.fuzz_api", str(SECONDS)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, output.decode()[-6000:]
