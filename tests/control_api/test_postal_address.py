"""Postal addresses: the form of their country, and what is wrong with others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_api.postal_address import FIELDS, PostalAddress, PostalError, read_address

BERLIN = {"line1": "Elk Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}
RENO = {
    "line1": "1 Elk St",
    "city": "Reno",
    "region": "nevada",
    "postal_code": "89501",
    "country": "us",
}


def problems(fields: dict[str, str]) -> list[tuple[str, str]]:
    found = read_address(fields)
    assert isinstance(found, tuple)
    return [(one.field, one.code) for one in found]


def test_an_address_takes_the_form_of_its_country() -> None:
    found = read_address(RENO | {"line1": "  1  Elk St ", "line2": "Floor 2", "name": "Ant"})
    assert found == PostalAddress("Ant", "", "1 Elk St", "Floor 2", "RENO", "NV", "89501", "US")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"postal_code": "1011"}, ("postal_code", "invalid_value")),
        ({"postal_code": ""}, ("postal_code", "required")),
        ({"line1": " "}, ("line1", "required")),
        ({"city": ""}, ("city", "required")),
        ({"country": ""}, ("country", "required")),
        ({"country": "Germany"}, ("country", "invalid_value")),
        ({"country": "../../etc"}, ("country", "invalid_value")),
        ({"country": "ZZ"}, ("country", "invalid_value")),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, str], problem: tuple[str, str]) -> None:
    assert problems(BERLIN | changed) == [problem]


def test_digits_of_double_width_are_digits() -> None:
    found = read_address(BERLIN | {"postal_code": "１０１１５"})
    assert isinstance(found, PostalAddress)
    assert found.postal_code == "10115"


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"region": ""}, "region"), ({"region": "XX"}, "region"), ({"region": "NY"}, "postal_code")],
)
def test_a_postcode_belongs_to_its_state(changed: dict[str, str], field: str) -> None:
    assert [name for name, _ in problems(RENO | changed)] == [field]


def test_what_a_country_does_not_write_is_kept() -> None:
    found = read_address(BERLIN | {"region": "Berlin"})
    assert isinstance(found, PostalAddress)
    assert found.region == "Berlin"


def test_countries_without_postcodes_need_none() -> None:
    found = read_address({"line1": "1 Elk Road", "city": "Nassau", "country": "BS"})
    assert isinstance(found, PostalAddress)


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, st.text(max_size=30))),
    st.sampled_from(["", "US", "DE", "CN", "JP", "GB", "BR", "zz", "D\n"]),
)
def test_whatever_comes_is_an_address_or_wrong(fields: dict[str, str], country: str) -> None:
    found = read_address({**fields, "country": country})
    if isinstance(found, PostalAddress):
        assert read_address({name: getattr(found, name) for name in FIELDS}) == found
    else:
        assert found
        assert all(isinstance(one, PostalError) and one.field in FIELDS for one in found)
