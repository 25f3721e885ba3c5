"""`mta suppression`: the list of addresses that get no more mail."""

from __future__ import annotations

import json

import pytest

from tests.mta.cli.conftest import CommandLine


def listed(mta: CommandLine, *options: str) -> list[str]:
    return [
        one["email"] for one in json.loads(mta("suppression", "list", "--json", *options).stdout)
    ]


def test_added_listed_and_removed(mta: CommandLine) -> None:
    added = mta("suppression", "add", "Ant@ONE.test", "bee@two.test", "--reason", "asked")
    assert added.stdout == "suppressed 2 addresses\n"
    again = mta("suppression", "add", "Ant@one.test", "--for", "2h")
    assert (again.stdout, again.stderr) == (
        "suppressed 0 addresses\n",
        "1 address had been before\n",
    )
    lines = mta("suppression", "list").stdout.splitlines()
    assert lines[1].split()[:2] == ["bee@two.test", "asked"]
    assert listed(mta, "--search", "ONE") == ["Ant@one.test"]
    assert mta("suppression", "remove", "bee@two.test", "x@y.test").stdout == "removed 1 address\n"
    assert mta("suppression", "remove", "bee@two.test").exit_code == 1
    assert listed(mta) == ["Ant@one.test"]


def test_a_short_list_says_that_there_is_more(mta: CommandLine) -> None:
    mta("suppression", "add", "a@x.test", "b@x.test")
    assert mta("suppression", "list", "--limit", "1").stderr.startswith("there are more than 1")


def test_nothing_to_list(mta: CommandLine) -> None:
    mta("suppression", "add", "a@x.test", "--for", "1h")
    assert mta("suppression", "list", "--reason", "x").stdout == "no address is suppressed\n"


def test_a_list_goes_in_and_comes_out(mta: CommandLine) -> None:
    rows = "".join(f"u{number}@x.test,bounce\n" for number in range(2500))
    result = mta("suppression", "import", "-", "--json", stdin=f"email,reason\n{rows}".encode())
    count = json.loads(result.stdout)
    assert (count["rows"], count["added"], count["invalid"]) == (2500, 2500, 0)
    exported = mta("suppression", "export", "--reason", "bounce").stdout
    assert exported.count("\n") == 2501
    assert exported.splitlines()[1].startswith(f"u2499@x.test,bounce,{count['id']},20")
    undone = mta("suppression", "undo", "--rule", count["id"], "--json")
    assert json.loads(undone.stdout) == {"removed": 2500}
    assert mta("suppression", "import", "-", stdin=exported.encode()).exit_code == 0
    assert mta("suppression", "undo", "--since", "1h").stdout == "removed 2500 addresses\n"


def test_bad_rows_are_named_and_the_rest_is_taken(mta: CommandLine) -> None:
    result = mta("suppression", "import", "-", stdin=b"email\na@x.test\nnobody\n")
    assert result.exit_code == 1
    assert "row 2: " in result.stderr
    assert "1 of 2 rows" in result.stderr
    assert listed(mta) == ["a@x.test"]


def test_what_is_no_list_is_refused(mta: CommandLine) -> None:
    result = mta("suppression", "import", "-", stdin=b"name,phone\nx,1\n")
    assert (result.exit_code, "no column is called email" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("undo",), ("add", "a@x.test", "--reason", "two words"), ("add",), ("add", "nobody")],
)
def test_wrong_usage(mta: CommandLine, arguments: tuple[str, ...]) -> None:
    assert mta("suppression", *arguments).exit_code in (1, 2)
