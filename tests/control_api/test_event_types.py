"""The types of events that the API tells of."""

from __future__ import annotations

import json

from control_api.event_types import KINDS_OF, TYPES, example_body
from mta.core.event import EventKind
from tests.control_api.conftest import Api


def test_every_kind_is_explained_once() -> None:
    assert sorted(one.kind.value for one in TYPES) == sorted(kind.value for kind in EventKind)
    assert len({one.meaning for one in TYPES}) == len(TYPES)


def test_types_stand_for_kinds() -> None:
    assert {kind for kinds in KINDS_OF.values() for kind in kinds} == set(EventKind)
    assert KINDS_OF["email.bounced"] == (EventKind.BOUNCED, EventKind.REPORTED)


async def test_list(api: Api) -> None:
    listed = (await api.client.get("/v1/event-types")).json
    assert listed["has_more"] is False
    shown = {one["kind"]: one for one in listed["data"]}
    for one in TYPES:
        assert shown[one.kind.value] == {
            "object": "event_type",
            "type": one.kind.webhook_type,
            "kind": one.kind.value,
            "description": one.meaning,
            "example": json.loads(example_body(one)),
        }
    assert (await api.anonymous.get("/v1/event-types")).status == 401
