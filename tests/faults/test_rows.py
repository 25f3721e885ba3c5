"""The table of rows is complete, names tests that exist, and claims nothing beyond them."""

from __future__ import annotations

import re

import pytest

from tests.faults.rows import ROOT, Row, functions, rows

GATE = {
    "F": """
        A07 A11 A12 A17 A21 B06 B12 D01 D02 D03 D04 D05 D06 D07 D08 D09 D10 D13 D15
        E01 E02 E03 E04 E05 E06 E07 E12 E13 E14 E15 E16 E17 E19 E21 E22 E25
        F01 F02 F03 F04 F05 F09
        G01 G02 G03 G09 G10 G11 G12 G13 G15 G16 G17 G18 G19 G20 G22 G23 G24 G25 G27
        H01 H02 H03 H04 H05 H06 H07 H08 H09 H10 H11 H12 H13 H14 H15 H17 H18
        I01 I03 I04 I05 I06 I07 I08 I09 I11
        J02 J03 J05 J06 J07 J08 J09 J10 J11 J12 J13 J15
        K01 K02 K03 K04 K05 L01 L02 L03 L04 L05 L06 L07 L09 L10 L11 L12
        M01 M02 M03 M04 M05 M06 M07 M08 M09 M10 N01 N02 N03 N04 N05 N06 N07
        O01 O03 O09 O10 O11 O13 O16
    """,
    "S": """
        A01 A03 A04 A05 A06 A08 A14 A16 B01 B02 B03 B04 B05 B07 B11 C01 C02 C03
        E08 E09 E10 E11 E20 G04 G05 G06 G07 G08 I02 J01 J04 J14 K06 K07 L08 N08
        O02 O04 O05 O07 O08
    """,
}
"""The rows that have to hold before a release, by speed."""

SHOWN = [row for row in rows() if row.tests]


def by_id(row: Row) -> str:
    return row.id


def test_every_row_of_the_gate_is_there_once() -> None:
    gate = [(name, speed) for speed, names in GATE.items() for name in names.split()]
    assert sorted((row.id, row.speed) for row in rows()) == sorted(gate)


@pytest.mark.parametrize("row", rows(), ids=by_id)
def test_a_row_has_tests_or_a_reason(row: Row) -> None:
    assert row.fault
    assert bool(row.tests) != bool(row.pending), "tests or `pending`, and not both"
    assert bool(row.holds) == bool(row.tests), "`holds` says what the tests show"
    assert not (row.pending and row.differs)


@pytest.mark.parametrize("row", SHOWN, ids=by_id)
def test_the_tests_of_a_row_exist(row: Row) -> None:
    assert len(set(row.tests)) == len(row.tests)
    for node in row.tests:
        path, _, name = node.partition("::")
        assert name in functions(path), f"no test {node}"


@pytest.mark.parametrize("row", [row for row in SHOWN if row.speed == "F"], ids=by_id)
def test_a_fast_row_is_shown_by_every_run(row: Row) -> None:
    assert not all(is_slow(node.partition("::")[0]) for node in row.tests)


def is_slow(path: str) -> bool:
    """Tell whether all of a file is left to `make faults`."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.search(r"^pytestmark = .*mark\.slow", text, re.MULTILINE) is not None
