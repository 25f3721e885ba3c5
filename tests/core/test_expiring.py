from __future__ import annotations

from mta.core.expiring import ExpiringMap


def test_a_value_lasts_until_its_end() -> None:
    entries: ExpiringMap[str, int] = ExpiringMap(10)
    entries.put("a", 1, 5.0)
    assert entries.get("a", 4.9) == 1
    assert entries.get("a", 5.0) is None
    assert len(entries) == 0
    assert entries.get("b", 0.0) is None


def test_a_new_value_replaces_the_old_one_and_its_end() -> None:
    entries: ExpiringMap[str, int] = ExpiringMap(10)
    entries.put("a", 1, 5.0)
    entries.put("a", 2, 9.0)
    assert entries.get("a", 8.0) == 2
    assert len(entries) == 1


def test_the_least_recently_used_goes_first() -> None:
    entries: ExpiringMap[str, int] = ExpiringMap(2)
    entries.put("a", 1, 9.0)
    entries.put("b", 2, 9.0)
    assert entries.get("a", 0.0) == 1
    entries.put("c", 3, 9.0)
    assert [entries.get(key, 0.0) for key in "abc"] == [1, None, 3]
