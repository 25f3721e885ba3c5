from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from storage import directives, events, message_lists, messages, queue
from storage.database import Connection
from storage.queue import EntryState, Selection
from tests.storage import builders
from tests.storage.builders import LATER, NOW, accept, claim

EVERYTHING = Selection(is_all=True)


def states(connection: Connection) -> dict[str, tuple[str, str]]:
    """Local part -> state and reason."""
    emails = message_lists.page(connection, 1, limit=100).emails
    entries = [entry for email in emails for entry in email.recipients]
    return {entry.address.partition("@")[0]: (entry.status, entry.why) for entry in entries}


def due_domains(connection: Connection) -> list[str]:
    found, _ = directives.after(connection, 0)
    return [one.target for one in found if one.kind == directives.DUE_CHANGED]


def test_held_entries_stay_until_released(connection: Connection) -> None:
    accept(connection, "a@example.net")
    assert queue.hold(connection, EVERYTHING, now=NOW) == 1
    assert states(connection)["a"] == ("held", "held")
    assert claim(connection, at=NOW + timedelta(days=30)) == []
    assert queue.next_due(connection, "example.net") is None
    assert queue.release(connection, EVERYTHING, now=LATER) == 1
    assert states(connection)["a"] == ("waiting", "released")
    assert queue.next_due(connection, "example.net") == LATER
    assert due_domains(connection) == ["example.net"]


def test_what_was_held_before_its_time_waits_for_it_again(connection: Connection) -> None:
    accept(connection, "new@example.net")
    accept(connection, "later@example.net", send_at=LATER)
    queue.hold(connection, EVERYTHING, now=NOW)
    assert queue.release(connection, EVERYTHING, now=NOW) == 2
    assert states(connection) == {
        "new": ("waiting", "released"),
        "later": ("waiting", "scheduled"),
    }
    assert [entry.recipient for entry in claim(connection)] == ["new@example.net"]
    [later] = claim(connection, at=LATER)
    assert later.eligible_at == LATER


def test_what_was_tried_before_its_time_is_released_at_once(connection: Connection) -> None:
    accept(connection, send_at=LATER + timedelta(days=1))
    queue.retry_now(connection, EVERYTHING, now=NOW)
    builders.settle_all(connection, claim(connection), "deferred")
    queue.hold(connection, EVERYTHING, now=NOW)
    queue.release(connection, EVERYTHING, now=NOW)
    assert len(claim(connection)) == 1


def test_retry_now_takes_what_waits_for_later(connection: Connection) -> None:
    accept(connection, "later@example.net", send_at=LATER)
    accept(connection, "due@example.org")
    accept(connection, "held@example.com", send_at=LATER)
    queue.hold(connection, Selection(domain="example.com"), now=NOW)
    assert queue.retry_now(connection, EVERYTHING, now=NOW) == 1
    assert states(connection) == {
        "later": ("waiting", "released"),
        "due": ("waiting", "new"),
        "held": ("held", "held"),
    }
    assert due_domains(connection) == ["example.net"]


@pytest.mark.parametrize("is_held", [True, False])
def test_canceled_entries_are_final(connection: Connection, is_held: bool) -> None:
    accepted = accept(connection, "a@example.net", "b@example.net")
    if is_held:
        queue.hold(connection, EVERYTHING, now=NOW)
    assert queue.cancel(connection, EVERYTHING, now=LATER) == 2
    assert states(connection) == {"a": ("canceled", ""), "b": ("canceled", "")}
    email = messages.get(connection, 1, accepted.public_id)
    assert email is not None
    assert (email.status, email.settled_at) == ("canceled", LATER)
    journal = [(e.kind.value, e.at) for e in events.of_message(connection, 1)]
    assert journal[2:] == [("canceled", LATER)] * 2
    for again in (queue.cancel, queue.release, queue.retry_now, queue.hold):
        assert again(connection, EVERYTHING, now=LATER) == 0


