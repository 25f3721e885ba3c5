"""systemd/mta.service: locked in, and in step with the settings and the command."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from config.settings import Settings
from config.units import duration
from mta.cli.failure import USAGE

UNIT = Path(__file__).resolve().parents[3] / "systemd" / "mta.service"


@pytest.fixture
def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    return unit["Service"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_o01_the_sandbox_is_tight() -> None:
    analysis = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert analysis.returncode == 0, analysis.stdout


def test_o01_no_root_and_one_capability(service: configparser.SectionProxy) -> None:
    assert service["User"] == "mta"
    assert service["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"
    assert service["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
    assert "ReadWritePaths" not in service


def test_the_state_directory_is_the_default_data_directory(
    service: configparser.SectionProxy,
) -> None:
    assert Path("/var/lib", service["StateDirectory"]) == Settings().server.data_dir


def test_stopping_gets_longer_than_the_engine_takes(service: configparser.SectionProxy) -> None:
    patience = duration(service["TimeoutStopSec"] + "s")
    assert patience >= Settings().engine.shutdown_timeout + timedelta(seconds=10)


def test_a_wrong_configuration_is_not_tried_again(service: configparser.SectionProxy) -> None:
    assert service["RestartPreventExitStatus"] == str(USAGE)
    assert service["ExecStart"].endswith("/mta --config /etc/mta/mta.toml serve")
