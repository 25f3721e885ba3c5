"""Due times of domains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mta.timetable import Timetable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_domains_come_when_they_are_due_the_longest_overdue_first() -> None:
    timetable = Timetable()
    timetable.note("b.test", later(2))
    timetable.note("a.test", later(1))
    timetable.note("c.test", later(3))
    assert timetable.next_at() == later(1)
    assert timetable.pop_due(later(0.5), 10) == []
    assert timetable.pop_due(later(2), 10) == ["a.test", "b.test"]
    assert timetable.next_at() == later(3)
    assert len(timetable) == 1


def test_the_earliest_time_of_a_domain_counts() -> None:
    timetable = Timetable()
    timetable.note("a.test", later(5))
    timetable.note("a.test", later(2))
    timetable.note("a.test", later(9))
    assert timetable.next_at() == later(2)
    assert timetable.pop_due(later(99), 10) == ["a.test"]
    assert timetable.next_at() is None
    assert timetable.pop_due(later(99), 10) == []


def test_a_popped_domain_can_be_noted_again() -> None:
    timetable = Timetable()
    timetable.note("a.test", later(1))
    assert timetable.pop_due(later(1), 10) == ["a.test"]
    timetable.note("a.test", later(7))
    assert timetable.next_at() == later(7)


def test_pop_due_stops_at_its_limit() -> None:
    timetable = Timetable()
    for number in range(5):
        timetable.note(f"{number}.test", later(number))
    assert timetable.pop_due(later(9), 3) == ["0.test", "1.test", "2.test"]
    assert len(timetable) == 2


def test_changed_tells_only_of_an_earlier_first_time() -> None:
    timetable = Timetable()
    timetable.note("a.test", later(5))
    assert timetable.changed.is_set()
    timetable.changed.clear()
    timetable.note("b.test", later(6))
    timetable.note("a.test", later(8))
    assert not timetable.changed.is_set()
    timetable.note("b.test", later(4))
    assert timetable.changed.is_set()


def test_memory_grows_with_domains_not_with_notes() -> None:
    timetable = Timetable()
    for round_ in range(10_000):
        timetable.note("busy.test", NOW)
        timetable.pop_due(NOW, 1)
        timetable.note("busy.test", later(3600))
        assert len(timetable._heap) < 100, round_
    assert timetable.pop_due(later(3600), 10) == ["busy.test"]
    assert timetable.next_at() is None
