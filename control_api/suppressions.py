"""Suppressions: addresses that mail of the tenant no longer goes to. One by one, by the thousand,
and as a whole list in CSV.

Addresses are compared by their key (core/address.py): the domain in lower case as A-labels, the
local part as it is; a plus and what follows it is part of the address. Not here: what suppresses an
address after a failure (core/suppression.py), that nothing is sent to it (storage/submissions.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from starlette.responses import Response, StreamingResponse

from control_api import filters
from control_api.body_guard import Streamed
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Once, Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response, timestamp
from mta.core import suppression_csv
from mta.core.address import Address, AddressError, parse_address
from mta.core.event import JsonValue
from mta.core.suppression_csv import BadRow, CsvError, Listed, Reader
from storage import suppressions
from storage.database import Connection
from storage.suppressed_entries import add_and_settle
from storage.suppressions import Cause, NewSuppression, SuppressionFilter, SuppressionRecord

MAX_BULK = 1000
"""Addresses in one request; a list of more comes as CSV."""
MAX_IMPORT = 2**30
"""Bytes of an import: some twenty million addresses."""
MAX_ERRORS = 100
"""Bad rows that the answer to an import names."""
BATCH = 1000
"""Rows in one transaction, for which mail waits some 10 ms; and in one page of an export."""
IMPORT_PATH = "/v1/suppressions/import"


async def add_suppressions(call: Call) -> Response:
    """POST /v1/suppressions: one address, or `emails` with up to a thousand."""
    services, tenant_id, now = call.services, call.tenant_id, call.services.now()
    body = await call.request.body()
    with once(call, body) as request:
        new, is_bulk = _read(body, now)

        def act(connection: Connection) -> Written | Problem:
            added = add_and_settle(connection, tenant_id, new, now=now)
            found = [_stored(connection, tenant_id, one.key, now) for one in new]
            if not is_bulk:
                return Written(found[0])
            return Written({"object": "list", "data": found, "added": len(added)})

        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


def _stored(connection: Connection, tenant_id: int, key: str, now: datetime) -> dict[str, object]:
    record = suppressions.get(connection, tenant_id, key, now=now)
    if record is None:
        raise LookupError("a suppression that was just written is not there")
    return _as_json(record)


async def list_suppressions(call: Call) -> Response:
    """GET /v1/suppressions: newest first."""
    services, tenant_id, now = call.services, call.tenant_id, call.services.now()
    fields = filters.query_fields(call.request)
    page, wanted, with_total = read_page(fields), _filter(fields), wants_total(fields)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object]:
        found = suppressions.list_(
            connection,
            tenant_id,
            wanted,
            now=now,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        rendered = page.render(found, _as_json, skipped=page.skip)
        if with_total:
            rendered["total"] = suppressions.count(connection, tenant_id, wanted, now=now)
        return rendered

    return json_response(await services.database.read(look))


async def get_suppression(call: Call) -> Response:
    """GET /v1/suppressions/{email}: by address or id."""
    tenant_id, now, name = call.tenant_id, call.services.now(), _name(call)
    record = await call.services.database.read(
        lambda db: suppressions.get(db, tenant_id, name, now=now)
    )
    if record is None:
        raise ApiError(NOT_FOUND)
    return json_response(_as_json(record))


async def delete_suppression(call: Call) -> Response:
    """DELETE /v1/suppressions/{email}: deleting it again, or what never was, succeeds too."""
    tenant_id, now, name = call.tenant_id, call.services.now(), _name(call)

    def act(connection: Connection) -> SuppressionRecord | None:
        record = suppressions.get(connection, tenant_id, name, now=now)
        if record is not None:
            suppressions.remove(connection, tenant_id=tenant_id, key=record.key, now=now)
        return record

    record = await call.services.database.write(act)
    if record is not None:
        call.services.kick()
    return json_response(
        {
            "object": "suppression",
            "id": record.id if record else None,
            "email": record.address if record else call.request.path_params["email"],
            "deleted": True,
        }
    )


@dataclass(slots=True)
class _Import:
    """An import under way.

    Attributes:
        id: "imp_...", the rule of all that it adds.
        rows, added, invalid: read, new, and not to be read.
        errors: the first of those.
        pending: read and not yet written.
    """

    id: str
    rows: int = 0
    added: int = 0
    invalid: int = 0
    errors: list[BadRow] = field(default_factory=list)
    pending: list[NewSuppression] = field(default_factory=list)

    def take(self, rows: Sequence[Listed | BadRow]) -> None:
        """Note rows that were read."""
        self.rows += len(rows)
        for row in rows:
            if isinstance(row, BadRow):
                self.invalid += 1
                if len(self.errors) < MAX_ERRORS:
                    self.errors.append(row)
            else:
                self.pending.append(_new(row.address, row.reason, row.expires_at, Cause(self.id)))

    def as_json(self) -> dict[str, object]:
        """Return the answer."""
        return {
            "object": "suppression_import",
            "id": self.id,
            "rows": self.rows,
            "added": self.added,
            "unchanged": self.rows - self.added - self.invalid,
            "invalid": self.invalid,
            "errors": [{"row": one.row, "message": one.message} for one in self.errors],
        }


_FORGOTTEN = Problem(409, "idempotency_in_flight", "The answer expired just now; ask again.")


async def import_suppressions(call: Call) -> Response:
    """POST /v1/suppressions/import: a list in CSV, written as it arrives.

    A request that breaks off has added what it had got to. Sending it again adds the rest; undo
    with the import's id as `rule` takes everything back.
    """
    fields = filters.query_fields(call.request)
    reason = fields.text("reason", suppression_csv.MAX_REASON) or suppression_csv.DEFAULT_REASON
    filters.finish(fields)
    with once(call, b"") as request:
        if await request.is_done():
            async for chunk in call.request.stream():
                request.absorb(chunk)
            return (await request.run(lambda _: _FORGOTTEN)).response()
        under_way = await _import(call, request, Reader(reason))
        outcome = await request.run(lambda _: Written(under_way.as_json()))
    return outcome.response()


async def _import(call: Call, request: Once, reader: Reader) -> _Import:
    """Read the rest of the body and write it.

    Raises:
        ApiError: it is no CSV; what came before that is written.
    """
    under_way = _Import(call.services.new_id("imp"))
    try:
        async for chunk in call.request.stream():
            request.absorb(chunk)
            under_way.take(await asyncio.to_thread(reader.feed, chunk))
            await _write(call, under_way, at_least=BATCH)
        under_way.take(reader.feed(b"", is_last=True))
        await _write(call, under_way, at_least=1)
    except CsvError as error:
        raise ApiError(_broken(error, under_way)) from None
    return under_way


async def _write(call: Call, under_way: _Import, *, at_least: int) -> None:
    """Write pending rows in batches while there are so many."""
    pending, tenant_id = under_way.pending, call.tenant_id
    while len(pending) >= at_least:
        batch, now = pending[:BATCH], call.services.now()
        added = await call.services.database.write(
            partial(add_and_settle, tenant_id=tenant_id, new=batch, now=now, is_told=False)
        )
        under_way.added += len(added)
        del pending[:BATCH]


def _broken(error: CsvError, under_way: _Import) -> Problem:
    message = f"{str(error)[:1].upper()}{str(error)[1:]}."
    if under_way.added:
        message += f" {under_way.added} addresses were added before, with the rule {under_way.id}."
    return invalid([FieldError("", "invalid_csv", message)])


async def export_suppressions(call: Call) -> Response:
    """GET /v1/suppressions/export: the list in CSV, newest first, as long as it is."""
    fields = filters.query_fields(call.request)
    wanted = _filter(fields)
    filters.finish(fields)
    return StreamingResponse(
        _csv(call, wanted),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="suppressions.csv"'},
    )


async def _csv(call: Call, wanted: SuppressionFilter) -> AsyncIterator[str]:
    tenant_id, now, after = call.tenant_id, call.services.now(), ""
    yield suppression_csv.header()
    while True:
        page = await call.services.database.read(
            partial(
                suppressions.list_,
                tenant_id=tenant_id,
                filters=wanted,
                now=now,
                limit=BATCH,
                after=after,
            )
        )
        yield "".join(csv_line_of(record) for record in page)
        if len(page) < BATCH:
            return
        after = page[-1].id


def csv_line_of(record: SuppressionRecord) -> str:
    """Return a suppression as a row of the list."""
    return suppression_csv.csv_line(
        (
            record.address,
            record.reason,
            record.cause.rule,
            timestamp(record.created_at),
            timestamp(record.expires_at) if record.expires_at else "",
            record.cause.event_id,
            record.cause.email_id,
        )
    )


def _read(body: bytes, now: datetime) -> tuple[list[NewSuppression], bool]:
    """Return what a body asks for, and whether it asks for several.

    Raises:
        ApiError: 422.
    """
    errors: list[FieldError] = []
    fields = Fields(read_json(body), errors)
    many = list(fields.items("emails", MAX_BULK))
    reason, expires_at = _details(fields, now)
    is_bulk = bool(many)
    values: list[tuple[str, JsonValue]] = many or [("email", fields.take("email"))]
    new = [_item(errors, path, value, (reason, expires_at, now)) for path, value in values]
    fields.finish()
    if errors:
        raise ApiError(invalid(errors))
    return [one for one in new if one is not None], is_bulk


def _item(
    errors: list[FieldError],
    path: str,
    value: JsonValue,
    defaults: tuple[str, datetime | None, datetime],
) -> NewSuppression | None:
    """Read one address, or one object with its own reason and end."""
    reason, expires_at, now = defaults
    if isinstance(value, dict):
        fields = Fields(value, errors, path)
        path, value = f"{path}.email", fields.take("email")
        own_reason, own_end = _details(fields, now)
        reason, expires_at = own_reason or reason, own_end or expires_at
        fields.finish()
    try:
        if value is None:
            errors.append(FieldError(path, "required", "This field is required."))
        elif not isinstance(value, str):
            errors.append(FieldError(path, "invalid_type", "Expected a string."))
        else:
            return _new(
                parse_address(value), reason or suppression_csv.DEFAULT_REASON, expires_at, Cause()
            )
    except AddressError as error:
        errors.append(FieldError(path, "invalid_address", f"{error}."))
    return None


def _details(fields: Fields, now: datetime) -> tuple[str, datetime | None]:
    """Take `reason` ("" when it is not given) and `expires_at`."""
    reason = fields.text("reason", suppression_csv.MAX_REASON)
    if reason and not suppression_csv.is_reason(reason):
        fields.fail("reason", "invalid_value", "Expected a word of a-z, 0-9, _, - and dots.")
    expires_at = filters.moment(fields, "expires_at")
    if expires_at is not None and expires_at <= now:
        fields.fail("expires_at", "invalid_time", "Expected a time to come.")
    return reason, expires_at


def _new(
    address: Address, reason: str, expires_at: datetime | None, cause: Cause
) -> NewSuppression:
    return NewSuppression(address.key, str(address), reason, expires_at, cause)


def _name(call: Call) -> str:
    """Return the key or id that the path names; what is neither names nothing."""
    name: str = call.request.path_params["email"]
    try:
        return parse_address(name).key
    except AddressError:
        return name


def _filter(fields: Fields) -> SuppressionFilter:
    return SuppressionFilter(
        reason=fields.text("reason", filters.MAX_TEXT),
        rule=fields.text("rule", filters.MAX_TEXT),
        since=filters.moment(fields, "since"),
        text=fields.text("q", filters.MAX_TEXT),
    )


def _as_json(record: SuppressionRecord) -> dict[str, object]:
    return {
        "object": "suppression",
        "id": record.id,
        "email": record.address,
        "reason": record.reason,
        "rule": record.cause.rule or None,
        "event_id": record.cause.event_id or None,
        "email_id": record.cause.email_id or None,
        "created_at": timestamp(record.created_at),
        "expires_at": timestamp(record.expires_at) if record.expires_at else None,
    }


_READ, _WRITE = "suppressions:read", "suppressions:write"
_ONE = "/v1/suppressions/{email}"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/suppressions", add_suppressions, _WRITE, "Suppress addresses"),
    Route("GET", "/v1/suppressions", list_suppressions, _READ, "List suppressed addresses"),
    Route("POST", IMPORT_PATH, import_suppressions, _WRITE, "Suppress a list of addresses in CSV"),
    Route("GET", "/v1/suppressions/export", export_suppressions, _READ, "All of them as CSV"),
    Route("GET", _ONE, get_suppression, _READ, "Look at a suppressed address"),
    Route("DELETE", _ONE, delete_suppression, _WRITE, "Send to an address again"),
)
"""Paths that are words come before the one that takes an address."""
STREAMED = {IMPORT_PATH: Streamed(MAX_IMPORT)}
"""Paths whose bodies are read as they come."""
