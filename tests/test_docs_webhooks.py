"""docs/webhooks.md is true: its examples are what is posted, its code verifies what is signed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from control_api.event_types import TYPES, example_body
from control_api.webhook_message import SECRET_SIZE, format_secret, headers_of
from control_api.webhook_plan import DISABLE_AFTER, FAILURES_TO_PAUSE, RETRY_AFTER
from storage.webhook_history import COUNTED, State
from storage.webhook_outbox import MAX_ROWS
from tests.support.tools import find_tool

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "webhooks.md").read_text()
SECRET = format_secret(bytes(SECRET_SIZE))
OLD = format_secret(b"o" * SECRET_SIZE)
BODY = '{"type":"email.delivered","data":{"subject":"Grüße"}}'.encode()
NODE = """
const [body, headers, secret] = JSON.parse(process.argv[1]);
console.log(verify(Buffer.from(body, "base64"), headers, secret).type);
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_examples_are_what_is_posted() -> None:
    shown = [json.loads(block) for block in blocks("json")]
    assert shown == [json.loads(example_body(one)) for one in TYPES]


def test_every_type_is_in_the_table() -> None:
    for one in TYPES:
        assert f"| `{one.kind.webhook_type}` | {one.meaning} |\n" in TEXT


def test_schedule_is_the_table() -> None:
    units = {"s": "seconds", "min": "minutes", "h": "hours"}
    [row] = re.findall(r"^\| the next one comes after \|(.*)\|$", TEXT, re.MULTILINE)
    waits = [cell.split() for cell in row.split("|")]
    assert [timedelta(**{units[unit]: int(number)}) for number, unit in waits] == list(RETRY_AFTER)


def test_figures() -> None:
    flat = " ".join(TEXT.split())
    assert f"After {FAILURES_TO_PAUSE} failures in a row" in flat
    assert f"more than {MAX_ROWS:,} emails" in flat
    assert f"({COUNTED} are counted at most)" in flat
    assert timedelta(days=5) == DISABLE_AFTER
    assert all(f"`{state.value}`" in flat for state in State)


def headers(*secrets: str, age: timedelta = timedelta()) -> dict[str, str]:
    return headers_of("ev_1", datetime.now(UTC) - age, BODY, secrets)


# Signed when a test runs: a signature made when tests are collected expires in a long run.
CASES: list[tuple[bytes, Callable[[], dict[str, str]], bool]] = [
    (BODY, lambda: headers(SECRET), True),
    (BODY, lambda: headers(SECRET, OLD), True),
    (BODY, lambda: headers(OLD, SECRET), True),
    (BODY, lambda: headers(OLD), False),
    (BODY + b" ", lambda: headers(SECRET), False),
    (BODY, lambda: headers(SECRET) | {"webhook-id": "ev_2"}, False),
    (BODY, lambda: headers(SECRET) | {"webhook-timestamp": "x"}, False),
    (BODY, lambda: headers(SECRET, age=timedelta(minutes=6)), False),
    (BODY, lambda: headers(SECRET, age=timedelta(minutes=-6)), False),
    (BODY, lambda: headers(SECRET) | {"webhook-signature": "v1,"}, False),
    (BODY, lambda: headers(SECRET) | {"webhook-signature": ""}, False),
]


@pytest.mark.parametrize(("body", "sign", "is_valid"), CASES)
def test_k05_the_python_code(
    body: bytes, sign: Callable[[], dict[str, str]], is_valid: bool
) -> None:
    signed = sign()
    [code] = blocks("python")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is our own
    if is_valid:
        assert names["verify"](body, signed, SECRET)["type"] == "email.delivered"
    else:
        with pytest.raises((WebhookVerificationError, ValueError)):
            names["verify"](body, signed, SECRET)


@pytest.mark.parametrize(("body", "sign", "is_valid"), CASES)
def test_k05_the_node_code(body: bytes, sign: Callable[[], dict[str, str]], is_valid: bool) -> None:
    node = find_tool("node")
    [code] = blocks("javascript")
    argument = json.dumps([base64.b64encode(body).decode(), sign(), SECRET])
    done = subprocess.run(
        [node, "-e", code + NODE, argument], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is is_valid
    assert (done.stdout == "email.delivered\n") is is_valid
