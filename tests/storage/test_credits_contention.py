"""Two processes that send for one tenant as fast as they can: together they get what there is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from storage import credit_ledger
from storage.credit_ledger import Movement
from storage.credits import Account, account
from storage.database import Connection, Database
from storage.submissions import AcceptedEmail, AcceptPolicy, Wish, accept_all
from tests.storage.builders import NOW, submission

CREDITS, SENDERS, EACH = 61, 50, 2
PAID = AcceptPolicy(require_verified_domain=False, takes_credits=True)


async def send_all(data_dir: Path) -> int:
    """Send from fifty tasks at once, two recipients a message; return how many were taken."""
    database = Database.open(data_dir)

    def one(connection: Connection) -> int:
        made = submission("a@example.net", "b@example.net")
        [found] = accept_all(connection, [Wish(made, PAID)], now=NOW)
        return int(isinstance(found, AcceptedEmail))

    taken = await asyncio.gather(*(database.write(one) for _ in range(SENDERS)))
    database.close()
    return sum(taken)


async def test_two_processes_never_overspend(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    database.write_now(
        lambda db: credit_ledger.adjust(
            db, 1, CREDITS, kind=Movement.PURCHASE, description="", now=NOW
        )
    )
    senders = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, str(tmp_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for sender in senders:
        assert sender.stdout
        assert await sender.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(sender.communicate(b"go\n") for sender in senders))
    taken = sum(int(output) for output, _ in answers)
    assert taken == CREDITS // EACH
    assert database.read_now(lambda db: account(db, 1)) == Account(CREDITS, taken * EACH)
    assert database.read_now(lambda db: credit_ledger.summed(db, 1)) == Account(
        CREDITS, taken * EACH
    )
    database.close()


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    print(asyncio.run(send_all(Path(sys.argv[1]))))  # noqa: T201
