"""Imports: lists of contacts into an audience, at once or as work in the background.

    JSON with sync    up to a thousand contacts in one transaction, with what became of each
    JSON              some more, as work in the background
    a form with CSV   as many as there are, as work in the background

Not here: reading the body (import_upload.py), the work (import_worker.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial

from starlette.responses import Response, StreamingResponse

from control_api import filters
from control_api.audiences import find as find_audience
from control_api.body_guard import Streamed
from control_api.contacts import answer, told, unknown_audience
from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.fields import Fields, read_json
from control_api.idempotency import Once, Outcome, Written, once
from control_api.import_rows import judge
from control_api.import_upload import MAX_ROWS, Upload, Wish, keep_rows, read_wish, receive_file
from control_api.paging import read_page
from control_api.routes import Call, Route, timestamp
from mta.core.contact import Status
from mta.core.event import JsonValue
from mta.core.suppression_csv import csv_line
from storage import audiences, import_rows, imports
from storage.audiences import AudienceField, AudienceRecord
from storage.database import Connection
from storage.import_rows import RefusedRow, Step
from storage.imports import ImportRecord, NewImport
from storage.joining import Joiner

FORM = "multipart/form-data"
MAX_SYNC = 1000
"""Contacts that are imported while the request waits."""
MAX_FILE = 2**30
"""Bytes of a file: some ten million contacts."""
MAX_OPEN = 20
"""Imports of a tenant that wait or run."""
PAGE = 1000
"""Refused rows that are read at once."""
_FULL = Problem(429, "too_many_imports", f"At most {MAX_OPEN} imports wait; try again later.")


async def import_contacts(call: Call) -> Response:
    """POST /v1/audiences/{id}/imports."""
    media = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == FORM:
        return await _import_file(call)
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        wish, is_sync = read_wish(fields), _flag(fields, "sync")
        if not fields.has("contacts"):
            fields.fail("contacts", "required", "This field is required.")
        rows = [row for _, row in fields.items("contacts", MAX_SYNC if is_sync else MAX_ROWS)]
        filters.finish(fields)
        if is_sync:
            return await _import_now(call, request, rows, wish)
        if await request.is_done():
            return _accepted(await request.run(lambda _: NOT_FOUND))
        upload = await keep_rows(call.services.database, rows, wish, body)
        return await _queue(call, request, upload)


def _flag(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value is True


async def _import_file(call: Call) -> Response:
    database = call.services.database
    place = await database.read(lambda db: _place(db, call))
    if place is None:
        raise ApiError(NOT_FOUND)
    upload = await receive_file(call.request, database, tuple(place[1]))
    try:
        with once(call, upload.digest) as request:
            return await _queue(call, request, upload)
    except ApiError:
        await asyncio.to_thread(database.spool.remove, upload.name)
        raise


async def _queue(call: Call, request: Once, upload: Upload) -> Response:
    """Let the worker have a file; one that it is not to have is removed."""
    services, now = call.services, call.services.now()

    def act(connection: Connection) -> Written | Problem:
        audience = find_audience(connection, call)
        if audience is None:
            return NOT_FOUND
        if imports.open_of(connection, call.tenant_id) >= MAX_OPEN:
            return _FULL
        layout = upload.layout_json(_status(upload.wish, audience))
        new = NewImport(audience, upload.wish.mode, layout, upload.name, upload.size)
        made = imports.create(connection, call.tenant_id, new, now=now)
        return Written(import_json(made))

    outcome = await request.run(act)
    if outcome.written is None:
        await asyncio.to_thread(services.database.spool.remove, upload.name)
    services.wake_imports()
    return _accepted(outcome)


def _accepted(outcome: Outcome) -> Response:
    response = outcome.response()
    response.status_code = 202
    return response


def _status(wish: Wish, audience: AudienceRecord) -> Status:
    """Return the status of rows that name none: a list is consent, unless the audience asks."""
    usual = Status.UNCONFIRMED if audience.opt_in.is_double else Status.SUBSCRIBED
    return wish.status or usual


async def _import_now(call: Call, request: Once, rows: list[JsonValue], wish: Wish) -> Response:
    """Import contacts in the transaction that answers the request."""
    now = call.services.now()

    place = await call.services.database.read(lambda db: _place(db, call))
    if place is None:
        raise ApiError(NOT_FOUND)
    audience, known = place
    step = await asyncio.to_thread(_step, rows, known, _status(wish, audience))

    def act(connection: Connection) -> Written | Problem:
        if find_audience(connection, call) is None:
            return NOT_FOUND
        made = imports.create(connection, call.tenant_id, NewImport(audience, wish.mode), now=now)
        ended = import_rows.apply_at_once(connection, made, audience, step, now=now)
        errors = [
            {"index": one.row - 1, "field": one.field, "code": one.code, "message": one.message}
            for one in step.refused
        ]
        return Written(import_json(ended) | {"errors": errors})

    return told(call, await request.run(act))


def _place(
    connection: Connection, call: Call
) -> tuple[AudienceRecord, Mapping[str, AudienceField]] | None:
    """Return the audience that the path names with its fields; None when there is none."""
    audience = find_audience(connection, call)
    return None if audience is None else (audience, audiences.fields(connection, audience.row))


def _step(rows: list[JsonValue], known: Mapping[str, AudienceField], status: Status) -> Step:
    judged = [judge(row, known, status, number) for number, row in enumerate(rows, 1)]
    joiners = [one for one in judged if isinstance(one, Joiner)]
    refused = [one for one in judged if isinstance(one, RefusedRow)]
    return Step(0, len(rows), joiners, refused, 0)


async def list_imports(call: Call) -> Response:
    """GET /v1/imports: newest first."""
    tenant_id = call.tenant_id
    fields = filters.query_fields(call.request)
    page, audience_id = read_page(fields), fields.text("audience_id", 64)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object] | Problem:
        audience = audiences.get(connection, tenant_id, audience_id) if audience_id else None
        if audience_id and audience is None:
            return unknown_audience()
        found = imports.list_(
            connection,
            tenant_id,
            audience.row if audience else None,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        return page.render(found, import_json, skipped=page.skip)

    return answer(await call.services.database.read(look))


def _find(connection: Connection, call: Call) -> ImportRecord | None:
    return imports.get(connection, call.tenant_id, call.request.path_params["id"])


async def get_import(call: Call) -> Response:
    """GET /v1/imports/{id}."""
    found = await call.services.database.read(lambda db: _find(db, call))
    return answer(NOT_FOUND if found is None else import_json(found))


async def get_errors(call: Call) -> Response:
    """GET /v1/imports/{id}/errors: the rows that were refused, as CSV."""
    found = await call.services.database.read(lambda db: _find(db, call))
    if found is None:
        raise ApiError(NOT_FOUND)
    return StreamingResponse(
        _csv(call, found.row),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{found.id}-errors.csv"'},
    )


async def _csv(call: Call, number: int) -> AsyncIterator[str]:
    yield csv_line(("row", "email", "field", "code", "message"))
    after = 0
    while True:
        page = await call.services.database.read(
            partial(import_rows.errors_after, number=number, after=after, limit=PAGE)
        )
        cells = [(str(one.row), one.email, one.field, one.code, one.message) for one in page]
        yield "".join(csv_line(row) for row in cells)
        if len(page) < PAGE:
            return
        after = page[-1].row


async def cancel_import(call: Call) -> Response:
    """DELETE /v1/imports/{id}, POST .../cancel: no more rows; those that are in stay."""
    now = call.services.now()

    def act(connection: Connection) -> dict[str, object] | Problem:
        found = _find(connection, call)
        if found is None:
            return NOT_FOUND
        ended = imports.finish(connection, found.row, "canceled", now=now)
        return import_json(ended or found)

    outcome = await call.services.database.write(act)
    call.services.wake_imports()
    call.services.kick()
    return answer(outcome)


def import_json(one: ImportRecord) -> dict[str, object]:
    """Return an import as the API shows it."""
    has_errors = one.counts.failed > 0
    return {
        "object": "import",
        "id": one.id,
        "audience_id": one.audience_id,
        "status": one.status,
        "mode": one.mode,
        "progress": _progress(one),
        "counts": imports.counts_json(one.counts),
        "problem": one.problem or None,
        "errors_url": f"/v1/imports/{one.id}/errors" if has_errors else None,
        "created_at": timestamp(one.created_at),
        "started_at": timestamp(one.started_at) if one.started_at else None,
        "completed_at": timestamp(one.completed_at) if one.completed_at else None,
    }


def _progress(one: ImportRecord) -> int:
    """Return percent, by bytes; 100 only at the end."""
    if one.status == "completed":
        return 100
    return min(99, one.position * 100 // one.size) if one.size else 0


_READ, _WRITE = "contacts:read", "contacts:write"
IMPORT_PATH = "/v1/audiences/{id}/imports"
_ONE = "/v1/imports/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", IMPORT_PATH, import_contacts, _WRITE, "Import contacts into an audience"),
    Route("GET", "/v1/imports", list_imports, _READ, "List imports"),
    Route("GET", _ONE, get_import, _READ, "Look at an import"),
    Route("GET", f"{_ONE}/errors", get_errors, _READ, "The rows that were refused, as CSV"),
    Route("POST", f"{_ONE}/cancel", cancel_import, _WRITE, "Stop an import"),
    Route("DELETE", _ONE, cancel_import, _WRITE, "Stop an import"),
)
STREAMED = {IMPORT_PATH: Streamed(MAX_FILE, FORM)}
"""Paths whose bodies are read as they come."""
