"""What becomes of items in the sandbox, told by their age alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mta.core.channel import STATUSES, Channel, Step, sandbox_steps

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def statuses(channel: Channel, recipient: str, age: timedelta, **more: timedelta) -> list[str]:
    canceled = AT + more["canceled"] if "canceled" in more else None
    return [step.status for step in sandbox_steps(channel, recipient, AT, canceled, AT + age)]


@pytest.mark.parametrize(
    ("channel", "recipient", "last"),
    [
        (Channel.SMS, "+4930123456", "delivered"),
        (Channel.SMS, "+4930120000", "failed"),
        (Channel.MAIL, "Ant", "delivered"),
        (Channel.MAIL, "FAIL Elk", "returned"),
    ],
)
def test_every_walk_ends(channel: Channel, recipient: str, last: str) -> None:
    walk = statuses(channel, recipient, timedelta(hours=1))
    assert (walk[0], walk[-1]) == ("queued", last)
    assert set(walk) <= set(STATUSES[channel])


def test_steps_come_one_after_the_other() -> None:
    ages = [timedelta(seconds=second) for second in range(4)]
    assert [len(statuses(Channel.SMS, "+1", age)) for age in ages] == [1, 2, 3, 3]


def test_what_is_canceled_goes_no_further() -> None:
    walk = statuses(Channel.MAIL, "Ant", timedelta(hours=1), canceled=timedelta(seconds=90))
    assert walk == ["queued", "printed", "canceled"]


def test_before_it_was_taken_there_is_nothing_to_tell() -> None:
    assert sandbox_steps(Channel.SMS, "+1", AT, None, AT - timedelta(hours=1)) == ()


def test_each_step_has_its_time() -> None:
    last = sandbox_steps(Channel.MAIL, "Ant", AT, None, AT + timedelta(hours=1))[-1]
    assert last == Step("delivered", AT + timedelta(minutes=3))
