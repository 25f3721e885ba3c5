"""Postal addresses: one form, and what is wrong with others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.postal import FIELDS, POSTCODES, PostalAddress, read_address

ANTS = {"line1": "Elk Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}


@pytest.mark.parametrize(
    ("country", "given_code", "written"),
    [
        ("DE", "10115", "10115"),
        ("de", "D-10115", ""),  # a letter of old: D is no code of two letters
        ("DE", "DE-10115", "10115"),
        ("US", "94105", "94105"),
        ("US", "941051234", "94105-1234"),
        ("US", "9410", ""),
        ("GB", "sw1a1aa", "SW1A 1AA"),
        ("GB", "M1 1AE", "M1 1AE"),
        ("GB", "1AE M1", ""),
        ("CA", "k1a0b1", "K1A 0B1"),
        ("NL", "1012ab", "1012 AB"),
        ("SE", "11455", "114 55"),
        ("PL", "00950", "00-950"),
        ("JP", "1000001", "100-0001"),
        ("IE", "D02 X285", "D02 X285"),  # not compared: taken as it is
        ("HK", "", ""),
        ("DE", "", ""),
        ("DE", "１０１１５", ""),  # other digits
    ],
)
def test_postcodes(country: str, given_code: str, written: str) -> None:
    region = "CA" if country in ("US", "CA") else ""
    found = read_address(ANTS | {"country": country, "postal_code": given_code, "region": region})
    if written or (country == "HK" and isinstance(found, PostalAddress)):
        assert isinstance(found, PostalAddress)
        assert found.postal_code == written
    else:
        assert isinstance(found, tuple)
        assert [one.field for one in found] == ["postal_code"]


@pytest.mark.parametrize("missing", ["line1", "city", "country"])
def test_what_every_address_has(missing: str) -> None:
    found = read_address(ANTS | {missing: " "})
    assert isinstance(found, tuple)
    assert ("required", missing) in {(one.code, one.field) for one in found}


def test_a_state_where_letters_need_one() -> None:
    found = read_address(ANTS | {"country": "US", "postal_code": "94105"})
    assert isinstance(found, tuple)
    assert [one.field for one in found] == ["region"]


def test_spaces_and_letters_are_brought_into_order() -> None:
    found = read_address(
        {"line1": "  1  Elk St ", "city": "Reno", "region": "nv", "postal_code": "89501"}
        | {"country": "us"}
    )
    assert isinstance(found, PostalAddress)
    assert (found.line1, found.region, found.country) == ("1 Elk St", "NV", "US")


def test_an_unknown_country_is_the_only_error() -> None:
    found = read_address(ANTS | {"country": "Germany"})
    assert isinstance(found, tuple)
    assert [(one.field, one.code) for one in found] == [("country", "invalid_value")]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, st.text(max_size=30))))
def test_what_was_brought_into_one_form_stays_in_it(fields: dict[str, str]) -> None:
    found = read_address(fields)
    if isinstance(found, PostalAddress):
        again = {name: getattr(found, name) for name in FIELDS}
        assert read_address(again) == found


@given(st.sampled_from(sorted(POSTCODES)), st.text("0123456789ABZ -", max_size=9))
def test_a_postcode_is_stable(country: str, code: str) -> None:
    address = ANTS | {"country": country, "postal_code": code, "region": "X"}
    found = read_address(address)
    if isinstance(found, PostalAddress):
        assert read_address(address | {"postal_code": found.postal_code}) == found
