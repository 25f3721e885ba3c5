"""Directives, suspensions and remembered answers: small tables, small modules."""

from __future__ import annotations

from datetime import timedelta

from mta.core.disposition import Why
from storage import directives, engine_state, idempotency
from storage.database import Connection
from storage.directives import Directive
from storage.engine_state import Suspension
from storage.idempotency import StoredAnswer
from tests.storage.builders import LATER, NOW


def test_directives_are_read_once(connection: Connection) -> None:
    assert directives.after(connection, 0) == ([], 0)
    assert directives.last_id(connection) == 0
    directives.record(connection, directives.DUE_CHANGED, "example.net")
    directives.record(connection, directives.KEYS_CHANGED, "sender.example")
    found, last = directives.after(connection, 0)
    assert found == [
        Directive(1, "due_changed", "example.net"),
        Directive(2, "keys_changed", "sender.example"),
    ]
    assert last == directives.last_id(connection) == 2
    assert directives.after(connection, last) == ([], 2)


def test_old_directives_are_removed(connection: Connection) -> None:
    for _ in range(directives.KEPT + 5):
        directives.record(connection, directives.DUE_CHANGED, "example.net")
    assert directives.prune(connection) == 5
    assert directives.prune(connection) == 0
    assert directives.after(connection, 0)[0][0].id == 6
    assert directives.last_id(connection) == directives.KEPT + 5


def test_suspensions(connection: Connection) -> None:
    engine_state.suspend(connection, "mx.example.net", NOW, Why.UNREACHABLE, "refused")
    engine_state.suspend(connection, "a.example", NOW, Why.DNS, "timeout")
    engine_state.suspend(connection, "mx.example.net", LATER, Why.REPLY, "421 busy")
    assert engine_state.suspensions(connection) == [
        Suspension("a.example", NOW, Why.DNS, "timeout"),
        Suspension("mx.example.net", LATER, Why.REPLY, "421 busy"),
    ]
    assert engine_state.lift(connection, "a.example")
    assert not engine_state.lift(connection, "a.example")
    assert engine_state.lift_all(connection) == 1
    assert engine_state.suspensions(connection) == []


def remember(connection: Connection, key: str, answer: StoredAnswer, tenant_id: int = 1) -> None:
    idempotency.remember(connection, tenant_id=tenant_id, scope="POST /x", key=key, answer=answer)


def test_answers_are_remembered_by_tenant_scope_and_key(connection: Connection) -> None:
    answer = StoredAnswer(b"f", 200, b"{}", NOW)
    remember(connection, "k", answer)
    assert idempotency.find(connection, tenant_id=1, scope="POST /x", key="k") == answer
    assert idempotency.find(connection, tenant_id=2, scope="POST /x", key="k") is None
    assert idempotency.find(connection, tenant_id=1, scope="POST /y", key="k") is None
    assert idempotency.find(connection, tenant_id=1, scope="POST /x", key="K") is None
    newer = StoredAnswer(b"g", 201, b"[]", LATER)
    remember(connection, "k", newer)
    assert idempotency.find(connection, tenant_id=1, scope="POST /x", key="k") == newer


def test_old_answers_are_forgotten_in_steps(connection: Connection) -> None:
    for number in range(5):
        at = NOW + timedelta(minutes=number)
        remember(connection, f"k{number}", StoredAnswer(b"f", 200, b"", at))
    before = NOW + timedelta(minutes=3)
    assert idempotency.forget_before(connection, before, limit=2) == 2
    assert idempotency.forget_before(connection, before, limit=2) == 1
    assert idempotency.forget_before(connection, before, limit=2) == 0
    assert idempotency.find(connection, tenant_id=1, scope="POST /x", key="k3") is not None
