from dataclasses import fields, replace

import pytest
from mypy import api

from mta.core.frozen import frozen

CHANGED = """
from mta.core.frozen import frozen

@frozen
class Point:
    x: int
    y: int = 0

Point(1).x = 2
"""


@frozen
class Point:
    """A place."""

    x: int
    y: int = 0


def test_equal_values_are_one_in_a_set() -> None:
    assert {Point(1), Point(1, 0)} == {Point(1)}
    assert Point(1) != Point(2)


def test_it_is_a_dataclass_with_slots() -> None:
    assert [each.name for each in fields(Point)] == ["x", "y"]
    assert replace(Point(1), y=3) == Point(1, 3)
    assert not hasattr(Point(1), "__dict__")
    assert Point.__doc__ == "A place."


@pytest.mark.timeout(120)
def test_the_type_checker_keeps_it_from_being_changed() -> None:
    told, _, code = api.run(["--config-file=", "--strict", "--cache-dir=/dev/null", "-c", CHANGED])
    assert code == 1
    assert "read-only" in told
    assert told.count("error:") == 1
