"""mta.toml as a whole: defaults, errors that name the culprit, and where the file is found."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import settings as settings_module
from config.settings import Endpoint, Settings, SettingsError, find, load, parse
from mta.core.pin import Pin
from mta.core.route import Credentials, TlsMode
from tests.support.users import kept_out_of

ROOT = Path(__file__).resolve().parents[2]


def error_of(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(text, "/etc/mta/mta.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("/etc/mta/mta.toml: ")
    return message.removeprefix("/etc/mta/mta.toml: ")


def test_the_shipped_file_is_exactly_the_defaults() -> None:
    assert load(ROOT / "mta.toml") == parse("", str(ROOT / "mta.toml"))


def test_an_empty_file_is_the_default_settings() -> None:
    assert parse("", "mta.toml") == Settings()


def test_values_reach_their_fields() -> None:
    settings = parse(
        """
        [server]
        hostname = "mta.sender.test"
        data_dir = "data"
        [engine]
        processes = 1
        [api]
        listen = ""
        [smtp.submission]
        listen = ["127.0.0.1:2525", "[::1]:2525"]
        trusted_networks = []
        max_message_size = "1MB"
        [delivery]
        max_connections = 400
        retry = { first = "1s", factor = 1, ceiling = "1m" }
        [dkim]
        algorithms = []
        [routing]
        "Example.COM" = "smtp://10.0.0.5:2525"
        "*" = "smtps://me:p%40ss@relay.example"
        """,
        "/etc/mta/mta.toml",
    )
    assert settings.server.hostname == "mta.sender.test"
    assert settings.server.data_dir == Path("/etc/mta/data")
    assert settings.engine.processes == 1
    assert settings.api.listen is None
    assert settings.submission.listen == (Endpoint("127.0.0.1", 2525), Endpoint("::1", 2525))
    assert settings.submission.trusted_networks == ()
    assert settings.submission.max_message_size == 1_000_000
    assert settings.delivery.max_connections == 400
    assert settings.delivery.retry.first == timedelta(seconds=1)
    assert settings.delivery.retry.lifetime == timedelta(days=4)
    assert settings.dkim.algorithms == ()
    assert settings.routing == {
        "example.com": Pin("10.0.0.5", 2525, TlsMode.OPPORTUNISTIC),
        "*": Pin("relay.example", 465, TlsMode.IMPLICIT, Credentials("me", "p@ss")),
    }


def test_a_generated_benchmark_configuration_loads() -> None:
    settings = parse(
        """
        [server]
        hostname = "mta.sender.test"
        data_dir = "/run/bench/data"
        [engine]
        processes = "auto"
        [api]
        listen = "127.0.0.1:8025"
        [smtp.submission]
        listen = ["127.0.0.1:2525"]
        trusted_networks = ["127.0.0.0/8"]
        [delivery]
        allow_private_destinations = true
        max_connections = 400
        max_connections_per_site = 20
        [dkim]
        algorithms = ["rsa-sha256"]
        [policy]
        require_verified_domain = false
        [routing]
        "d000.test" = "smtp://127.0.1.1:2526"
        "d001.test" = "smtp://127.0.1.2:2526"
        """,
        "/run/bench/mta.toml",
    )
    assert settings.routing["d001.test"].host == "127.0.1.2"
    assert settings.dkim.algorithms == ("rsa-sha256",)


def test_settings_travel_to_other_processes() -> None:
    settings = parse('[routing]\n"*" = "smtp://127.0.0.1:2526"', "mta.toml")
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[delivery.retry]\nfrist = '5m'",
            "delivery.retry.frist: unknown setting; did you mean delivery.retry.first?",
        ),
        (
            "[policy]\nspeed = 1",
            "policy.speed: unknown setting; [policy] knows require_verified_domain",
        ),
        ("deliver = 1", "deliver: unknown setting; did you mean delivery?"),
        ("[smtp.submision]", "smtp.submision: unknown setting; did you mean smtp.submission?"),
        ("[delivery]\nport = '25'", 'delivery.port = "25": must be a whole number from 1 to 65535'),
        ("delivery = 3", "delivery = 3: must be a table, written [delivery]"),
        ("routing = 3", "routing = 3: must be a table, written [routing]"),
        ("[policy]\nrequire_verified_domain = 1", "policy.require_verified_domain = 1: must be"),
        (
            "[delivery.retry]\nfirst = '5 min'",
            'delivery.retry.first = "5 min": must be a time span',
        ),
        ("[delivery.retry]\nfactor = 0.5", "delivery.retry.factor = 0.5: must be a number from 1"),
        ("[delivery.retry]\njitter = 2", "delivery.retry.jitter = 2: must be a number from 0 to 1"),
        (
            "[delivery.retry]\nfirst = '5h'",
            "delivery.retry.ceiling: must not be shorter than delivery.retry.first",
        ),
        ("[smtp.submission]\nlisten = '127.0.0.1:25'", "smtp.submission.listen = "),
        ("[smtp.submission]\ntls_listen = ['127.0.0.1:465']", "smtp.submission.tls_listen: needs"),
        ("[tls]\ncertificate = 'c.pem'", "tls.key: must name the private key of tls.certificate"),
        ("[tls]\nkey = 'k.pem'", "tls.certificate: must name the certificate of tls.key"),
        ("[log]\nlevel = 'loud'", 'log.level = "loud": must be "debug" or "info"'),
        ("[dkim]\nalgorithms = ['rsa-sha1']", "dkim.algorithms = "),
        ("[routing]\n'exa mple' = 'smtp://a.example'", 'routing."exa mple" = '),
        (
            "[routing]\n'EXAMPLE.com' = 'smtp://a.example'\n'example.com' = 'smtp://b.example'",
            'routing."example.com": example.com is already there in another spelling',
        ),
        ("[server\n", "not valid TOML: "),
        ("[server]\nhostname = 'a\x00b'", "not valid TOML: "),
        ("a = " + "[" * 2000, "not valid TOML: "),
        ('[server]\ndata_dir = "a\\nb"', 'server.data_dir = "a\\nb": must be text'),
    ],
)
def test_errors_name_the_key_and_what_is_allowed(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


@pytest.mark.parametrize(
    "value",
    ['"smtp://me:s3cret@relay:99999"', '"me:s3cret@relay"', '["smtp://me:s3cret@relay"]'],
)
def test_errors_never_show_a_password(value: str) -> None:
    assert "s3cret" not in error_of(f"[routing]\n'*' = {value}")
    assert "s3cret" not in error_of(f"[routes]\n'*' = {value}")


def test_long_values_are_cut() -> None:
    assert len(error_of(f"[server]\nhostname = '{'x' * 5000}'")) < 300


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_settings_or_our_error(text: str) -> None:
    try:
        parse(text, "mta.toml")
    except SettingsError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.toml: cannot be read: No such file"):
        load(tmp_path / "nothing.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_the_file_named_wins(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.touch()
    assert find(file) == file


def test_the_folder_comes_before_etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = tmp_path / "etc.toml"
    etc.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings_module, "PLACES", (Path("mta.toml"), etc))
    assert find(None) == etc
    (tmp_path / "mta.toml").touch()
    assert find(None) == Path("mta.toml")


def test_a_folder_that_is_closed_to_us_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `sudo -u mta mta queue list` in root's home."""
    monkeypatch.chdir(tmp_path)
    there = Path("/etc/passwd")
    with kept_out_of(tmp_path):
        monkeypatch.setattr(settings_module, "PLACES", (Path("mta.toml"), there))
        assert find(None) == there
        monkeypatch.setattr(settings_module, "PLACES", (Path("mta.toml"), Path("/not/there")))
        assert find(None) == Path("mta.toml")
        with pytest.raises(SettingsError, match=r"mta\.toml: cannot be read: Permission denied"):
            load(find(None))


def test_no_file_names_the_places_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings_module, "PLACES", (Path("mta.toml"), tmp_path / "etc.toml"))
    with pytest.raises(SettingsError) as caught:
        find(None)
    assert f"{tmp_path}/mta.toml and {tmp_path}/etc.toml" in str(caught.value)
    with pytest.raises(SettingsError, match=r"other\.toml"):
        find(Path("other.toml"))
