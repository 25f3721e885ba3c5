import pytest

from mta.core.mx import interleave, is_null, order_hosts, site_name


@pytest.mark.parametrize(
    ("records", "expected", "reason"),
    [
        ([(0, ".")], True, "as RFC 7505 writes it"),
        ([(0, "")], True, "the root without its dot"),
        ([(10, ".")], True, "another preference means the same"),
        ([], False, "no MX at all is an implicit MX"),
        ([(0, "mx.example.")], False, "a host"),
        ([(0, "."), (10, "mx.example.")], False, "a host beside it: the null MX does not count"),
    ],
)
def test_null(records: list[tuple[int, str]], expected: bool, reason: str) -> None:
    assert is_null(records) is expected, reason


@pytest.mark.parametrize(
    ("records", "draws", "expected", "reason"),
    [
        ([], [], (), "none"),
        ([(20, "b."), (10, "a.")], [0.1, 0.9], ("a", "b"), "preference goes before chance"),
        ([(10, "a"), (10, "b"), (10, "c")], [0.5, 0.9, 0.1], ("c", "a", "b"), "equals by draws"),
        ([(10, "MX.Example."), (20, "mx.example")], [0.5, 0.5], ("mx.example",), "one name once"),
        ([(20, "b"), (10, "b"), (15, "a")], [0.5] * 3, ("b", "a"), "where it is best"),
        ([(0, "."), (10, "a")], [0.5, 0.5], ("a",), "no host is not a host"),
        ([(10, "b"), (10, "a")], [0.5, 0.5], ("b", "a"), "equal draws: as they came"),
    ],
)
def test_order(
    records: list[tuple[int, str]], draws: list[float], expected: tuple[str, ...], reason: str
) -> None:
    assert order_hosts(records, draws) == expected, reason


def test_each_record_needs_a_draw() -> None:
    with pytest.raises(ValueError):
        order_hosts([(10, "a"), (20, "b")], [0.5])


def test_site_name_is_the_same_for_the_same_servers() -> None:
    assert site_name([(10, "b.example."), (20, "A.example")]) == "a.example,b.example"
    assert site_name([(5, "a.example"), (5, "b.example")]) == "a.example,b.example"


@pytest.mark.parametrize(
    ("v6", "v4", "prefer", "expected"),
    [
        (["6a", "6b"], ["4a", "4b"], "ipv6", ("6a", "4a", "6b", "4b")),
        (["6a", "6b"], ["4a", "4b"], "ipv4", ("4a", "6a", "4b", "6b")),
        (["6a"], ["4a", "4b", "4c"], "ipv6", ("6a", "4a", "4b", "4c")),
        ([], ["4a"], "ipv6", ("4a",)),
        (["6a"], [], "ipv4", ("6a",)),
        ([], [], "ipv6", ()),
    ],
)
def test_interleave(v6: list[str], v4: list[str], prefer: str, expected: tuple[str, ...]) -> None:
    assert interleave(v6, v4, prefer) == expected  # type: ignore[arg-type]
