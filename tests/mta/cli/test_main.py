"""The command as a whole: help, version, errors as one line with an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from config.settings import SettingsError
from mta.cli.failure import failure_of
from mta.cli.main import COMMANDS, cli
from mta.core.address import AddressError
from storage.errors import DataDirLocked, StorageCorrupt, StorageFull, StorageUnavailable
from tests.mta.cli.conftest import CommandLine


def test_help_lists_every_command() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"\n  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli {name} ")


def test_the_version() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.output.startswith("mailwright 0.")


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(cli, ["frobnicate"]).exit_code == 2


def test_wrong_configuration_is_one_line(mta: CommandLine) -> None:
    mta.configure("[delivery]\nprot = 25")
    result = mta("key", "list")
    assert result.exit_code == 2
    assert result.stderr == (
        f"mta: {mta.config}: delivery.prot: unknown setting; did you mean delivery.port?\n"
    )


def test_no_configuration_names_the_place(mta: CommandLine) -> None:
    mta.config.unlink()
    result = mta("key", "list")
    assert result.exit_code == 2
    assert f"looked for {mta.config}" in result.stderr


def test_a_data_directory_that_is_a_file(mta: CommandLine) -> None:
    mta.data.touch()
    result = mta("key", "create", "--name", "x")
    assert result.exit_code == 75
    assert result.stderr.count("\n") == 1
    assert str(mta.data) in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (AddressError("x"), 2),
        (StorageFull("x"), 75),
        (StorageUnavailable("x"), 75),
        (DataDirLocked("x"), 75),
        (StorageCorrupt("x"), 1),
        (PermissionError(13, "Permission denied", "/var/lib/mta"), 1),
        (OSError("x"), 1),
    ],
)
def test_expected_errors_have_an_exit_code(error: Exception, code: int) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert failure.exit_code == code


def test_unexpected_errors_keep_their_traceback() -> None:
    assert failure_of(RuntimeError("a fault of ours")) is None


def test_the_command_starts_without_the_heavy_libraries(tmp_path: Path) -> None:
    heavy = ["dns", "cryptography", "starlette", "uvicorn", "aiosmtpd", "aiosmtplib", "asyncio"]
    script = (
        "import sys\n"
        "import mta.cli.main, mta.cli.sendmail\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True, cwd=tmp_path)
    assert output == "[]\n"


def test_called_as_sendmail(tmp_path: Path) -> None:
    link = tmp_path / "sendmail"
    link.symlink_to(Path(sys.executable).with_name("mta"))
    result = subprocess.run([link, "-bs"], capture_output=True, text=True, check=False)
    assert result.returncode == 64
    assert "-bs is not offered" in result.stderr
