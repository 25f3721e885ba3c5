"""The schema's history: the list of changes that lead to it. A released one is never edited.

The statements themselves, with the documentation of every table and column, are in schema.py.
Not here: the transaction that makes a crash leave the old schema or the new (database.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlite_utils import Database as SqliteUtilsDatabase
from sqlite_utils import Migrations

from storage import (
    schema,
    schema_access,
    schema_accounts,
    schema_audiences,
    schema_automations,
    schema_campaigns,
    schema_channels,
    schema_contacts,
    schema_domains,
    schema_emails,
    schema_figures,
    schema_queue_changes,
    schema_references,
    schema_reports,
    schema_reputation,
    schema_request_log,
    schema_return_hosts,
    schema_stats,
    schema_suppressions,
    schema_suspensions,
    schema_tracking,
    schema_webhooks,
)
from storage.errors import SchemaTooNew

if TYPE_CHECKING:
    from sqlite3 import Connection

STEPS: Mapping[str, Sequence[str]] = {
    "0001_first_release": schema.FIRST_RELEASE,
    "emails": schema_emails.EMAILS,
    "suppression_causes": schema_suppressions.SUPPRESSION_CAUSES,
    "statistics": schema_stats.STATISTICS,
    "domain_suspensions": schema_suspensions.DOMAIN_SUSPENSIONS,
    "request_log": schema_request_log.REQUEST_LOG,
    "access": schema_access.ACCESS,
    "webhook_delivery": schema_webhooks.WEBHOOK_DELIVERY,
    "reports": schema_reports.REPORTS,
    "domain_checks": schema_domains.DOMAIN_CHECKS,
    "tracking": schema_tracking.TRACKING,
    "reputation": schema_reputation.REPUTATION,
    "contacts": schema_contacts.CONTACTS,
    "templates": schema_contacts.TEMPLATES,
    "audiences": schema_audiences.AUDIENCES,
    "imports": schema_audiences.IMPORTS,
    "users": schema_accounts.USERS,
    "return_hosts": schema_return_hosts.RETURN_HOSTS,
    "audience_references": schema_references.REFERENCES,
    "template_kinds": schema_contacts.TEMPLATE_KINDS,
    "audience_metadata": schema_references.METADATA,
    "campaigns": schema_campaigns.CAMPAIGNS,
    "automations": schema_automations.AUTOMATIONS,
    "credits": schema_accounts.CREDITS,
    "channels": schema_channels.CHANNELS,
    "queue_changes": schema_queue_changes.QUEUE_CHANGES,
    "figures": schema_figures.FIGURES,
    "campaigns_forgetting": schema_campaigns.FORGETTING,
    "contacts_search": schema_contacts.SEARCH,
}
"""Name -> statements, in the order they are applied."""


def is_pending(connection: Connection) -> bool:
    """Return whether the file lacks some of this release's schema. Takes no lock.

    Raises:
        SchemaTooNew: the file has been changed by a later release.
    """
    database = _wrapped(connection)
    applied = {migration.name for migration in _MIGRATIONS.applied(database)}
    if unknown := sorted(applied - STEPS.keys()):
        raise SchemaTooNew(
            f"the database belongs to a later release (it has {unknown[0]}); use that release"
        )
    return applied != STEPS.keys()


def apply(connection: Connection) -> None:
    """Bring the file to this release's schema, inside the transaction that the caller has begun."""
    _MIGRATIONS.apply(_wrapped(connection))


def _wrapped(connection: Connection) -> SqliteUtilsDatabase:
    # Bare: no plugins that happen to be installed, and none of its own settings.
    return SqliteUtilsDatabase(connection, recursive_triggers=False, execute_plugins=False)


def _step(statements: Sequence[str]) -> Callable[[SqliteUtilsDatabase], None]:
    def run(database: SqliteUtilsDatabase) -> None:
        for statement in statements:  # not executescript, which would commit the transaction
            database.execute(statement)

    return run


def _registered() -> Migrations:
    migrations = Migrations("mailwright")
    for name, statements in STEPS.items():
        migrations(name=name)(_step(statements))
    return migrations


_MIGRATIONS = _registered()
