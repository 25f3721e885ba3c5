"""The log of API requests: a ring of the newest, written in batches. Not here: what is logged."""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from storage.database import Connection

KEPT = 100_000
"""Requests that the ring holds, of all tenants together."""


@frozen
class LoggedRequest:
    """One request that was answered.

    Attributes:
        tenant_id, key_id: who asked; "key_...".
        at: when it came (aware, UTC).
        request_id: "req_...".
        method, path: as asked for, without the query.
        status: of the answer.
        duration_ms: from the head of the request to the head of the answer.
        client: address it came from.
        user_agent: as the client says, "" for nothing.
        id: "log_..."; "" before it is written.
    """

    tenant_id: int
    key_id: str
    at: datetime
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: int
    client: str
    user_agent: str
    id: str = ""


@frozen
class RequestFilter:
    """Which requests to list: those that meet all that is given; "" and None ask nothing.

    Attributes:
        method: exactly this.
        path: it begins so.
        status: lowest and highest, both included.
        key_id: "key_...".
        since, until: at or after, and before (aware).
    """

    method: str = ""
    path: str = ""
    status: tuple[int, int] | None = None
    key_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


def append(connection: Connection, requests: Sequence[LoggedRequest], *, room: int = KEPT) -> None:
    """Write requests, and drop the oldest that the ring has no room for."""
    connection.executemany(
        "INSERT INTO api_requests (tenant_id, key_id, at, request_id, method, path, status,"
        " duration_ms, client, user_agent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(request) for request in requests],
    )
    connection.execute(
        "DELETE FROM api_requests WHERE id <= (SELECT MAX(id) FROM api_requests) - ?", (room,)
    )


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    filters: RequestFilter = RequestFilter(),  # noqa: B008 - frozen
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[LoggedRequest]:
    """Return a tenant's requests, newest first.

    Args:
        connection: any.
        tenant_id: whose.
        filters: which.
        limit: at most so many.
        after: go on after the one with this "log_..." id, to older ones.
        before: instead, those just before this one, newer ones. Another kind of id gives none.
        skip: leave out so many at the start.
    """
    conditions: dict[str, object] = {"tenant_id = ?": tenant_id, **_conditions(filters)}
    if after or before:
        cursor = ids.number_of(after or before, "log")
        nothing = 0 if after else 2**63 - 1
        conditions[f"id {'<' if after else '>'} ?"] = nothing if cursor is None else cursor
    direction = "ASC" if before and not after else "DESC"
    rows = connection.execute(
        "SELECT id, tenant_id, key_id, at, request_id, method, path, status, duration_ms, client,"
        f" user_agent FROM api_requests WHERE {' AND '.join(conditions)}"
        f" ORDER BY id {direction} LIMIT ? OFFSET ?",
        (*conditions.values(), limit, skip),
    ).fetchall()
    return [_logged(row) for row in (rows if direction == "DESC" else reversed(rows))]


def forget_before(connection: Connection, before: datetime, *, limit: int) -> int:
    """Delete some requests that came before then; return how many.

    They are read from the oldest up to the first that stays, so their time needs no index.
    """
    oldest = connection.execute(
        "SELECT id, at FROM api_requests WHERE id > 0 ORDER BY id LIMIT ?", (limit,)
    ).fetchall()
    before_ms = ids.milliseconds(before)
    gone = [row for row, at in oldest if at < before_ms]
    if not gone:
        return 0
    return connection.execute("DELETE FROM api_requests WHERE id <= ?", (gone[-1],)).rowcount


def _conditions(filters: RequestFilter) -> dict[str, object]:
    found: dict[str, object] = {}
    if filters.method:
        found["method = ?"] = filters.method
    if filters.path:
        # U+10FFFF sorts after whatever else may follow.
        found["path >= ?"], found["path < ?"] = filters.path, f"{filters.path}\U0010ffff"
    if filters.status is not None:
        found["status >= ?"], found["status <= ?"] = filters.status
    if filters.key_id:
        found["key_id = ?"] = filters.key_id
    if filters.since is not None:
        found["at >= ?"] = ids.milliseconds(filters.since)
    if filters.until is not None:
        found["at < ?"] = ids.milliseconds(filters.until)
    return found


def _row(request: LoggedRequest) -> tuple[object, ...]:
    return (
        request.tenant_id,
        request.key_id,
        ids.milliseconds(request.at),
        request.request_id,
        request.method,
        request.path,
        request.status,
        request.duration_ms,
        request.client,
        request.user_agent,
    )


def _logged(row: tuple[Any, ...]) -> LoggedRequest:
    number, tenant_id, key_id, at, request_id, method, path, status, *rest = row
    duration_ms, client, user_agent = rest
    return LoggedRequest(
        tenant_id=tenant_id,
        key_id=key_id,
        at=ids.moment(at),
        request_id=request_id,
        method=method,
        path=path,
        status=status,
        duration_ms=duration_ms,
        client=client,
        user_agent=user_agent,
        id=ids.numbered_id("log", at, number),
    )
