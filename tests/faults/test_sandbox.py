"""The whole service without rights, on a file system that it can write nowhere else. (O02)"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright
from tests.faults.test_disk import can_mount
from tests.support.http_receiver import HttpReceiver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not (can_mount() and shutil.which("setpriv")), reason="needs root and setpriv"
    ),
]

INSIDE = """
set -e
mount --bind "$0" "$0"
mount -o remount,bind,ro /
exec setpriv --bounding-set -all --inh-caps -all --ambient-caps -all --no-new-privs -- "$@"
"""
EXTRA = '[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'


def rights(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_o02_everything_works_without_rights_in_a_closed_room(tmp_path: Path) -> None:
    ledger = Ledger()
    load = Load(ledger)
    async with Recorder(ledger, Random(1)) as receiver, HttpReceiver() as hooks:
        engine = Mailwright(
            tmp_path,
            receiver.port,
            extra=EXTRA,
            prefix=["unshare", "--mount", "sh", "-c", INSIDE, str(tmp_path)],
        )
        try:
            await engine.start()
            seen = rights(engine.pid)
            assert (seen["CapEff"], seen["CapBnd"], seen["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
            outside = Path(f"/proc/{engine.pid}/root", *Path(__file__).parts[1:-1], "written")
            with pytest.raises(OSError, match="Read-only file system"):
                outside.write_text("x")
            await engine.make_webhook(hooks.url)
            load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=3)
            await receiver.wait_for_arrivals(300)
            await engine.kill()
            await engine.start()
            await receiver.wait_for_arrivals(600)
            await load.stop()
            await drain(ledger)
            await engine.stop()
        finally:
            await engine.abandon()
    assert not load.trouble
    assert not ledger.missing()
    assert hooks.received
    assert "Read-only" not in engine.log.read_text()
