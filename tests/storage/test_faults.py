from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from storage import faults

ROOT = Path(__file__).resolve().parent.parent.parent


def test_points_and_counts() -> None:
    assert faults.parse("") == faults.parse(" , ") == {}
    assert faults.parse("before_commit, after_commit:3") == {"before_commit": 1, "after_commit": 3}


@pytest.mark.parametrize(
    "text", ["nowhere", "before_commit:0", "before_commit:x", "before_commit:-1"]
)
def test_what_would_never_be_obeyed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        faults.parse(text)


def test_nothing_happens_unless_asked_for() -> None:
    faults.check_environment()
    for point in faults.POINTS:
        faults.reach(point)


@pytest.mark.parametrize(
    ("setting", "script", "status"),
    [
        ("after_claim:2", "f.reach('after_claim'); f.reach('before_settle')", 0),
        ("after_claim:2", "f.reach('after_claim'); f.reach('after_claim')", faults.EXIT_STATUS),
        ("nowhere", "f.reach('after_claim')", 0),
        ("nowhere", "f.check_environment()", 1),
    ],
)
def test_the_environment_decides(setting: str, script: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from storage import faults as f; {script}"],
        cwd=ROOT,
        env={"MTA_FAULTS": setting},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == status


def test_every_point_is_reached_somewhere() -> None:
    sources = [path for package in ("storage", "mta") for path in (ROOT / package).rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    assert set(re.findall(r'faults\.reach\("(\w+)"\)', text)) <= faults.POINTS
