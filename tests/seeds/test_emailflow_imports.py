"""EmailFlow's bulk imports, row by row; jobs that end are in test_emailflow_curl.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.compat import Compat, CompatLimits
from control_api.dialects.base import Upload
from control_api.dialects.emailflow import DIALECT
from control_api.dialects.emailflow_imports import to_form
from mta.core.rate_limit import parse_limit
from tests.control_api.conftest import Api
from tests.seeds.emailflow_client import BASES, DONE, EmailFlow
from tests.seeds.shapes import assert_shape, row

PEOPLE = [
    {"EMAIL": "alice@example.net", "FIRST_NAME": "Alice", "tags": ["vip"]},
    {"EMAIL": "bob@example.net", "FIRST_NAME": "Bob", "status": "subscribed"},
]
JOB = {
    "job_uid": str,
    "status": str,
    "progress": int,
    "received": int,
    "inserted": int,
    "updated": int,
    "failed": int,
}


@pytest.fixture
def flow(api: Api) -> EmailFlow:
    return EmailFlow(api)


async def bulk(flow: EmailFlow, uid: str, people: Any, mode: str = "overwrite") -> Any:
    body = {"mode": mode, "subscribers": people}
    return await flow.ok("POST", f"/lists/{uid}/subscribers/bulk", body)


@row("E-22")
async def test_import_at_once(flow: EmailFlow) -> None:
    uid = await flow.new_list("FIRST_NAME")
    await flow.new_subscriber(uid, "bob@example.net", FIRST_NAME="Robert")
    made = await bulk(flow, uid, PEOPLE)
    counts = {"received": 2, "inserted": 1, "updated": 1, "failed": 0}
    assert_shape(made, {"list_uid": uid, **counts, "batch_id": str})
    assert made["errors"] == []
    assert made["batch_id"].startswith("imp_")
    alice, bob = [await flow.subscriber(str(one["EMAIL"])) for one in PEOPLE]
    assert (alice["FIRST_NAME"], alice["tags"], bob["FIRST_NAME"]) == ("Alice", ["vip"], "Bob")
    again = await bulk(flow, uid, [{"EMAIL": "bob@example.net", "FIRST_NAME": "Rob"}], "skip")
    assert (again["updated"], again["skipped"]) == (0, 1)
    assert (await flow.subscriber("bob@example.net"))["FIRST_NAME"] == "Bob"


@row("E-22")
async def test_rows_that_cannot_be_are_told_one_by_one(flow: EmailFlow) -> None:
    uid = await flow.new_list()
    people = [{"EMAIL": "nobody"}, 7, {"FIRST_NAME": "No"}, *PEOPLE, {"email": "x@example.net"}]
    made = await bulk(flow, uid, people)
    assert (made["received"], made["inserted"], made["failed"]) == (6, 3, 3)
    assert_shape(made["errors"], [{"index": int, "field": str, "code": str, "message": str}])
    assert [(one["index"], one["field"]) for one in made["errors"]] == [
        (0, "EMAIL"),
        (1, ""),
        (2, "EMAIL"),
    ]


@row("E-22", "E-47")
@pytest.mark.parametrize("people", [None, "all", [{"EMAIL": "a@example.net"}] * 1001])
async def test_imports_that_cannot_be(api: Api, people: Any) -> None:
    flow = EmailFlow(api)
    path = f"/lists/{await flow.new_list()}/subscribers/bulk"
    reply = await flow.call("POST", path, {"subscribers": people})
    assert reply.status == 403
    assert_shape(reply.json, {"subscribers": [str]})
    gone = await flow.call("POST", "/lists/ZZ/subscribers/bulk", {"subscribers": PEOPLE})
    assert gone.status == 404


async def queue(flow: EmailFlow, uid: str) -> Any:
    path = f"/lists/{uid}/subscribers/bulk/async"
    reply = await flow.call("POST", path, {"mode": "overwrite", "subscribers": PEOPLE})
    assert reply.status == 202, reply.body
    return reply.json


@row("E-23", "E-48")
@pytest.mark.parametrize("base", BASES, ids=["root", "prefix"])
async def test_queue_an_import(api: Api, base: str) -> None:
    flow = EmailFlow(api, base)
    flow.client.headers["Host"] = "mail.example"
    made = await queue(flow, await flow.new_list())
    url = f"http://mail.example{flow.base}/import-jobs/{made['job_uid']}"
    job = {"job_uid": made["job_uid"], "status": "queued", "status_url": url, "cancel_url": url}
    assert made == job
    assert made["job_uid"].startswith("job_")


@row("E-23")
async def test_queue_a_file(flow: EmailFlow) -> None:
    uid = await flow.new_list("FIRST_NAME")
    mapping = json.dumps({"Email": "EMAIL", "First Name": "FIRST_NAME"})
    parts = (
        '--b\r\nContent-Disposition: form-data; name="file"; filename="subscribers.csv"\r\n'
        "Content-Type: text/csv\r\n\r\nEmail,First Name\nalice@example.net,Alice\n\r\n"
        f'--b\r\nContent-Disposition: form-data; name="mapping"\r\n\r\n{mapping}\r\n'
        '--b\r\nContent-Disposition: form-data; name="mode"\r\n\r\noverwrite\r\n--b--\r\n'
    )
    media = {"content-type": "multipart/form-data; boundary=b"}
    path = f"/lists/{uid}/subscribers/bulk/async"
    reply = await flow.call("POST", path, parts.encode(), media)
    assert reply.status == 202, reply.body
    wrong = parts.replace('"Email"', '"Mail"').encode()
    refused = await flow.call("POST", path, wrong, media)
    assert refused.status == 403
    assert_shape(refused.json, {"mapping": [str]})


def test_a_form_is_told_anew_with_a_boundary_that_the_file_has_not() -> None:
    upload = to_form({"mapping": "{}", "mode": "overwrite"}, Upload(b"a,b\r\n--x", "text/csv"))
    boundary = upload.media_type.partition("boundary=")[2]
    assert upload.data.count(boundary.encode()) == 4
    assert b'name="mapping"\r\n\r\n{}\r\n' in upload.data
    assert upload.data.endswith(f"a,b\r\n--x\r\n--{boundary}--\r\n".encode())


@row("E-24", "E-25", "E-26")
async def test_jobs(flow: EmailFlow) -> None:
    uid = await flow.new_list()
    await queue(flow, await flow.new_list())
    made = await queue(flow, uid)
    path = f"/import-jobs/{made['job_uid']}"
    job = await flow.ok("GET", path)
    assert_shape(job, {**JOB, "job_uid": made["job_uid"], "status": "queued", "progress": 0})
    assert await flow.ok("GET", f"/lists/{uid}/import-jobs") == [job]
    assert_shape(await flow.form("DELETE", path), DONE)
    assert (await flow.ok("GET", path))["status"] == "canceled"
    await flow.form("DELETE", path, 403)
    for method in ("GET", "DELETE"):
        await flow.form(method, "/import-jobs/job_77aa", 404)
    await flow.form("GET", "/lists/ZZ/import-jobs", 404)


@row("E-49")
async def test_only_bulk_writes_are_limited(api: Api) -> None:
    assert [one.name for one in DIALECT.limits(Compat())["bulk"]] == ["60/m"]
    compat = Compat(limits=CompatLimits(emailflow_bulk=(parse_limit("2/m"),)))
    flow = EmailFlow(api.with_settings(compat=compat))
    flow.client.address = "203.0.113.9"
    uid = await flow.new_list()
    await bulk(flow, uid, PEOPLE)
    await queue(flow, uid)
    path = f"/lists/{uid}/subscribers/bulk"
    for one in (path, f"{path}/async"):
        reply = await flow.call("POST", one, {"subscribers": PEOPLE})
        assert reply.status == 429
        assert_shape(reply.json, {"message": str})
    for number in range(5):
        await flow.new_subscriber(uid, f"bee{number}@example.net")