def test_canceling_the_rest_of_a_message_makes_it_partial(connection: Connection) -> None:
    accepted = accept(connection, "a@example.net", "b@example.org")
    builders.settle_all(connection, claim(connection))
    assert queue.cancel(connection, Selection((accepted.public_id,)), now=LATER) == 1
    email = messages.get(connection, 1, accepted.public_id)
    assert email is not None
    assert email.status == "partial"


def test_what_is_being_tried_is_asked_for_by_a_wish(connection: Connection) -> None:
    accept(connection)
    claim(connection)
    assert queue.hold(connection, EVERYTHING, now=NOW) == 1
    assert queue.cancel(connection, EVERYTHING, now=NOW) == 1
    assert queue.cancel(connection, EVERYTHING, now=NOW) == 0
    assert queue.hold(connection, EVERYTHING, now=NOW) == 0  # to cancel is the stronger wish
    assert states(connection)["ant"] == ("claimed", "new")


def test_a_wish_to_hold_can_be_taken_back(connection: Connection) -> None:
    accept(connection)
    entries = claim(connection)
    queue.hold(connection, EVERYTHING, now=NOW)
    assert queue.release(connection, EVERYTHING, now=NOW) == 1
    builders.settle_all(connection, entries, "deferred")
    assert states(connection)["ant"] == ("waiting", "reply")


Select = Callable[[queue.EntryView, queue.EntryView], Selection]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (lambda a, b: Selection((a.id,)), {"a"}),
        (lambda a, b: Selection((a.id, b.id)), {"a", "b"}),
        (lambda a, b: Selection((a.email_id,)), {"a"}),
        (lambda a, b: Selection((a.email_id, a.id, b.id)), {"a", "b"}),
        (lambda a, b: Selection((a.id,), domain="example.org"), {"a"}),  # ids come first
        (lambda a, b: Selection(domain="example.org"), {"b"}),
        (lambda a, b: Selection(domain="example.com"), set()),
        (lambda a, b: Selection(is_all=True), {"a", "b"}),
        (lambda a, b: Selection(), set()),
        (lambda a, b: Selection(tag=("campaign", "x")), {"b"}),
        (lambda a, b: Selection(tag=("campaign", "x"), domain="example.net"), set()),
        (lambda a, b: Selection(tag=("campaign", "y")), set()),
        (lambda a, b: Selection(("dl_" + "Z" * 26, "em_nobody", "nonsense", "")), set()),
    ],
)
def test_what_a_selection_means(connection: Connection, select: Select, expected: set[str]) -> None:
    accept(connection, "a@example.net")
    accept(connection, "b@example.org", tags=(("campaign", "x"), ("kind", "news")))
    a, b = queue.list_entries(connection, limit=2)
    assert queue.hold(connection, select(a, b), now=NOW) == len(expected)
    assert {name for name, (state, _) in states(connection).items() if state == "held"} == expected


def test_many_ids(connection: Connection) -> None:
    accept(connection, *[f"u{n}@example.net" for n in range(1100)])
    entries = queue.list_entries(connection, limit=2000)
    assert queue.cancel(connection, Selection(tuple(e.id for e in entries)), now=NOW) == 1100


@pytest.mark.parametrize("change", [queue.hold, queue.cancel])
def test_another_tenants_entries_are_out_of_reach(
    connection: Connection, change: Callable[..., int]
) -> None:
    accepted = accept(connection, "a@example.net")
    for selection in (
        EVERYTHING,
        Selection((accepted.public_id,)),
        Selection(domain="example.net"),
    ):
        assert change(connection, selection, now=NOW, tenant_id=2) == 0
    assert change(connection, EVERYTHING, now=NOW, tenant_id=1) == 1


def test_states_have_names() -> None:
    assert EntryState.WAITING.label == "waiting"
    assert [state.label for state in EntryState if not state.is_final] == [
        "waiting",
        "claimed",
        "held",
    ]
