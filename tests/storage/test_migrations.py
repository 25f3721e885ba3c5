from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from storage import migrations, schema
from storage.database import Connection, Database
from storage.errors import SchemaTooNew

TABLES = {
    "return_hosts",
    *("tenants", "api_keys", "domains", "dkim_keys", "counters", "messages", "message_tags"),
    *("bodies", "entries", "events", "suppressions", "idempotency", "webhooks", "webhook_retries"),
    *("directives", "suspensions"),
    *("rate_meters", "tenant_quotas", "quota_windows"),
    *("engagement", "link_clicks"),
    *("stats_by_hour", "stats_by_domain", "stats_by_tag", "stats_by_sender", "stats_totals"),
    *("domain_suspensions", "api_requests"),
    "webhook_attempts",
    *("instance_secrets", "reports", "report_counts", "failures", "delivery_reports"),
    "unsubscribe_targets",
    *("contacts", "contact_tags", "audiences", "audience_fields", "memberships"),
    *("templates", "template_versions"),
    *("membership_counts", "member_tags", "confirmations", "imports", "import_errors"),
    *("users", "user_tokens"),
    *("stats_by_campaign", "stats_by_provider", "contact_counts"),
    *("credit_accounts", "credit_transactions", "credit_holds", "credit_purses"),
    *("channel_items", "queue_changes"),
    *("automations", "automation_versions", "automation_runs", "automation_steps"),
    *("campaigns", "campaign_recipients", "campaign_skips", "campaign_keys"),
    *("campaign_counts", "campaign_links", "campaign_log"),
}


def tables(connection: Connection) -> dict[str, str]:
    """Name -> statement of each of our tables."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return {name: sql for name, sql in rows if not name.startswith(("sqlite_", "_sqlite"))}


def test_an_empty_file_gets_the_whole_schema(database: Database) -> None:
    assert database.read_now(tables).keys() == TABLES
    assert not database.read_now(migrations.is_pending)


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    def version(connection: Connection) -> tuple[int, ...]:
        return tuple(
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("schema_version", "data_version")
        )

    database = Database.open(tmp_path)
    first = database.read_now(version)
    database.close()
    database = Database.open(tmp_path)
    assert database.read_now(version) == first
    database.close()


def test_applying_twice_changes_nothing(connection: Connection) -> None:
    before = tables(connection)
    migrations.apply(connection)
    assert tables(connection) == before


def test_a_failing_migration_leaves_nothing(tmp_path: Path) -> None:
    connection = dbapi2.connect(str(tmp_path / "x.db"), isolation_level=None)
    connection.execute("CREATE TABLE suspensions (x)")  # in the way of the last table
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(dbapi2.OperationalError, match="suspensions"):
        migrations.apply(connection)
    connection.execute("COMMIT")
    assert tables(connection).keys() == {"suspensions"}
    connection.close()


def test_a14_a_file_of_a_later_release_is_refused_untouched(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    database.write_now(
        lambda c: c.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('mailwright', '9999_later', '2030-01-01')"
        )
    )
    database.close()
    before = (tmp_path / "mailwright.db").read_bytes()
    with pytest.raises(SchemaTooNew, match="9999_later"):
        Database.open(tmp_path)
    assert (tmp_path / "mailwright.db").read_bytes() == before


def test_two_that_open_an_empty_file_at_once_agree(tmp_path: Path) -> None:
    start = threading.Barrier(4)
    opened: list[Database] = []

    def open_it() -> None:
        start.wait(10)
        opened.append(Database.open(tmp_path))

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for database in opened:
        assert database.read_now(tables).keys() == TABLES
        database.close()


def test_every_table_and_doubtful_column_is_explained_in_the_file(database: Database) -> None:
    obvious = {"name", "created_at", "tenant_id", "selector", "value", "url", "status", "at"}
    obvious |= {"description", "until", "id", "due_at"}
    for table, sql in database.read_now(tables).items():
        lines = [line.strip() for line in sql.splitlines()]
        assert lines[1].startswith("-- "), f"{table} is not explained"
        for line in lines[2:]:
            column = re.match(r"([a-z_0-9]+) (?:INTEGER|TEXT|BLOB)", line)
            if column and "--" not in line and "REFERENCES" not in line:
                assert column.group(1) in obvious, f"{table}.{column.group(1)} is not explained"


def test_no_statistics_can_change_the_plans(database: Database) -> None:
    rows = database.read_now(lambda c: c.execute("SELECT name FROM sqlite_master").fetchall())
    assert not [name for (name,) in rows if name.startswith("sqlite_stat")]


def test_the_default_tenant_exists(connection: Connection) -> None:
    [(number, name, created_at)] = connection.execute(
        "SELECT id, name, created_at FROM tenants"
    ).fetchall()
    assert (number, name) == (1, "default")
    assert created_at > 1_700_000_000_000


def test_released_migrations_are_what_they_were() -> None:
    # Not yet released: from 0.1.0 on, a change of this name means that a released one was edited.
    assert next(iter(migrations.STEPS)) == "0001_first_release"
    assert migrations.STEPS["0001_first_release"] is schema.FIRST_RELEASE
