import pytest

from mta.core.envelope import Priority


@pytest.mark.parametrize(
    ("name", "priority"),
    [
        ("transactional", Priority.TRANSACTIONAL),
        (" Bulk ", Priority.BULK),
        ("", None),
        ("urgent", None),
        ("0", None),
    ],
)
def test_priority_by_name(name: str, priority: Priority | None) -> None:
    assert Priority.named(name) is priority


def test_transactional_goes_first() -> None:
    assert sorted(Priority) == [Priority.TRANSACTIONAL, Priority.BULK]
