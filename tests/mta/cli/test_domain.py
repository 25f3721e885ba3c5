"""`mta domain`: keys, records to publish, and the look at the DNS."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mta.dkim_keys import ED25519, RSA, PrivateKey
from storage import directives, domains
from tests.mta.cli.conftest import CommandLine
from tests.support.fake_dns import FakeDns, Fault, Records


def added(mta: CommandLine, *options: str) -> dict[str, Any]:
    result = mta("domain", "add", "sender.test", "--json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def zone(domain: dict[str, Any]) -> dict[str, Records]:
    """Return a zone that publishes all that a domain wants, long values in pieces."""
    found: dict[str, Records] = {"mta.sender.test": {"A": ["192.0.2.25"]}}
    for record in domain["records"]:
        value = record["value"]
        pieces = [value[start : start + 200] for start in range(0, len(value), 200)]
        found[record["name"]] = {"TXT": [" ".join(f'"{piece}"' for piece in pieces)]}
    return found


def test_adding_makes_a_key_for_each_algorithm(mta: CommandLine) -> None:
    domain = added(mta)
    assert [key["algorithm"] for key in domain["keys"]] == [RSA, ED25519]
    assert [(record["record"], record["required"]) for record in domain["records"]] == [
        ("DKIM", True),
        ("DKIM", True),
        ("SPF", False),
        ("DMARC", False),
    ]
    files = sorted((mta.data / "keys" / "sender.test").iterdir())
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]


def test_adding_shows_records_that_can_be_copied(mta: CommandLine) -> None:
    output = mta("domain", "add", "Sender.Test").stdout
    assert "\n  TXT mta1._domainkey.sender.test\n  v=DKIM1; k=rsa; p=" in output
    assert output.endswith("mta domain verify sender.test\n")
    assert mta("domain", "show", "sender.test").stdout == output


def test_a_key_can_be_brought_along(mta: CommandLine) -> None:
    mta.configure('[dkim]\nalgorithms = ["rsa-sha256"]')
    key = PrivateKey.generate(RSA)
    pem = mta.directory / "old.pem"
    pem.write_bytes(key.to_pem())
    domain = added(mta, "--selector", "s1", "--dkim-key", str(pem))
    [made] = domain["keys"]
    assert (made["selector"], made["algorithm"]) == ("s1", RSA)
    assert made["public_key"] == key.public_key


def test_the_engine_is_told_of_new_keys(mta: CommandLine) -> None:
    added(mta)
    with mta.database() as database:
        found, _ = database.read_now(lambda connection: directives.after(connection, 0))
    assert [(one.kind, one.target) for one in found] == [("keys_changed", "sender.test")]


def test_a_domain_is_added_once(mta: CommandLine) -> None:
    added(mta)
    result = mta("domain", "add", "sender.test")
    assert result.exit_code == 1
    assert "see `mta domain show sender.test`" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "no domain"), "host name"),
        (("add", "sender.test", "--selector", "a/b"), "selector"),
        (("add", "sender.test", "--dkim-key", __file__), "not a private key"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], message: str, mta: CommandLine) -> None:
    result = mta("domain", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_unknown_domain(mta: CommandLine) -> None:
    added(mta)
    for command in ("show", "verify", "delete", "rotate", "set", "zonefile"):
        result = mta("domain", command, "other.test")
        assert result.exit_code == 1
        assert result.stderr.startswith("mta: other.test: no such domain")


async def verify(mta: CommandLine, records: dict[str, Records]) -> tuple[int, dict[str, Any], str]:
    """Return exit code, JSON and text of `mta domain verify` with this DNS."""
    async with FakeDns(records) as dns:
        host, port = dns.endpoint
        mta.configure(f'[dns]\nnameservers = ["{host}:{port}"]\ntimeout = "10s"')
        shown = await asyncio.to_thread(mta, "domain", "verify", "sender.test")
        result = await asyncio.to_thread(mta, "domain", "verify", "sender.test", "--json")
    assert shown.exit_code == result.exit_code
    return result.exit_code, json.loads(result.stdout), shown.stdout


async def test_verified_is_who_publishes_every_key(mta: CommandLine) -> None:
    code, found, text = await verify(mta, zone(added(mta)))
    assert (code, found["verified"]) == (0, True)
    assert {record["status"] for record in found["records"]} == {"good"}
    assert found["alignment"]["dkim"] == {"mode": "relaxed", "aligned": True}
    assert text.endswith("sender.test verified\n")
    assert "sender.test  verified" in mta("domain", "list").stdout


async def test_a_missing_key_is_shown_with_what_to_do(mta: CommandLine) -> None:
    records = zone(added(mta))
    del records["mta1._domainkey.sender.test"], records["_dmarc.sender.test"]
    code, found, text = await verify(mta, records)
    assert (code, found["verified"]) == (1, False)
    states = [record["status"] for record in found["records"]]
    assert states == ["missing", "good", "good", "missing"]
    assert "missing DKIM TXT mta1._domainkey.sender.test\n" in text
    assert "  wanted v=DKIM1; k=rsa; p=" in text
    assert "  to do  publish it\n" in text
    assert text.endswith("sender.test not verified\n")


async def test_a_verified_domain_whose_key_is_replaced_is_not_verified(mta: CommandLine) -> None:
    records = zone(added(mta))
    assert (await verify(mta, records))[0] == 0
    records["mta1._domainkey.sender.test"] = {"TXT": ['"v=DKIM1; k=rsa; p=AAAA"']}
    code, found, text = await verify(mta, records)  # that are two looks
    assert (code, found["status"]) == (1, "failed")
    assert "  found  v=DKIM1; k=rsa; p=AAAA\n" in text
    assert "it holds another key" in text
    assert "warning one more such look, and its mail is refused\n" in text
    assert "not verified (failed)" in mta("domain", "list").stdout


async def test_a_dns_that_fails_changes_nothing(mta: CommandLine) -> None:
    records = zone(added(mta))
    assert (await verify(mta, records))[0] == 0
    records["mta1._domainkey.sender.test"] = Fault.SERVFAIL
    code, found, text = await verify(mta, records)
    assert (code, found["verified"]) == (75, None)
    assert "try again later" in text
    assert "sender.test  verified" in mta("domain", "list").stdout


def test_deleting_takes_the_private_keys_too(mta: CommandLine) -> None:
    added(mta)
    assert mta("domain", "delete", "sender.test", stdin=b"n\n").exit_code == 1
    assert (mta.data / "keys" / "sender.test" / "mta1.pem").exists()
    assert mta("domain", "delete", "sender.test", "--yes").stdout == "deleted sender.test\n"
    assert list((mta.data / "keys").rglob("*.pem")) == []
    assert json.loads(mta("domain", "list", "--json").stdout) == []


def test_a_key_file_that_only_root_reads_is_read_first(mta: CommandLine, tmp_path: Path) -> None:
    result = mta("domain", "add", "sender.test", "--dkim-key", str(tmp_path / "none.pem"))
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
    assert not mta.data.exists()


def test_a_zone_file_to_paste(mta: CommandLine) -> None:
    added(mta)
    lines = mta("domain", "zonefile", "sender.test").stdout.splitlines()
    assert lines[-1] == '_dmarc.sender.test. 3600 IN TXT "v=DMARC1; p=none"'
    assert lines[2].startswith('mta1._domainkey.sender.test. 3600 IN TXT "v=DKIM1; k=rsa; p=')
    assert '" "' in lines[2]  # no string is longer than 255 octets


def test_hosts_are_set_and_taken_away(mta: CommandLine) -> None:
    added(mta)
    result = mta("domain", "set", "sender.test", "--return-path", "bounce", "--json")
    found = json.loads(result.stdout)
    assert found["return_path"] == "bounce.sender.test"
    kinds = [record["record"] for record in found["records"]]
    assert kinds == ["DKIM", "DKIM", "SPF", "DMARC", "Return-Path", "Return-Path"]
    shown = mta("domain", "set", "sender.test", "--tracking-host", "t.sender.test").stdout
    assert "\n  MX bounce.sender.test\n  10 mta.sender.test\n" in shown
    assert "\n  CNAME t.sender.test\n  mta.sender.test\n" in shown
    shown = mta("domain", "set", "sender.test", "--return-path", "").stdout
    assert "bounce.sender.test" not in shown
    for host in ("b.other.test", "sender.test", "t"):
        assert mta("domain", "set", "sender.test", "--return-path", host).exit_code == 2


async def test_a_rotation(mta: CommandLine) -> None:
    records = zone(added(mta))
    assert (await verify(mta, records))[0] == 0
    assert mta("domain", "rotate", "sender.test", "--selector", "mta1").exit_code == 2
    rotating = json.loads(mta("domain", "rotate", "sender.test", "--json").stdout)
    states = {key["selector"]: key["state"] for key in rotating["keys"]}
    assert states == {
        "mta1": "active",
        "mta1-ed25519": "active",
        "mta2": "next",
        "mta2-ed25519": "next",
    }
    again = json.loads(mta("domain", "rotate", "sender.test", "--json").stdout)
    assert again["keys"] == rotating["keys"]
    code, found, _ = await verify(mta, records)  # not published yet: nothing is switched
    assert code == 0
    assert [key["state"] for key in found["keys"]] == ["active", "active", "next", "next"]
    records = zone(rotating)
    code, found, text = await verify(mta, records)
    assert code == 0
    assert "switched mail is signed with the new keys from now on\n" in text
    assert [key["state"] for key in found["keys"]] == ["retired", "retired", "active", "active"]
    with mta.database() as database:
        keys = database.read_now(domains.signing_keys)["sender.test"]
    assert [key.selector for key in keys] == ["mta2", "mta2-ed25519"]
