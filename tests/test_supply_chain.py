"""What is deployed is pinned, hashed, and what pyproject.toml asks for. (O10, O11)"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import sbom

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PINS = sbom.locked(LOCK)
WANTED = [
    Requirement(text)
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_o10_the_lock_satisfies_what_the_project_needs(wanted: Requirement) -> None:
    version, _ = PINS[canonicalize_name(wanted.name)]
    assert wanted.specifier.contains(version)


@pytest.mark.parametrize("name", PINS)
def test_o10_every_pin_has_digests(name: str) -> None:
    assert PINS[name][1]


def test_o10_the_lock_names_no_source() -> None:
    assert not re.search(r"https?:|file:|index-url|find-links|trusted-host|@ ", LOCK)


def test_o10_the_bill_of_materials_lists_the_lock() -> None:
    made = sbom.bill(ROOT)
    assert {(one["name"], one["version"]) for one in made["components"]} == {
        (name, version) for name, (version, _) in PINS.items()
    }
    licensed = [one["name"] for one in made["components"] if one.get("licenses")]
    assert {canonicalize_name(wanted.name) for wanted in WANTED} - {"dkimpy", "pysqlite3"} <= set(
        licensed
    )
    assert made == sbom.bill(ROOT)


def test_o11_bandit_finds_nothing() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bandit", "--quiet", "--recursive"),
            *("--configfile", "pyproject.toml", "mta", "control_api", "storage", "config"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
