"""docs/dialects.md is what the tables of the dialects say."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_api.app import DIALECTS
from control_api.dialects.base import Dialect
from tests.control_api.conftest import Api, api
from tests.seeds.requests import keys
from tests.seeds.services import Service
from tools.dialects import page

__all__ = ["api"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dialects.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run: make dialects"


def test_every_operation_says_what_it_does() -> None:
    for dialect in DIALECTS:
        for one in dialect.operations:
            assert one.summary[:1].isupper(), one
            assert "|" not in one.summary + one.note + one.path, one
            assert not one.note or one.note.endswith("."), one


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
async def test_the_first_look_shows_a_client_to_be_connected(api: Api, dialect: Dialect) -> None:
    path = f"/compat/{dialect.name}{dialect.first_look}"
    service = Service(api, "", keys(api.key))
    assert (await service.call("GET", path)).status == 200
    service.client.headers = {}
    assert (await service.call("GET", path)).status == 401
