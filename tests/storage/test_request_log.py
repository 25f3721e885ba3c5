"""The ring of API requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from storage import request_log
from storage.database import Connection
from storage.request_log import LoggedRequest, RequestFilter
from tests.storage.builders import LATER, NOW

REQUEST = LoggedRequest(
    tenant_id=1,
    key_id="key_1",
    at=NOW,
    request_id="req_1",
    method="POST",
    path="/v1/emails",
    status=200,
    duration_ms=3,
    client="127.0.0.1",
    user_agent="curl/8",
)


def test_what_is_written_can_be_read(connection: Connection) -> None:
    request_log.append(connection, [REQUEST, replace(REQUEST, tenant_id=2)])
    [found] = request_log.list_(connection, 1, limit=9)
    assert found.id.startswith("log_")
    assert replace(found, id="") == REQUEST


def test_pages_and_filters(connection: Connection) -> None:
    odd = replace(REQUEST, method="GET", path="/v1/queue", status=404, key_id="key_2", at=LATER)
    request_log.append(connection, [REQUEST, odd, replace(REQUEST, status=422)])
    newest, middle, oldest = request_log.list_(connection, 1, limit=9)
    assert request_log.list_(connection, 1, limit=9, after=middle.id) == [oldest]
    assert request_log.list_(connection, 1, limit=9, before=middle.id) == [newest]
    assert request_log.list_(connection, 1, limit=9, after="x") == []
    assert request_log.list_(connection, 1, limit=9, before="x") == []
    for filters, expected in {
        RequestFilter(method="GET"): [middle],
        RequestFilter(path="/v1/em"): [newest, oldest],
        RequestFilter(path="/v1/%"): [],
        RequestFilter(status=(400, 499)): [newest, middle],
        RequestFilter(status=(404, 404)): [middle],
        RequestFilter(key_id="key_2"): [middle],
        RequestFilter(since=LATER): [middle],
        RequestFilter(until=LATER): [newest, oldest],
    }.items():
        assert request_log.list_(connection, 1, filters, limit=9) == expected, filters


def test_the_ring_is_bounded(connection: Connection) -> None:
    for number in range(3):
        request_log.append(connection, [replace(REQUEST, status=200 + number)] * 2, room=3)
    assert [one.status for one in request_log.list_(connection, 1, limit=9)] == [202, 202, 201]


def test_old_ones_are_forgotten(connection: Connection) -> None:
    request_log.append(connection, [REQUEST, REQUEST, replace(REQUEST, at=LATER)])
    assert request_log.forget_before(connection, LATER, limit=1) == 1
    assert request_log.forget_before(connection, LATER, limit=9) == 1
    assert request_log.forget_before(connection, LATER, limit=9) == 0
    assert request_log.forget_before(connection, LATER + timedelta(days=9), limit=9) == 1
