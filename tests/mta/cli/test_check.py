"""`mta check`: what would stop `mta serve`, found before it does (O03)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from config.settings import parse
from mta.cli.check import examine
from tests.mta.cli.conftest import CommandLine, open_to_everybody
from tests.support.users import nobody

FREE = '[smtp.submission]\nlisten = ["127.0.0.1:0"]\n[api]\nlisten = "127.0.0.1:0"\n'


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def problems(mta: CommandLine) -> list[str]:
    result = mta("check", "--json")
    found: list[str] = json.loads(result.stdout)["problems"]
    assert result.exit_code == bool(found)
    return found


def test_a_good_configuration_is_ready(mta: CommandLine) -> None:
    mta.configure(FREE)
    result = mta("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "ready"
    assert "mta.sender.test" in result.stdout
    assert not mta.data.exists()


def test_passwords_of_pins_are_not_shown(mta: CommandLine) -> None:
    mta.configure(FREE + '[routing]\n"*" = "smtp://me:s3cret@relay.example:587"')
    for result in (mta("check"), mta("check", "--json")):
        assert "s3cret" not in result.output
        assert "to relay.example:587 (verified TLS, as me)" in result.output


def test_warnings_do_not_fail_it(mta: CommandLine) -> None:
    mta.configure(FREE + "[dkim]\nalgorithms = []")
    result = mta("check")
    assert result.exit_code == 0
    assert "warning dkim.algorithms: empty, no mail is signed\n" in result.stdout


def test_o03_a_busy_port(mta: CommandLine, busy_port: int) -> None:
    mta.configure(f'[api]\nlisten = "127.0.0.1:{busy_port}"\n[smtp.submission]\nlisten = []')
    assert problems(mta) == [f"api.listen: 127.0.0.1:{busy_port}: another program listens there"]
    assert mta("check").stdout.splitlines()[-1] == "not ready"


def test_o03_an_address_that_is_not_ours(mta: CommandLine) -> None:
    mta.configure('[api]\nlisten = ""\n[smtp.submission]\nlisten = ["192.0.2.1:2525"]')
    assert problems(mta) == [
        "smtp.submission.listen: 192.0.2.1:2525: this machine does not have that address"
    ]


def test_o03_a_data_directory_that_is_a_file(mta: CommandLine) -> None:
    mta.configure(FREE)
    mta.data.touch()
    assert problems(mta) == [f"server.data_dir: {mta.data} is not a directory"]


def test_o03_a_data_directory_that_cannot_be_made(mta: CommandLine) -> None:
    mta.configure(FREE)
    open_to_everybody(mta.directory)
    mta.directory.chmod(0o555)
    settings, now = parse(mta.config.read_text(), str(mta.config)), datetime.now(UTC)
    with nobody():
        report = examine(settings, mta.config, now)
    # Nobody may not read our own files either, where the checkout is in root's home.
    found = [one for one in report.problems if one.startswith("server.data_dir")]
    assert found == [f"server.data_dir: this user may not make {mta.data} in {mta.directory}"]


def test_o03_a_clock_that_is_wrong() -> None:
    settings = parse(FREE, "/nowhere/mta.toml")
    report = examine(settings, Path("/nowhere/mta.toml"), datetime(1970, 1, 1, tzinfo=UTC))
    assert any(problem.startswith("clock: it shows 1970-01-01") for problem in report.problems)


def test_i10_certificate_and_key_that_do_not_belong_together(mta: CommandLine) -> None:
    certificate, key = mta.directory / "cert.pem", mta.directory / "key.pem"
    first = trustme.CA().issue_cert("mta.sender.test")
    first.cert_chain_pems[0].write_to_path(certificate)
    first.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    mta.configure(FREE + '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"')
    assert problems(mta) == []
    trustme.CA().issue_cert("mta.sender.test").private_key_pem.write_to_path(key)
    assert problems(mta) == [
        f"tls: {certificate} and {key} are no pair that can be used: key values mismatch"
    ]
    key.unlink()
    assert problems(mta) == [f"tls: {certificate} and {key}: No such file or directory"]
