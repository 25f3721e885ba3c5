"""EmailFlow's bulk imports: at once with what became of each row, or as a job in the background.

Not here: what rows mean (emailflow_people.py), CSV (mta/core/contact_csv.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from control_api.dialects.base import Ask, Asked, Operation, Reply, Steps, Upload
from control_api.dialects.emailflow_lists import audience
from control_api.dialects.emailflow_people import renamed, to_member
from control_api.dialects.emailflow_shapes import (
    done,
    id_of,
    job_uid_of,
    text_of,
    uid_of,
    wanted_page,
)
from control_api.errors import ApiError, Problem
from mta.core.event import JsonValue

BULK = "bulk"
"""The bucket of calls that the document limits."""
FILE = "file"
OVERWRITE, SKIP = "overwrite", "skip"
_PASSED_ON = ("mapping", "delimiter", "encoding", "status")
_OPEN = ("queued", "running")
_ENDED = Problem(403, "ended", "Only a job that is queued or running can be cancelled.")
_IMPORTS = "/v1/audiences/{id}/imports"


def _bulk(asked: Asked) -> Steps:
    where = yield from audience(asked.path["list_uid"])
    made = yield Ask(
        "POST",
        _IMPORTS,
        {"id": where["id"]},
        body={**_rows(asked.fields, where), "sync": True},
        renamed={"contacts": "subscribers"},
    )
    found = made.value
    names = renamed(where)
    return Reply(
        {
            "list_uid": uid_of(where["id"]),
            **_counts(found["counts"]),
            "batch_id": found["id"],
            "errors": [_error(one, names) for one in found["errors"]],
        }
    )


def _rows(fields: dict[str, JsonValue], where: Any) -> dict[str, JsonValue]:
    """Return what a bulk request says as the native API takes it."""
    people = fields.get("subscribers")
    body: dict[str, JsonValue] = {"mode": _mode(fields)}
    if isinstance(people, list):
        body["contacts"] = [
            to_member(one, where) if isinstance(one, dict) else one for one in people
        ]
    elif people is not None:
        body["contacts"] = people
    return body


def _mode(fields: Mapping[str, JsonValue]) -> JsonValue:
    """Return the native mode: the document names one, and another word leaves known rows alone."""
    return OVERWRITE if text_of(fields.get("mode")) in ("", OVERWRITE) else SKIP


def _counts(counts: Any) -> dict[str, Any]:
    return {name: counts[name] for name in ("received", "inserted", "updated", "skipped", "failed")}


def _error(one: Any, names: Mapping[str, str]) -> dict[str, Any]:
    return {**one, "field": names.get(one["field"], one["field"])}


def _queue(asked: Asked) -> Steps:
    where = yield from audience(asked.path["list_uid"])
    body: JsonValue | Upload = (
        to_form(asked.fields, asked.files[FILE])
        if FILE in asked.files
        else _rows(asked.fields, where)
    )
    made = yield Ask(
        "POST", _IMPORTS, {"id": where["id"]}, body=body, renamed={"contacts": "subscribers"}
    )
    uid = job_uid_of(made.value["id"])
    url = f"{asked.base_url}/api/v1/import-jobs/{uid}"
    return Reply(
        {
            "job_uid": uid,
            "status": made.value["status"],
            "status_url": url,
            "cancel_url": url,
        },
        202,
    )


def to_form(fields: Mapping[str, JsonValue], file: Upload) -> Upload:
    """Return a form with a file as the native API takes it (RFC 7578)."""
    parts = {name: text_of(fields[name]) for name in _PASSED_ON if text_of(fields.get(name))}
    parts["mode"] = str(_mode(fields))
    boundary = hashlib.sha256(file.data).hexdigest()  # which the file cannot hold
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    texts = "".join(f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in parts.items())
    opening = f'{texts}{head}{FILE}"; filename="import.csv"\r\nContent-Type: text/csv\r\n\r\n'
    data = opening.encode() + file.data + f"\r\n--{boundary}--\r\n".encode()
    return Upload(data, f"multipart/form-data; boundary={boundary}")


def _jobs(asked: Asked) -> Steps:
    where = yield from audience(asked.path["list_uid"])
    query = {**wanted_page(asked.query), "audience_id": where["id"]}
    found = yield Ask("GET", "/v1/imports", query=query)
    return Reply([job_json(one) for one in found.value["data"]])


def _job(asked: Asked) -> Steps:
    return Reply(job_json((yield _asked_for(asked)).value))


def _asked_for(asked: Asked) -> Ask:
    return Ask("GET", "/v1/imports/{id}", {"id": id_of("imp", asked.path["job_uid"])})


def job_json(one: Any) -> dict[str, Any]:
    """Return an import as a job."""
    return {
        "job_uid": job_uid_of(one["id"]),
        "list_uid": uid_of(one["audience_id"]),
        "status": one["status"],
        "mode": one["mode"],
        "progress": one["progress"],
        **_counts(one["counts"]),
        "message": one["problem"],
        "created_at": one["created_at"],
        "started_at": one["started_at"],
        "completed_at": one["completed_at"],
    }


def _cancel(asked: Asked) -> Steps:
    found = (yield _asked_for(asked)).value
    if found["status"] not in _OPEN:
        raise ApiError(_ENDED)
    yield Ask("DELETE", "/v1/imports/{id}", {"id": found["id"]})
    return done("The import job was cancelled")


_LIST, _ONE = "/api/v1/lists/{list_uid}", "/api/v1/import-jobs/{job_uid}"
OPERATIONS = (
    Operation(
        "E-22",
        "POST",
        f"{_LIST}/subscribers/bulk",
        _bulk,
        "Import up to 1,000 subscribers at once",
        "`mode` is `overwrite` unless it says something else, which leaves known ones alone.",
        bucket=BULK,
    ),
    Operation(
        "E-23",
        "POST",
        f"{_LIST}/subscribers/bulk/async",
        _queue,
        "Import subscribers in the background",
        "JSON with up to 50,000, or a form with `file` (CSV) and `mapping`, as large as "
        "`api.max_body_size`.",
        bucket=BULK,
    ),
    Operation("E-24", "GET", f"{_LIST}/import-jobs", _jobs, "List the imports of a list"),
    Operation("E-25", "GET", _ONE, _job, "How far an import is"),
    Operation("E-26", "DELETE", _ONE, _cancel, "Cancel an import", "Rows that are in stay."),
)
