"""Templates in storage: versions never change, one of them is published."""

from __future__ import annotations

from datetime import UTC, datetime

from mta.core.template import Source
from storage import templates
from storage.database import Connection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST, SECOND = Source("a", "<p>"), Source("b", None, "x", inline_css=True)


def test_versions_and_publishing(connection: Connection) -> None:
    made = templates.create(connection, 1, "welcome", FIRST, now=NOW)
    found = templates.get(connection, 1, made)
    assert found is not None
    assert (found.id, found.latest, found.published) == (made, 1, None)
    templates.add_version(connection, found, SECOND, now=NOW)
    assert not templates.publish(connection, found, 3, now=NOW)
    assert templates.publish(connection, found, 2, now=NOW)
    found = templates.get(connection, 1, made)
    assert found is not None
    assert (found.latest, found.subject, found.published) == (2, "b", 2)
    newest = templates.versions(connection, found.row, limit=9)
    assert [(one.number, one.source) for one in newest] == [(2, SECOND), (1, FIRST)]
    assert templates.version(connection, found.row, 3) is None


def test_others_and_deleted_ones_are_not_there(connection: Connection) -> None:
    made = templates.create(connection, 1, "welcome", FIRST, now=NOW)
    assert templates.get(connection, 2, made) is None
    assert templates.get(connection, 1, "tpl_x") is None
    found = templates.get(connection, 1, made)
    assert found is not None
    templates.rename(connection, found, "other", "", now=NOW)
    assert [one.name for one in templates.list_(connection, 1, limit=9)] == ["other"]
    templates.delete(connection, found)
    assert templates.list_(connection, 1, limit=9) == []
    assert connection.execute("SELECT COUNT(*) FROM template_versions").fetchone() == (0,)


def test_pages(connection: Connection) -> None:
    made = [templates.create(connection, 1, str(n), FIRST, now=NOW) for n in range(3)]

    def page(after: str = "", before: str = "") -> list[str]:
        found = templates.list_(connection, 1, limit=2, after=after, before=before)
        return [one.id for one in found]

    assert page() == made[:0:-1]
    assert page(after=made[1]) == made[:1]
    assert page(before=made[1]) == made[2:]
