"""Contacts in bulk: rows a second into storage, and what a page costs among many.

`python -m benchmarks.contacts [--rows 1000000]`. Rows join an audience in transactions of a
thousand; one in fifty opens mail, one in a thousand clicks. Pages of contacts and members are then
read at the start and in the middle, with each filter, an address is suppressed, and all is compared
with the same among a thousand. Prints the figures and writes benchmarks/results/*.json. Not here:
HTTP and the reading of JSON (api.py), files (imports.py).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.delivery import RESULTS
from mta.core import ids
from mta.core.contact import Status
from storage import audiences, contacts, joining, memberships, suppressions
from storage.audiences import AudienceRecord, Identity
from storage.contacts import ContactFilter, NewContact
from storage.database import Connection, Database
from storage.joining import Joiner
from storage.memberships import MemberFilter

BATCH = 1000
FEW = 1000
LOOKS = 50
PAGE = 100
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def joiners(start: int, count: int) -> list[Joiner]:
    """Return people with a name, two properties, and tags that few have, and fewer."""
    found = []
    for number in range(start, start + count):
        email = f"c{number}@d{number % 5000}.example"
        tags = ("vip", "rare") if number % 50_000 == 0 else ("vip",) if number % 100 == 0 else ()
        properties = {"city": f"Town {number % 700}", "visits": number % 50}
        contact = NewContact(email, email, f"Name {number}", properties, tags)
        found.append(Joiner(contact, Status.SUBSCRIBED, {"FNAME": f"N{number}"}))
    return found


def fill(database: Database, audience: AudienceRecord, rows: int) -> float:
    """Let so many join, as an import does; return rows a second."""
    started = time.monotonic()
    for start in range(0, rows, BATCH):
        some = joiners(start, min(BATCH, rows - start))

        def write(connection: Connection, some: list[Joiner] = some) -> None:
            joining.join_untold(connection, 1, audience, some, now=NOW)

        database.write_now(write)
    return rows / (time.monotonic() - started)


def engage(database: Database, rows: int) -> None:
    """Let one in fifty open mail, and one in a thousand follow a link."""
    for start in range(0, rows, 50 * BATCH):
        some = range(start, min(start + 50 * BATCH, rows), 50)

        def write(connection: Connection, some: range = some) -> None:
            for number in some:
                for has_clicked in (False, True)[: 1 + (number % 1000 == 0)]:
                    contacts.note_engagement(
                        connection,
                        1,
                        f"c{number}@d{number % 5000}.example",
                        has_clicked=has_clicked,
                        at_ms=ids.milliseconds(NOW),
                    )

        database.write_now(write)


def looks(audience_row: int, rows: int) -> dict[str, Callable[[Connection], object]]:
    """Return what is timed, by name."""
    middle = ids.numbered_id("ct", 0, rows // 2)
    vip = ContactFilter(tag="vip")
    subscribed = MemberFilter(Status.SUBSCRIBED)
    last = 2**63 - 1
    filtered = {
        "tag": MemberFilter(tag="vip"),
        "rare_tag": MemberFilter(tag="rare"),
        "opened": MemberFilter(has_opened=True),
        "not_opened": MemberFilter(has_opened=False),
        "clicked": MemberFilter(has_clicked=True),
        "subscribed_tag_opened": MemberFilter(Status.SUBSCRIBED, "vip", has_opened=True),
    }
    pages: dict[str, Callable[[Connection], object]] = {
        f"members_{name}": partial(
            memberships.members_before,
            audience_row=audience_row,
            before_row=rows * 3 // 4,
            limit=PAGE,
            filters=wanted,
        )
        for name, wanted in filtered.items()
    }
    return pages | {
        "contacts_first": lambda db: contacts.list_(db, 1, limit=PAGE),
        "contacts_middle": lambda db: contacts.list_(db, 1, limit=PAGE, after=middle),
        "contacts_tag": lambda db: contacts.list_(db, 1, vip, limit=10, after=middle),
        "contact": lambda db: contacts.get(db, 1, "c7@d7.example"),
        "members_first": lambda db: memberships.members_before(db, audience_row, last, PAGE),
        "members_middle": lambda db: memberships.members_after(
            db, audience_row, rows // 2, PAGE, subscribed
        ),
        "members_page_1000": lambda db: memberships.members_before(
            db, audience_row, last, PAGE, skip=min(rows - PAGE, 99_900)
        ),
        "audience_counts": lambda db: memberships.count(db, audience_row),
    }


def suppress(connection: Connection) -> None:
    """Suppress fifty members, one after the other."""
    for number in range(LOOKS):
        email = f"c{number}@d{number}.example"
        suppressions.add(
            connection, tenant_id=1, key=email, address=email, reason="bounce", now=NOW
        )


def measure(rows: int) -> dict[str, float]:
    """Return rows a second, and the median milliseconds of each look."""
    with (
        tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory,
        closing(Database.open(Path(directory))) as database,
    ):
        audience = database.write_now(lambda db: audiences.create(db, 1, Identity("News"), now=NOW))
        figures = {"rows_per_second": round(fill(database, audience, rows))}
        engage(database, rows)
        for name, look in looks(audience.row, rows).items():
            times = []
            for _ in range(LOOKS):
                started = time.perf_counter()
                database.read_now(look)
                times.append(time.perf_counter() - started)
            figures[f"{name}_ms"] = round(median(times) * 1000, 3)
        figures["again_per_second"] = round(fill(database, audience, min(rows, 20 * BATCH)))
        started = time.perf_counter()
        database.write_now(suppress)
        figures["suppress_50_ms"] = round((time.perf_counter() - started) * 1000, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    found = {str(count): measure(count) for count in (FEW, rows)}
    found["memory_mb"] = {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    for name, figures in found.items():
        print(name, figures)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"contacts-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
