"""Warnings: legal, but an operator would regret it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.advice import warnings
from config.settings import parse
from tests.support.users import kept_out_of

NAMED = '[server]\nhostname = "mta.example.com"\n'


def keys_warned(text: str, source: Path = Path("/nowhere/mta.toml")) -> list[str]:
    return [line.partition(":")[0] for line in warnings(parse(text, str(source)), source)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (NAMED, []),
        ('[server]\nhostname = "localhost.localdomain"', ["server.hostname"]),
        (NAMED + '[api]\nlisten = "0.0.0.0:8025"', ["api.listen"]),
        (NAMED + '[api]\nlisten = "localhost:8025"', []),
        (NAMED + '[smtp.submission]\nlisten = ["[::]:587"]', ["smtp.submission.listen"]),
        (
            NAMED + '[smtp.submission]\nlisten = ["[::]:587"]\nrequire_tls_for_auth = false',
            ["smtp.submission.require_tls_for_auth"],
        ),
        (
            NAMED + '[smtp.submission]\ntrusted_networks = ["0.0.0.0/0", "10.0.0.0/8"]',
            ["smtp.submission.trusted_networks"],
        ),
        (NAMED + '[smtp.reports]\ndomain = "b.example.com"', ["smtp.reports.listen"]),
        (NAMED + "[dkim]\nalgorithms = []", ["dkim.algorithms"]),
        (NAMED + '[delivery]\nfinal_timeout = "1m"', ["delivery.final_timeout"]),
        (
            NAMED + "[delivery]\nallow_private_destinations = true",
            ["delivery.allow_private_destinations"],
        ),
    ],
)
def test_risks_are_named(text: str, keys: list[str]) -> None:
    assert keys_warned(text) == keys


def test_i09_a_private_key_that_everyone_may_read(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").touch(0o644)
    key = tmp_path / "key.pem"
    key.touch(0o600)
    text = NAMED + '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"'
    assert keys_warned(text, tmp_path / "mta.toml") == []
    key.chmod(0o644)
    assert keys_warned(text, tmp_path / "mta.toml") == ["tls.key"]


def test_tls_files_that_are_not_there(tmp_path: Path) -> None:
    text = NAMED + '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"'
    assert keys_warned(text, tmp_path / "mta.toml") == ["tls.certificate", "tls.key"]


def test_i09_a_smarthost_password_that_everyone_may_read(tmp_path: Path) -> None:
    file = tmp_path / "mta.toml"
    text = NAMED + '[routing]\n"*" = "smtp://me:secret@relay.example"'
    file.write_text(text)
    file.chmod(0o640)
    assert keys_warned(text, file) == []
    file.chmod(0o644)
    assert keys_warned(text, file) == ["routing"]


def test_tls_files_in_a_folder_that_is_closed(tmp_path: Path) -> None:
    """As certbot's are for everybody but root."""
    source = tmp_path / "mta.toml"
    text = NAMED + '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"'
    settings = parse(text, str(source))
    with kept_out_of(tmp_path):
        found = list(warnings(settings, source))
    assert found == [
        f"tls.certificate: {tmp_path}/cert.pem cannot be read by this user",
        f"tls.key: {tmp_path}/key.pem cannot be read by this user",
    ]
