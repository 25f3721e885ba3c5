"""Templates and their versions: each change is a new one, and mail is made of the published one.

Not here: rendering (core/template.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from mta.core.template import Source
from storage.database import Connection


@frozen
class TemplateRecord:
    """One template.

    Attributes:
        row: its row number.
        id: "tpl_...".
        name: for people.
        kind: a word of its owner's for what kind of template it is; nothing depends on it.
        latest: number of the newest version, from 1.
        subject: of the newest version.
        published: of the one that mail is made of; None: none yet.
        created_at, updated_at: aware, UTC.
    """

    row: int
    id: str
    name: str
    kind: str
    latest: int
    subject: str
    published: int | None
    created_at: datetime
    updated_at: datetime


@frozen
class Version:
    """What a template says, or said; created_at is aware, UTC."""

    number: int
    source: Source
    created_at: datetime


_SELECT = """
SELECT t.id, t.name, t.kind, v.version, v.subject, t.published, t.created_at, t.updated_at
FROM templates t JOIN template_versions v ON v.template_id = t.id AND v.version =
    (SELECT MAX(version) FROM template_versions WHERE template_id = t.id)
WHERE t.tenant_id = ?
"""


def create(
    connection: Connection,
    tenant_id: int,
    name: str,
    source: Source,
    *,
    kind: str = "",
    now: datetime,
) -> str:
    """Make a template with its first version, unpublished; return its id."""
    now_ms = ids.milliseconds(now)
    row = connection.execute(
        "INSERT INTO templates (tenant_id, name, kind, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (tenant_id, name, kind, now_ms, now_ms),
    ).fetchone()
    _write(connection, row[0], 1, source, now_ms)
    return ids.numbered_id("tpl", now_ms, row[0])


def get(connection: Connection, tenant_id: int, template_id: str) -> TemplateRecord | None:
    """Return the template with this id; None when the tenant has none."""
    number = ids.number_of(template_id, "tpl")
    if number is None:
        return None
    row = connection.execute(f"{_SELECT} AND t.id = ?", (tenant_id, number)).fetchone()
    return _record(row) if row else None


def list_(
    connection: Connection, tenant_id: int, *, limit: int, after: str = "", before: str = ""
) -> list[TemplateRecord]:
    """Return templates, newest first; the cursors as of contacts.list_."""
    cursor = ids.number_of(after or before, "tpl")
    if before and not after:
        number = 2**63 - 1 if cursor is None else cursor
        sql = f"{_SELECT} AND t.id > ? ORDER BY t.id LIMIT ?"
        rows = connection.execute(sql, (tenant_id, number, limit)).fetchall()[::-1]
    else:
        number = (0 if after else 2**63 - 1) if cursor is None else cursor
        sql = f"{_SELECT} AND t.id < ? ORDER BY t.id DESC LIMIT ?"
        rows = connection.execute(sql, (tenant_id, number, limit)).fetchall()
    return [_record(row) for row in rows]


def rename(
    connection: Connection, template: TemplateRecord, name: str, kind: str, *, now: datetime
) -> None:
    """Give a template another name and kind."""
    connection.execute(
        "UPDATE templates SET name = ?, kind = ?, updated_at = ? WHERE id = ?",
        (name, kind, ids.milliseconds(now), template.row),
    )


def add_version(
    connection: Connection, template: TemplateRecord, source: Source, *, now: datetime
) -> None:
    """Write the next version; mail is made of the published one until it is published."""
    now_ms = ids.milliseconds(now)
    _write(connection, template.row, template.latest + 1, source, now_ms)
    connection.execute("UPDATE templates SET updated_at = ? WHERE id = ?", (now_ms, template.row))


def publish(
    connection: Connection, template: TemplateRecord, version: int, *, now: datetime
) -> bool:
    """Let mail be made of a version; False, and nothing changed, when there is none such."""
    changed = connection.execute(
        "UPDATE templates SET published = ?1, updated_at = ?2 WHERE id = ?3 AND EXISTS"
        " (SELECT 1 FROM template_versions WHERE template_id = ?3 AND version = ?1)",
        (version, ids.milliseconds(now), template.row),
    )
    return changed.rowcount == 1


def delete(connection: Connection, template: TemplateRecord) -> None:
    """Delete a template with all its versions."""
    connection.execute("DELETE FROM template_versions WHERE template_id = ?", (template.row,))
    connection.execute("DELETE FROM templates WHERE id = ?", (template.row,))


_VERSIONS = """
SELECT version, subject, html, text, inline_css, created_at FROM template_versions
WHERE template_id = ?
"""


def version(connection: Connection, template_row: int, number: int) -> Version | None:
    """Return one version; None when there is none."""
    row = connection.execute(f"{_VERSIONS} AND version = ?", (template_row, number)).fetchone()
    return _version(row) if row else None


def versions(connection: Connection, template_row: int, *, limit: int) -> list[Version]:
    """Return the newest versions, newest first."""
    sql = f"{_VERSIONS} ORDER BY version DESC LIMIT ?"
    return [_version(row) for row in connection.execute(sql, (template_row, limit))]


def _write(
    connection: Connection, template_row: int, number: int, source: Source, now_ms: int
) -> None:
    connection.execute(
        "INSERT INTO template_versions (template_id, version, subject, html, text, inline_css,"
        " created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(template_row, number, source.subject, source.html, source.text),
            *(source.inline_css, now_ms),
        ),
    )


def _record(row: tuple[Any, ...]) -> TemplateRecord:
    number, name, kind, latest, subject, published, created_at, updated_at = row
    return TemplateRecord(
        row=number,
        id=ids.numbered_id("tpl", created_at, number),
        name=name,
        kind=kind,
        latest=latest,
        subject=subject,
        published=published,
        created_at=ids.moment(created_at),
        updated_at=ids.moment(updated_at),
    )


def _version(row: tuple[Any, ...]) -> Version:
    number, subject, html, text, inline_css, created_at = row
    return Version(number, Source(subject, html, text, bool(inline_css)), ids.moment(created_at))
