"""A database that looks as if it had sent mail for a month, written by SQL within seconds.

Not here: what is measured on it (lists.py). Addresses, domains, sizes and fates are spread as in
real traffic: a few large domains, a long tail, most of it delivered.
"""

from __future__ import annotations

from datetime import datetime

from mta.core import ids
from storage.database import Connection

MONTH_MS = 28 * 86_400_000

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
_DOMAIN = """
CASE WHEN abs(i * 7919 % 100) < 40 THEN 'gmail.test' WHEN abs(i * 7919 % 100) < 60 THEN
'outlook.test' ELSE printf('d%d.test', i * 104729 % 20000) END
"""
_STATUS = """
CASE WHEN i % 1000 < 950 THEN 'delivered' WHEN i % 1000 < 980 THEN 'bounced'
WHEN i % 1000 < 985 THEN 'expired' WHEN i % 1000 < 995 THEN 'deferred' ELSE 'scheduled' END
"""
_AT = ":now - :month + i * :month / :count"

_MESSAGES = f"""
INSERT INTO messages (
    id, public_id, tenant_id, door, mail_from, ret, envid, from_address, sender_domain, subject,
    message_id, header_to, has_8bit_header, size, header_size, body_hash, is_8bit, batch_id, tags,
    metadata, created_at, send_at, status, recipients, pending, settled_at, has_body
)
{_NUMBERS}
SELECT i, printf('em_%026d', i), 1, 'api', 'bounces@sender.test', '', '',
    printf('app%d@sender.test', i % 3), 'sender.test', printf('Your order %d is on its way', i),
    printf('<%d@sender.test>', i), printf('["u%d@%s"]', i * 31 % 300000, {_DOMAIN}), 0, 10240, 700,
    zeroblob(32), 0, CASE WHEN i % 10 = 0 THEN printf('bt_%026d', i / 1000) ELSE '' END,
    CASE WHEN i % 5 = 0 THEN '[["campaign","c' || (i % 50) || '"]]' ELSE '[]' END, '{{}}',
    {_AT}, CASE WHEN i % 1000 >= 995 THEN :now + :month END, {_STATUS}, 1, i % 1000 >= 985,
    CASE WHEN i % 1000 < 985 THEN {_AT} + 1000 END, 0
FROM n
"""  # noqa: S608 - constants of this module
_ENTRIES = f"""
INSERT INTO entries (
    id, message_id, tenant_id, recipient, domain, notify, orcpt, priority, state, due_at, why,
    attempts, code, enhanced, reply, host
)
{_NUMBERS}
SELECT i, i, 1, printf('u%d@%s', i * 31 % 300000, {_DOMAIN}), {_DOMAIN}, '', '', 0,
    CASE {_STATUS} WHEN 'delivered' THEN 10 WHEN 'bounced' THEN 11 WHEN 'expired' THEN 12 ELSE 0
    END, :now + :month, CASE WHEN i % 1000 >= 985 THEN 'scheduled' ELSE '' END, 1, 250, '2.0.0',
    'OK queued', 'mx.' || {_DOMAIN}
FROM n
"""  # noqa: S608
_EVENTS = f"""
INSERT INTO events (message_id, entry_id, tenant_id, kind, at, data)
{_NUMBERS}
SELECT i, i, 1, CASE WHEN {_STATUS} = 'bounced' THEN 'bounced' ELSE 'delivered' END, {_AT},
    '{{"attempt":1,"code":250,"text":"OK queued"}}' FROM n
"""  # noqa: S608
_TAGS = f"""
INSERT INTO message_tags (tenant_id, name, value, created_at, message_id)
{_NUMBERS}
SELECT 1, 'campaign', 'c' || (i % 50), {_AT}, i FROM n WHERE i % 5 = 0
"""  # noqa: S608


def write(connection: Connection, count: int, now: datetime) -> None:
    """Write `count` messages of tenant 1, evenly over the four weeks before now (aware)."""
    values = {"count": count, "now": ids.milliseconds(now), "month": MONTH_MS}
    for statement in (_MESSAGES, _ENTRIES, _EVENTS, _TAGS):
        connection.execute(statement, values)
