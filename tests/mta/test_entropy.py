"""Random bytes from a store: as many as asked for, and never the same twice."""

from __future__ import annotations

from mta.entropy import REFILL, Entropy


def test_bytes_are_given_out_once() -> None:
    entropy = Entropy()
    drawn = [entropy(10) for _ in range(2 * REFILL // 10)]
    assert {len(one) for one in drawn} == {10}
    assert len(set(drawn)) == len(drawn)


def test_what_does_not_fit_any_more_comes_from_a_new_store() -> None:
    entropy = Entropy()
    assert len(entropy(REFILL - 3)) == REFILL - 3
    assert len(entropy(10)) == 10
    assert len(entropy(REFILL)) == REFILL
