"""Postal addresses: read field by field, brought into one form, and checked as far as form goes.

Countries are those of ISO 3166-1; the postcodes of those in POSTCODES are compared with the form
that the country's post publishes, elsewhere they are taken as they are. Whether anybody lives
there is not known here, so nothing here says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_LINE = 200
FIELDS = ("name", "company", "line1", "line2", "city", "region", "postal_code", "country")
REQUIRED = ("line1", "city", "country")

_COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905 - 249 literals say less
)
_BY_FORM: Mapping[str, str] = {
    "999": "IS",
    "9999": "AT AU BE BG CH CY DK HU LI LU NO NZ PH SI TN ZA",
    "99999": "DE EE ES FI FR HR ID IT KR MA MX MY RS SM TH TR UA VA",
    "999999": "CN EC IN KG KZ RO RU SG",
    "9999999": "CL",
    "999 99": "CZ GR SE SK",
    "99-999": "PL",
    "999-9999": "JP",
    "9999-999": "PT",
    "99999-999": "BR",
    "9999 AA": "NL",
    "AAA 9999": "MT",
    "A9A 9A9": "CA",
}
"""Form of a postcode (9: a digit, A: a letter) -> the countries that have it."""
POSTCODES: Mapping[str, str] = {
    country: form for form, countries in _BY_FORM.items() for country in countries.split()
}
_US = re.compile(r"([0-9]{5})[- ]?([0-9]{4})?")
_GB = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?) ?([0-9][A-Z]{2})")
_REGION_NEEDED = frozenset(["AU", "BR", "CA", "US"])


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """An address in one form; "" where there is nothing of the kind.

    Attributes:
        name, company: who; line1 and line2: street and what is within it.
        region: state or province, as the country writes it.
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


@dataclass(frozen=True, slots=True)
class PostalError:
    """What is wrong with one field: a word for programs and a sentence."""

    field: str
    code: str
    message: str


def read_address(fields: Mapping[str, str]) -> PostalAddress | tuple[PostalError, ...]:
    """Return an address in one form, or all that is wrong with it.

    Args:
        fields: some of FIELDS, each one line of text.
    """
    tidy = {name: " ".join(fields.get(name, "").split()) for name in FIELDS}
    country = tidy["country"] = tidy["country"].upper()
    errors = [_required(name) for name in REQUIRED if not tidy[name]]
    if country and country not in _COUNTRIES:
        errors.append(PostalError("country", "invalid_value", "Expected two letters, such as DE."))
        return tuple(errors)
    if country in _REGION_NEEDED and not tidy["region"]:
        errors.append(_required("region"))
    if len(tidy["region"]) <= 3:
        tidy["region"] = tidy["region"].upper()
    postcode = _postcode(tidy["postal_code"].upper(), country)
    if isinstance(postcode, PostalError):
        errors.append(postcode)
    else:
        tidy["postal_code"] = postcode
    return tuple(errors) if errors else PostalAddress(**tidy)


def _required(name: str) -> PostalError:
    return PostalError(name, "required", "This field is required.")


def _postcode(text: str, country: str) -> str | PostalError:
    """Return a postcode as its country writes it, or what is wrong with it."""
    is_known = country in POSTCODES or country in ("US", "GB")
    if not text:
        return _required("postal_code") if is_known else ""
    if not is_known:
        return text
    written = _written(text, country)
    return written or PostalError("postal_code", "invalid_value", f"Not a postcode of {country}.")


def _written(text: str, country: str) -> str:
    """Return a postcode with its separators, "" when it has another form."""
    if country == "US":
        match = _US.fullmatch(text)
        return "-".join(part for part in match.groups() if part) if match else ""
    if country == "GB":
        match = _GB.fullmatch(text)
        return f"{match[1]} {match[2]}" if match else ""
    form, bare = POSTCODES[country], re.sub(r"[ -]", "", text.removeprefix(f"{country}-"))
    wanted = re.sub(r"[ -]", "", form)
    if len(bare) != len(wanted) or not all(map(_fits, bare, wanted)):
        return ""
    letters = iter(bare)
    return "".join(next(letters) if one in "9A" else one for one in form)


def _fits(letter: str, kind: str) -> bool:
    return letter.isascii() and (letter.isdigit() if kind == "9" else letter.isalpha())
