"""What a tenant has, in a few numbers for people: each a counter or a count of few rows.

Not here: what became of its mail (stats.py).
"""

from __future__ import annotations

from mta.core.campaign import CampaignStatus
from mta.core.frozen import frozen
from storage import contacts, domains
from storage.database import Connection


@frozen
class AccountTotals:
    """Of one tenant.

    Attributes:
        contacts: people.
        campaigns, sending, completed: campaigns, and those of them that are or were sent.
        domains: sender domains, verified or not.
    """

    contacts: int
    campaigns: int
    sending: int
    completed: int
    domains: int


def read(connection: Connection, tenant_id: int) -> AccountTotals:
    """Return the numbers of a tenant."""
    campaigns: dict[str, int] = dict(
        connection.execute(
            "SELECT status, COUNT(*) FROM campaigns WHERE tenant_id = ? GROUP BY status",
            (tenant_id,),
        ).fetchall()
    )
    return AccountTotals(
        contacts=contacts.total(connection, tenant_id),
        campaigns=sum(campaigns.values()),
        sending=campaigns.get(CampaignStatus.SENDING.value, 0),
        completed=campaigns.get(CampaignStatus.COMPLETED.value, 0),
        domains=domains.count(connection, tenant_id),
    )
