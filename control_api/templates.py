"""Templates: make, list, look at, change, fill for a look, publish, delete.

A change makes a new version; mail is made of the one that was published last. Not here: Liquid and
its bounds (mta/core/template.py), emails that name a template (template_field.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from starlette.responses import Response

from control_api import filters
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page
from control_api.routes import Call, Route, json_response, timestamp
from control_api.template_field import fill, read_block, read_variables, unreadable
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.template import MAX_SUBJECT, Source
from storage import templates
from storage.database import Connection
from storage.templates import TemplateRecord, Version

MAX_NAME = 256
MAX_KIND = 40
MAX_VERSIONS = 100
"""How many a list of versions shows, the newest."""
_MAX_NUMBER = 2**31


@frozen
class _Wish:
    name: str
    kind: str
    source: Source


async def create_template(call: Call) -> Response:
    """POST /v1/templates: a draft, which is version 1."""
    tenant_id, now = call.tenant_id, call.services.now()
    body = await call.request.body()
    with once(call, body) as request:
        wish = await _readable(call, _read(read_json(body)))

        def act(connection: Connection) -> Written | Problem:
            made = templates.create(
                connection, tenant_id, wish.name, wish.source, kind=wish.kind, now=now
            )
            return Written(_stored(connection, tenant_id, made))

        return (await request.run(act)).response()


async def list_templates(call: Call) -> Response:
    """GET /v1/templates: newest first, without their bodies."""
    tenant_id, fields = call.tenant_id, filters.query_fields(call.request)
    page = read_page(fields)
    filters.finish(fields)
    found = await call.services.database.read(
        lambda db: templates.list_(
            db, tenant_id, limit=page.reach, after=page.after, before=page.before
        )
    )
    return json_response(page.render(found, _summary))


async def get_template(call: Call) -> Response:
    """GET /v1/templates/{id}: the newest version, or the one that the query names."""
    fields = filters.query_fields(call.request)
    number = _version_of_query(fields)
    filters.finish(fields)
    return json_response(_in_full(*await _find(call, number)))


async def replace_template(call: Call) -> Response:
    """PUT /v1/templates/{id}: name and all of what it says."""
    wish = _read(read_json(await call.request.body()))
    return await _change(call, await _readable(call, wish))


async def update_template(call: Call) -> Response:
    """PATCH /v1/templates/{id}: what is given; null takes it away."""
    template, latest = await _find(call, None)
    value = read_json(await call.request.body())
    if isinstance(value, dict):
        value = _as_wish(template, latest) | value
    return await _change(call, await _readable(call, _read(value)))


def _as_wish(template: TemplateRecord, version: Version) -> dict[str, JsonValue]:
    source = version.source
    return {
        "name": template.name,
        "kind": template.kind,
        "subject": source.subject,
        "html": source.html,
        "text": source.text,
        "inline_css": source.inline_css,
    }


async def _change(call: Call, wish: _Wish) -> Response:
    """Write a new name and kind and a new version, each if it differs."""
    tenant_id, now, name = call.tenant_id, call.services.now(), call.request.path_params["id"]

    def act(connection: Connection) -> dict[str, object] | None:
        template = templates.get(connection, tenant_id, name)
        if template is None:
            return None
        latest = templates.version(connection, template.row, template.latest)
        if (template.name, template.kind) != (wish.name, wish.kind):
            templates.rename(connection, template, wish.name, wish.kind, now=now)
        if latest is None or latest.source != wish.source:
            templates.add_version(connection, template, wish.source, now=now)
        return _stored(connection, tenant_id, template.id)

    changed = await call.services.database.write(act)
    if changed is None:
        raise ApiError(NOT_FOUND)
    return json_response(changed)


async def delete_template(call: Call) -> Response:
    """DELETE /v1/templates/{id}; deleting it again, or what never was, succeeds too."""
    tenant_id, name = call.tenant_id, call.request.path_params["id"]

    def act(connection: Connection) -> None:
        template = templates.get(connection, tenant_id, name)
        if template is not None:
            templates.delete(connection, template)

    await call.services.database.write(act)
    return json_response({"object": "template", "id": name, "deleted": True})


async def render_template(call: Call) -> Response:
    """POST /v1/templates/{id}/render: what a mail would say; nothing is sent or stored."""
    fields = Fields(read_json(await call.request.body()), [])
    variables, number = read_variables(fields), _version_of_body(fields)
    filters.finish(fields)
    template, version = await _find(call, number)
    kept = call.services.templates
    made = await asyncio.to_thread(fill, kept, version.source, variables, "variables")
    if isinstance(made, tuple):
        raise ApiError(invalid(made))
    return json_response(
        {
            "object": "rendered_template",
            "id": template.id,
            "version": version.number,
            "subject": made.subject,
            "html": made.html,
            "text": made.text,
        }
    )


async def list_versions(call: Call) -> Response:
    """GET /v1/templates/{id}/versions: newest first."""
    template, _ = await _find(call, None)
    found = await call.services.database.read(
        lambda db: templates.versions(db, template.row, limit=MAX_VERSIONS + 1)
    )
    return json_response(
        {
            "object": "list",
            "data": [
                {
                    "object": "template_version",
                    "version": one.number,
                    "subject": one.source.subject,
                    "is_published": one.number == template.published,
                    "created_at": timestamp(one.created_at),
                }
                for one in found[:MAX_VERSIONS]
            ],
            "has_more": len(found) > MAX_VERSIONS,
        }
    )


async def publish_template(call: Call) -> Response:
    """POST /v1/templates/{id}/publish: the newest version, or the one that the body names."""
    tenant_id, now, name = call.tenant_id, call.services.now(), call.request.path_params["id"]
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body) if body else {}, [])
        number = _version_of_body(fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            template = templates.get(connection, tenant_id, name)
            if template is None:
                return NOT_FOUND
            if not templates.publish(connection, template, number or template.latest, now=now):
                return invalid([FieldError("version", "not_found", "There is no such version.")])
            return Written(_stored(connection, tenant_id, template.id))

        return (await request.run(act)).response()


def _read(value: JsonValue) -> _Wish:
    """Read the body of what makes or changes a template.

    Raises:
        ApiError: 422.
    """
    fields = Fields(value, [])
    name, kind = fields.required_text("name", MAX_NAME), fields.text("kind", MAX_KIND)
    source = Source(
        subject=fields.text("subject", MAX_SUBJECT),
        html=read_block(fields, "html"),
        text=read_block(fields, "text"),
        inline_css=_flag(fields, "inline_css"),
    )
    filters.finish(fields)
    return _Wish(name, kind, source)


async def _readable(call: Call, wish: _Wish) -> _Wish:
    """Return a wish whose Liquid can be read.

    Raises:
        ApiError: 422; it cannot.
    """
    errors = await asyncio.to_thread(unreadable, call.services.templates, wish.source)
    if errors:
        raise ApiError(invalid(errors))
    return wish


def _flag(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value is True


def _version_of_body(fields: Fields) -> int | None:
    value = fields.take("version")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _MAX_NUMBER:
        fields.fail("version", "invalid_value", "Expected the number of a version.")
        return None
    return value


def _version_of_query(fields: Fields) -> int | None:
    value = fields.text("version", 10)
    if value and not (value.isascii() and value.isdigit() and 0 < int(value) < _MAX_NUMBER):
        fields.fail("version", "invalid_value", "Expected the number of a version.")
        return None
    return int(value) if value else None


async def _find(call: Call, number: int | None) -> tuple[TemplateRecord, Version]:
    """Return the template that the path names, and a version of it; None: the newest.

    Raises:
        ApiError: 404.
    """
    tenant_id, name = call.tenant_id, call.request.path_params["id"]
    found = await call.services.database.read(lambda db: _look(db, tenant_id, name, number))
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def _look(
    connection: Connection, tenant_id: int, name: str, number: int | None
) -> tuple[TemplateRecord, Version] | None:
    template = templates.get(connection, tenant_id, name)
    if template is None:
        return None
    version = templates.version(connection, template.row, number or template.latest)
    return None if version is None else (template, version)


def _stored(connection: Connection, tenant_id: int, template_id: str) -> dict[str, object]:
    found = _look(connection, tenant_id, template_id, None)
    if found is None:
        raise LookupError("a template that was just written is not there")
    return _in_full(*found)


def _summary(template: TemplateRecord) -> dict[str, object]:
    return {
        "object": "template",
        "id": template.id,
        "name": template.name,
        "kind": template.kind or None,
        "subject": template.subject,
        "status": "draft" if template.published is None else "published",
        "version": template.latest,
        "published_version": template.published,
        "created_at": timestamp(template.created_at),
        "updated_at": timestamp(template.updated_at),
    }


def _in_full(template: TemplateRecord, version: Version) -> dict[str, object]:
    source = version.source
    return {
        **_summary(replace(template, latest=version.number)),
        "subject": source.subject,
        "html": source.html,
        "text": source.text,
        "inline_css": source.inline_css,
    }


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/templates", create_template, "templates:write", "Make a template"),
    Route("GET", "/v1/templates", list_templates, "templates:read", "List templates"),
    Route("GET", "/v1/templates/{id}", get_template, "templates:read", "Look at a template"),
    Route(
        "PUT", "/v1/templates/{id}", replace_template, "templates:write", "Write a template anew"
    ),
    Route("PATCH", "/v1/templates/{id}", update_template, "templates:write", "Change a template"),
    Route("DELETE", "/v1/templates/{id}", delete_template, "templates:write", "Delete a template"),
    Route(
        "POST",
        "/v1/templates/{id}/render",
        render_template,
        "templates:read",
        "Fill a template, for a look",
    ),
    Route(
        "GET",
        "/v1/templates/{id}/versions",
        list_versions,
        "templates:read",
        "List the versions of a template",
    ),
    Route(
        "POST",
        "/v1/templates/{id}/publish",
        publish_template,
        "templates:write",
        "Let mail be made of a version",
    ),
)
