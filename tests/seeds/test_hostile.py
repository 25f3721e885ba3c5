"""Every call of every dialect, with what no client should send: an answer, never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control_api.app import DIALECTS
from control_api.dialects.base import Dialect, KeyPlace, Operation
from tests.control_api.conftest import Api
from tests.seeds.services import Service

VALUES: tuple[Any, ...] = (
    None,
    -1,
    2**70,
    "",
    "x" * 3000,
    "a\r\nb",
    "nul \x00",
    "\U0001d518\u202e\ufeff",
    [[]],
    {},
    {"a": {"b": []}},
    "99999999999",
    "cmp_01KJMQ0R000000000000000001",
)
NAMES = """
    from to cc bcc subject html text body tags replyTo scheduledAt emails content name email
    listId list_uid from_email from_name url events appId emailAddress status data page pageSize
    per_page limit type htmlContent recipients trackOpens trackClicks contacts domain EMAIL
    FIRST_NAME tag subscribers mode mapping contact label message_id description password
    api_token country line1 city postal_code template metadata id open click search q audience_id
    track_open send_at fields
""".split()  # noqa: SIM905 - a wall of quotes says less
OPERATIONS = [(dialect, one) for dialect in DIALECTS for one in dialect.operations]


@pytest.mark.parametrize(
    ("dialect", "operation"),
    OPERATIONS,
    ids=[f"{one.method} /{dialect.name}{one.path}" for dialect, one in OPERATIONS],
)
async def test_hostile_values(api: Api, dialect: Dialect, operation: Operation) -> None:
    key = {"x-api-key": api.key} if KeyPlace.X_API_KEY in dialect.keys else None
    service = Service(api, f"/compat/{dialect.name}", key)
    path = operation.path
    for part in ("id", "uid", "list_uid", "jobId", "job_uid", "email"):
        path = path.replace(f"{{{part}}}", "%F0%9F%90%9C%00x")
    bodies: list[Any] = [b"", b"{", b"null", b"[7]"]
    bodies += [dict.fromkeys(NAMES, value) for value in VALUES]
    for body in bodies:
        reply = await service.call(operation.method, path, body)
        assert reply.status < 500, (body, reply.body)
        assert reply.status != 401
        if reply.headers["content-type"] == "application/json":
            assert json.loads(reply.body) is not None
    query = "&".join(f"{name}=%00x" for name in NAMES if name != "api_token")
    assert (await service.call(operation.method, f"{path}?{query}")).status < 500
