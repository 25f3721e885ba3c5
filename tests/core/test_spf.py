"""SPF against the published suite for RFC 7208 (tests/data/spf, its own licence beside it)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.lookup import Answer, NoAnswer, Question, Records, conclude
from mta.core.spf import Sender, SpfResult, Verdict, check_host, count_lookups
from mta.core.spf_record import SpfError, is_spf, parse_spf

SUITE = Path(__file__).parent.parent / "data" / "spf" / "rfc7208.json"


class Zone:
    """Answers from the suite's zone data, with its conventions.

    A record of type SPF stands for the same as TXT, unless the name has TXT itself; a TXT of "NONE"
    is none; TIMEOUT answers nothing for what the name does not list before it.
    """

    def __init__(self, data: Mapping[str, list[tuple[str, Any]]]) -> None:
        self._data = {name.lower(): records for name, records in data.items()}

    def __call__(self, question: Question) -> Answer:
        name = question.name.lower()
        for _ in range(10):
            records = self._data.get(name, [])
            aliases = [value for kind, value in records if kind == "CNAME"]
            if not aliases:
                break
            name = aliases[0].lower().removesuffix(".")
        kinds = {kind for kind, _ in records}
        wanted = "SPF" if question.type == "TXT" and "TXT" not in kinds else question.type
        found = [value for kind, value in records if kind == wanted and value != "NONE"]
        if not found and "TIMEOUT" in kinds:
            return NoAnswer("timeout")
        return Records(tuple(map(self._text, found)))

    @staticmethod
    def _text(value: object) -> str:
        match value:
            case [int() as preference, str() as host]:
                return f"{preference} {host.removesuffix('.')}"
            case list():
                return "".join(value)
        return str(value)


def suite() -> Iterator[Any]:
    for scenario in json.loads(SUITE.read_text()):
        for test in scenario["tests"]:
            yield pytest.param(scenario["zone"], test, id=test["name"])


@pytest.mark.parametrize(("zone", "test"), list(suite()))
def test_rfc7208_suite(zone: dict[str, Any], test: dict[str, Any]) -> None:
    mail_from = test["mailfrom"] or f"postmaster@{test['helo']}"
    domain = mail_from.rpartition("@")[2]
    asking = check_host(Sender(test["host"], mail_from, test["helo"]), domain)
    verdict = conclude(asking, Zone(zone))
    assert verdict.result.value in test["results"], (test["spec"], verdict)


def answers(texts: Mapping[str, str]) -> Zone:
    return Zone({name: [("TXT", text)] for name, text in texts.items()})


def check(texts: Mapping[str, str], address: str = "192.0.2.1") -> Verdict:
    sender = Sender(address, "ant@a.test", "mta.a.test")
    return conclude(check_host(sender, "a.test"), answers(texts))


def test_a_verdict_names_the_term_that_decided() -> None:
    zone = {"a.test": "v=spf1 include:b.test -all", "b.test": "v=spf1 ip4:192.0.2.0/24 -all"}
    assert check(zone) == Verdict(SpfResult.PASS, "include:b.test", 1, 0)
    assert check(zone, "198.51.100.1") == Verdict(SpfResult.FAIL, "-all", 1, 0)


def test_the_eleventh_lookup_is_an_error_and_is_named() -> None:
    includes = " ".join(f"include:i{number}.test" for number in range(11))
    zone = {f"i{number}.test": "v=spf1 ?all" for number in range(11)}
    verdict = check({"a.test": f"v=spf1 {includes} -all", **zone})
    assert verdict.result is SpfResult.PERMERROR
    assert verdict.reason == "include:i10.test would be lookup 11 of at most 10"


def test_the_third_name_without_address_is_an_error() -> None:
    verdict = check({"a.test": "v=spf1 a:x.test a:y.test a:z.test ip4:192.0.2.1 -all"})
    assert (verdict.result, verdict.void_lookups) == (SpfResult.PERMERROR, 3)


def test_a_dns_that_does_not_answer_is_not_a_missing_record() -> None:
    zone = Zone({"a.test": [("TIMEOUT", None)]})
    sender = Sender("192.0.2.1", "ant@a.test", "mta.a.test")
    assert conclude(check_host(sender, "a.test"), zone).result is SpfResult.TEMPERROR


def test_all_lookups_of_a_record_are_counted_though_none_is_reached() -> None:
    zone = {
        "a.test": "v=spf1 +all a mx include:b.test exists:%{i}.c.test",
        "b.test": "v=spf1 ptr redirect=d.test",
        "d.test": "v=spf1 ip4:192.0.2.1 include:a.test",
    }
    assert conclude(count_lookups("a.test"), answers(zone)) == 7
    assert conclude(count_lookups("none.test"), answers(zone)) == 0


PIECES = st.sampled_from(
    [
        "include:",
        "a:",
        "mx",
        "exists:",
        "redirect=",
        "ptr:",
        "ip4:",
        "ip6:",
        "exp=",
        "all",
        "/",
        "//",
        "%{",
        "}",
        "%",
        "%%",
        "d",
        "i",
        "p",
        "s",
        "r",
        "R",
        "0",
        "1",
        "32",
        "-",
        "+",
        "~",
        ".",
        ":",
        "test",
        "a",
        "192.0.2.1",
        "2001:db8::1",
        "=",
        "_",
        "\\",
        "é",
        "\x00",
        "99999999999999999999",
        " ",
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_record_has_a_verdict(text: str) -> None:
    record = f"v=spf1 {text}"
    assert is_spf(record)
    with suppress(SpfError):
        parse_spf(record)
    zone = {"a.test": record, "test.test": "v=spf1 a:test.test", "a.a": record}
    assert check(zone).reason.isprintable()
    assert conclude(count_lookups("a.test"), answers(zone)) >= 0


@pytest.mark.parametrize(
    "text",
    [
        "include:x." + "a" * 60_000 + "!",
        "include:" + "a-" * 30_000,
        "a:" + "1." * 30_000,
        "a/" + "1/" * 30_000,
        "a/" + "1" * 60_000,
        "%{" * 30_000,
        "exists:%{d" + "9" * 60_000 + "}.test",
        "x=" + "%%" * 30_000 + "%",
    ],
)
def test_a_record_of_any_size_is_read_in_no_time(text: str) -> None:
    assert isinstance(check({"a.test": f"v=spf1 {text}"}), Verdict)
