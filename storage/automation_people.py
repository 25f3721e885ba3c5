"""Whom automations are about: what is known of contacts, and who has a date that is due.

Not here: runs (automation_runs.py).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mta.core.automation_condition import Facts, Member
from mta.core.frozen import frozen
from storage import contacts, memberships
from storage.contacts import ContactRecord
from storage.database import Connection
from storage.memberships import MemberRecord
from storage.sql import given


@frozen
class Person:
    """A contact, with its memberships by "aud_..."."""

    contact: ContactRecord
    members: Mapping[str, MemberRecord]

    def facts(self) -> Facts:
        """Return what conditions can ask; nothing of a run yet."""
        contact = self.contact
        return Facts(
            email=contact.email,
            name=contact.name,
            properties=contact.properties,
            tags=frozenset(contact.tags),
            members={name: Member(one.status, one.values) for name, one in self.members.items()},
            opened_at=contact.opened_at,
            clicked_at=contact.clicked_at,
        )


def people(connection: Connection, tenant_id: int, rows: Sequence[int]) -> Mapping[int, Person]:
    """Return row number -> person, of those contacts of a tenant that there are."""
    found = contacts.get_rows(connection, tenant_id, sorted(set(rows)))
    return {
        row: Person(
            contact, {one.audience_id: one for one in memberships.of_contact(connection, row)}
        )
        for row, contact in found.items()
    }


@frozen
class Dates:
    """Where dates are, and which are due.

    Attributes:
        tenant_id: whose contacts.
        audience_row: subscribed members of this audience only; 0: all contacts.
        name: of the property, or of the field of the audience.
        is_field: whether it is a field.
        days: "YYYY-MM-DD" or "MM-DD", all of one length.
    """

    tenant_id: int
    audience_row: int
    name: str
    is_field: bool
    days: tuple[str, ...]


@frozen
class Found:
    """Contacts, by row number, with a date that is due, and up to which row was looked.

    `is_last` tells that there is nothing behind.
    """

    contact_rows: tuple[int, ...]
    through: int
    is_last: bool


_CONTACTS = """
SELECT c.id AS row, c.id AS contact, c.properties ->> ?1 AS date FROM contacts c
WHERE c.tenant_id = ?2 AND c.id > ?3 ORDER BY c.id LIMIT ?4
"""
_MEMBERS = """
SELECT m.id AS row, m.contact_id AS contact, {} ->> ?1 AS date
FROM memberships m CROSS JOIN contacts c ON c.id = m.contact_id
WHERE m.audience_id = ?2 AND m.status = 'subscribed' AND m.id > ?3 ORDER BY m.id LIMIT ?4
"""


def with_dates(connection: Connection, dates: Dates, *, after: int, limit: int) -> Found:
    """Look at contacts behind a row (members behind a membership's), `limit` at most."""
    if dates.audience_row:
        source = _MEMBERS.format("m.field_values" if dates.is_field else "c.properties")
    else:
        source = _CONTACTS
    # A date begins every way of writing a time; "MM-DD" is behind the year.
    start = 1 if len(dates.days[0]) > len("MM-DD") else len("YYYY-") + 1
    [(count, through, rows)] = connection.execute(
        f"SELECT COUNT(*), COALESCE(MAX(row), 0), json_group_array(contact) FILTER ("
        f" WHERE substr(date, {start}, {len(dates.days[0])}) IN"
        f" (SELECT value FROM json_each(?5) AS given)) FROM ({source})",
        (
            *(dates.name, dates.audience_row or dates.tenant_id, after, limit),
            given(list(dates.days)),
        ),
    ).fetchall()
    return Found(_numbers(rows), max(through, after), count < limit)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.strip("[]").split(",") if number)
