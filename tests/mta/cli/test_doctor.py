"""`mta doctor`: every kind of trouble is found, named, and changes the exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from mta.cli import doctor_machine
from mta.cli.doctor_finding import Finding
from tests.support.engine import Engine, configuration, running
from tests.support.fake_dns import FakeDns

NAMES = {
    "mta.sender.test": {"A": ["127.0.0.9"]},
    "9.0.0.127.in-addr.arpa": {"PTR": ["mta.sender.test."]},
}


async def examined(engine: Engine, *options: str) -> tuple[int, dict[str, set[tuple[str, str]]]]:
    """Return the exit code, and check -> the grades and texts of its findings."""
    code, output, errors = await engine.mta("doctor", "--json", *options)
    assert output, errors
    found: dict[str, set[tuple[str, str]]] = {}
    for one in json.loads(output)["findings"]:
        found.setdefault(one["check"], set()).add((one["grade"], one["text"]))
    return code, found


def grades(found: dict[str, set[tuple[str, str]]]) -> dict[str, set[str]]:
    return {check: {grade for grade, _ in findings} for check, findings in found.items()}


async def test_a_healthy_server_has_nothing_bad(tmp_path: Path) -> None:
    async with FakeDns(dict(NAMES)) as dns:
        config = configuration(nameservers=["{}:{}".format(*dns.endpoint)])
        async with running(tmp_path, config) as engine:
            code, found = await examined(engine)
            assert code == 0
            graded = grades(found)
            assert {check for check, seen in graded.items() if seen == {"good"}} >= {
                *("SQLite", "file modes", "engine", "database", "bodies", "clock", "DNS"),
                *("reverse DNS",),
            }
            assert await engine.stop() == 0
        assert grades((await examined(engine))[1])["engine"] == {"warning"}


async def test_dns_that_is_wrong_is_named(tmp_path: Path) -> None:
    names = {**NAMES, "9.0.0.127.in-addr.arpa": {"PTR": ["pool-9.isp.test."]}}
    async with FakeDns(names) as dns:
        engine = Engine(tmp_path, configuration(nameservers=["{}:{}".format(*dns.endpoint)]))
        assert (await engine.mta("domain", "add", "sender.test"))[0] == 0
        code, found = await examined(engine)
        assert code == 1
        assert any(
            grade == "bad" and "pool-9.isp.test" in text for grade, text in found["reverse DNS"]
        )
        missing = [text for grade, text in found["domain"] if grade == "bad"]
        assert any("_domainkey.sender.test" in text for text in missing)
        code, found = await examined(engine, "--no-dns")
        assert code == 0
        assert "domain" not in found


async def test_a_lost_body_a_readable_key_and_a_damaged_file_are_bad(tmp_path: Path) -> None:
    engine = Engine(tmp_path, configuration(routing={"*": "smtp://127.0.0.1:1"}))
    await engine.start()
    large = b"From: a@sender.test\r\n\r\n" + (b"x" * 76 + b"\r\n") * 4000
    await engine.submit(large, "a@sender.test", "b@dest.test")
    assert await engine.stop() == 0
    assert (await engine.mta("domain", "add", "sender.test"))[0] == 0
    [key, *_] = (engine.data / "keys").rglob("*.pem")
    key.chmod(0o644)
    key.parent.chmod(0o755)
    [body] = (engine.data / "spool").iterdir()
    whole = body.read_bytes()
    assert grades((await examined(engine, "--no-dns"))[1])["bodies"] == {"good"}
    body.write_bytes(whole.replace(b"xx\r\n", b"xy\r\n", 1))
    assert grades((await examined(engine, "--no-dns"))[1])["bodies"] == {"bad"}
    body.unlink()
    code, found = await examined(engine, "--no-dns")
    assert code == 1
    assert any(str(key) in text for _, text in found["file modes"])
    assert grades(found)["bodies"] == {"bad"}
    database = engine.data / "mailwright.db"
    content = bytearray(database.read_bytes())
    content[4096 * 2 : 4096 * 12] = b"\xff" * 4096 * 10
    database.write_bytes(content)
    code, found = await examined(engine, "--no-dns")
    assert (code, grades(found)["database"]) == (1, {"bad"})


@pytest.mark.parametrize(
    ("days", "grade"), [(-1, "bad"), (5, "warning"), (60, "good")], ids=["over", "soon", "fine"]
)
def test_the_end_of_a_certificate_is_seen(tmp_path: Path, days: int, grade: str) -> None:
    at = datetime.now(UTC)
    leaf = trustme.CA().issue_cert("mta.sender.test", not_after=at + timedelta(days=days, hours=1))
    path = tmp_path / "tls.pem"
    path.write_bytes(leaf.cert_chain_pems[0].bytes())
    [finding] = doctor_machine.examine_certificate(path, at)
    assert isinstance(finding, Finding)
    assert finding.grade.value == grade


@pytest.mark.parametrize(
    ("free", "grade"), [(99, "bad"), (999, "warning"), (1000, "good")], ids=["full", "soon", "fine"]
)
def test_the_room_is_compared_with_the_reserve_that_is_configured(free: int, grade: str) -> None:
    mebibyte = 2**20
    assert doctor_machine.examine_room(free * mebibyte, 100 * mebibyte).grade.value == grade


def test_a_clock_behind_the_journal_is_bad() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    [finding] = doctor_machine.examine_clock(now, now + timedelta(days=1))
    assert finding.grade.value == "bad"
    [finding] = doctor_machine.examine_clock(now, None)
    assert finding.grade.value == "good"
