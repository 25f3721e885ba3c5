"""The service unit: its sandbox, and that it names what exists. (O01)"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parent.parent / "systemd" / "mta.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze, of Debian's systemd"
)


@needs_systemd
def test_o01_the_sandbox_is_tight() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_o01_no_root_and_one_capability() -> None:
    lines = UNIT.read_text().splitlines()
    assert "User=mta" in lines
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in lines
    assert "NoNewPrivileges=yes" in lines
    assert not any(line.startswith("ExecStart=+") for line in lines)
