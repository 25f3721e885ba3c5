"""Damage to what is stored: that mail is held and told of, and all other mail flows. (A21)"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.engine import configuration, running
from tests.support.receiver import Receiver

LINE = b"z" * 76 + b"\r\n"
DAMAGE = {
    "bad-offer": "UPDATE messages SET unsubscribe = '{' WHERE id = ?",
    "bad-octets": "UPDATE messages SET envid = CAST(x'ff' AS TEXT) WHERE id = ?",
    "no-body": "DELETE FROM bodies WHERE message_id = ?",
    "shorter": "UPDATE bodies SET data = substr(data, 1, 80) WHERE message_id = ?",
}


class Damaged:
    """Equal to the data of an event that tells of damage."""

    def __eq__(self, data: object) -> bool:
        return isinstance(data, dict) and data.get("why") == "damaged" and bool(data.get("text"))

    __hash__ = None  # type: ignore[assignment]


def message(name: str, body: bytes = b"hello\r\n") -> bytes:
    return (
        f"From: a@sender.test\r\nSubject: {name}\r\nMessage-ID: <{name}@sender.test>\r\n\r\n"
    ).encode() + body


def damage(data: Path) -> None:
    """Damage all mail but the one that is whole; the server is stopped."""
    with closing(sqlite3.connect(data / "mailwright.db")) as database:
        for row, subject in database.execute("SELECT id, subject FROM messages").fetchall():
            if subject in DAMAGE:
                database.execute(DAMAGE[subject], (row,))
        spooled = database.execute("SELECT file FROM bodies WHERE file IS NOT NULL").fetchall()
        database.execute("UPDATE entries SET due_at = 0")
        database.commit()
    (first,), (second,) = spooled
    [first_path, second_path] = [next(data.rglob(name)) for name in (first, second)]
    first_path.unlink()
    second_path.write_bytes(second_path.read_bytes()[:-100])


async def test_a21_damaged_mail_is_held_and_all_other_mail_flows(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        nowhere = configuration(routing={"*": "smtp://127.0.0.1:1"})
        async with running(tmp_path, nowhere) as engine:
            for name in (*DAMAGE, "whole"):
                await engine.submit(message(name), "a@sender.test", "b@dest.test")
            for name in ("gone", "short"):
                await engine.submit(message(name, LINE * 4000), "a@sender.test", "b@dest.test")
            assert await engine.stop() == 0
        damage(engine.data)
        config = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"})
        async with running(tmp_path, config) as engine:
            await receiver.wait_for(1)
            async with engine.journal() as until:
                for name in (*DAMAGE, "gone", "short"):
                    await until(subject=name, data=Damaged())
            code, output, _ = await engine.mta("queue", "list", "--json")
            assert await engine.stop() == 0
    assert receiver.message_ids == {"<whole@sender.test>": 1}
    assert (code, output.count('"held"'), output.count('"damaged"')) == (0, 6, 6)
