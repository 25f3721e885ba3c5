"""Backup of a running server, and its restore: whole, and nothing is overwritten. (A20)"""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

SMALL = b"From: a@sender.test\r\nSubject: small\r\nMessage-ID: <small@sender.test>\r\n\r\nhello\r\n"
LARGE = (
    b"From: a@sender.test\r\nSubject: large\r\nMessage-ID: <large@sender.test>\r\n\r\n"
    + (b"z" * 76 + b"\r\n") * 4000
)
NOWHERE = {"*": "smtp://127.0.0.1:1"}


async def submitted(engine: Engine) -> None:
    """Give a server mail that it cannot deliver, and a signing key."""
    for message in (SMALL, LARGE):
        await engine.submit(message, "a@sender.test", "b@dest.test")
    code, _, errors = await engine.mta("domain", "add", "sender.test")
    assert code == 0, errors


async def test_a20_a_backup_of_a_running_server_is_restored_and_delivered(tmp_path: Path) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "mail.backup"
    old.mkdir()
    new.mkdir()
    async with running(old, configuration(routing=NOWHERE)) as engine:
        await submitted(engine)
        code, output, errors = await engine.mta("backup", str(archive), "--json")
        assert code == 0, errors
        said = json.loads(output)
        assert {"messages": 2, "waiting": 2, "spooled": 1}.items() <= said.items()
        assert said["keys"] >= 1
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        assert not list(engine.data.glob("backup-*"))
        assert await engine.stop() == 0
    async with Receiver() as receiver:
        config = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"})
        restored = Engine(new, config)
        code, output, errors = await restored.mta("restore", str(archive))
        assert code == 0, errors
        keys = {path.relative_to(old) for path in (old / "data" / "keys").rglob("*.pem")}
        assert keys == {path.relative_to(new) for path in (new / "data" / "keys").rglob("*.pem")}
        try:
            await restored.start()
            got = await receiver.wait_for(2)
            assert await restored.stop() == 0
        finally:
            if restored.process is not None and restored.process.returncode is None:
                await restored.kill()
    assert sorted(receiver.message_ids.items()) == [
        ("<large@sender.test>", 1),
        ("<small@sender.test>", 1),
    ]
    assert any(one.data.endswith(LARGE[-100:]) for one in got)
    assert not list((new / "data").glob("restore-*"))


async def test_a20_restore_refuses_a_running_server_and_mail_that_is_there(tmp_path: Path) -> None:
    archive = tmp_path / "mail.backup"
    async with running(tmp_path, configuration(routing=NOWHERE)) as engine:
        await submitted(engine)
        assert (await engine.mta("backup", str(archive)))[0] == 0
        code, _, errors = await engine.mta("backup", str(archive))
        assert (code, "--force" in errors) == (1, True)
        code, _, errors = await engine.mta("restore", str(archive), "--force")
        assert (code, str(engine.process.pid) in errors) == (75, True)  # type: ignore[union-attr]
        assert await engine.stop() == 0
        before = (engine.data / "mailwright.db").stat().st_ino
        code, _, errors = await engine.mta("restore", str(archive))
        assert (code, "--force" in errors) == (1, True)
        assert (engine.data / "mailwright.db").stat().st_ino == before
        code, output, errors = await engine.mta("restore", str(archive), "--force", "--json")
        assert code == 0, errors
        aside = Path(json.loads(output)["replaced"])
        assert (aside / "mailwright.db").stat().st_ino == before
        code, output, _ = await engine.mta("queue", "list", "--json")
        assert output.count("b@dest.test") == 2


def renamed(archive: bytes, old: str, new: str) -> bytes:
    """Return an archive with another name for a member."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as source,
        tarfile.open(fileobj=made, mode="w") as target,
    ):
        for member in source:
            content = source.extractfile(member)
            member.name = new if member.name == old else member.name
            target.addfile(member, content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("cut", "no whole backup"),
        ("flipped", "no whole backup"),
        ("no archive", "no whole backup"),
        ("path", "does not belong"),
        ("link", "does not belong"),
    ],
)
async def test_a20_what_is_no_whole_backup_changes_nothing(
    tmp_path: Path, damage: str, words: str
) -> None:
    engine = Engine(tmp_path, configuration())
    assert (await engine.mta("key", "create", "--name", "one"))[0] == 0
    path = tmp_path / "mail.backup"
    assert (await engine.mta("backup", str(path)))[0] == 0
    good = path.read_bytes()
    middle = good.index(b"SQLite format 3") + 5000
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        member = tarfile.TarInfo("mailwright.db")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    path.write_bytes(
        {
            "cut": good[: len(good) // 2],
            "flipped": good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :],
            "no archive": b"something else entirely" * 100,
            "path": renamed(good, "mailwright.db", "../../mailwright.db"),
            "link": link.getvalue(),
        }[damage]
    )
    before = {one: one.stat().st_ino for one in engine.data.iterdir()}
    code, _, errors = await engine.mta("restore", str(path), "--force")
    assert code == 1
    assert words in errors
    assert {one: one.stat().st_ino for one in engine.data.iterdir() if one.name != "lock"} == {
        one: number for one, number in before.items() if one.name != "lock"
    }
    code, output, _ = await engine.mta("key", "list", "--json")
    assert '"one"' in output
