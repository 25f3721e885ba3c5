"""What an email said, while the server keeps it: the bytes, or the texts and files in them.

Not here: how long that is (storage/retention.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.routes import Call, json_response
from mta.core.mime_reader import (
    MAX_LEAF_TEXT,
    MAX_SIZE,
    Part,
    decode_text,
    display_text,
    read_mail,
)
from storage import bodies, messages
from storage.bodies import Body
from storage.database import Connection
from storage.spool import Spool

_MAX_PARAMETERS = 4000
_EXTENDED_NAME = re.compile(
    r";\s{0,9}(?:file)?name\*=\s{0,9}(utf-8|iso-8859-1|us-ascii)'[^';]{0,20}'([^\s;]+)",
    re.IGNORECASE,
)
_NAME = re.compile(r';\s{0,9}(?:file)?name=\s{0,9}(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)

EXPIRED = Problem(410, "content_expired", "The content of this email is no longer kept.")


async def get_raw(call: Call) -> Response:
    """GET /v1/emails/{id}/raw: as it was queued; signatures are added to each delivery."""
    body = await _body(call)
    spool = call.services.database.spool
    data = await asyncio.to_thread(_read, body, spool, -1)
    name = call.request.path_params["id"]
    return Response(
        data,
        media_type="message/rfc822",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.eml"',
            "X-Content-Type-Options": "nosniff",
        },
    )


async def get_content(call: Call) -> Response:
    """GET /v1/emails/{id}/content."""
    body = await _body(call)
    spool, email_id = call.services.database.spool, call.request.path_params["id"]
    found = await asyncio.to_thread(lambda: _content(_read(body, spool, MAX_SIZE + 1)))
    return json_response({"object": "email_content", "id": email_id, **found})


async def _body(call: Call) -> Body:
    tenant_id, email_id = call.tenant_id, call.request.path_params["id"]

    def look_up(connection: Connection) -> Body | Problem:
        row = messages.row_of(connection, tenant_id, email_id)
        if row is None:
            return NOT_FOUND
        return bodies.get(connection, row[0]) or EXPIRED

    found = await call.services.database.read(look_up)
    if isinstance(found, Problem):
        raise ApiError(found)
    return found


def _read(body: Body, spool: Spool, size: int) -> bytes:
    """Return the first `size` bytes of a message; negative: all of them. Blocks."""
    if body.file is None:
        return body.data if size < 0 else body.data[:size]
    with spool.open(body.file) as file:
        return file.read(size)


def _content(data: bytes) -> dict[str, object]:
    mail = read_mail(data)
    texts = [part for part in mail.parts if not _is_attached(part)]
    return {
        "headers": [
            {"name": name, "value": display_text(value)} for name, value in mail.fields.items
        ],
        "html": _text(texts, "text/html"),
        "text": _text(texts, "text/plain"),
        "attachments": [_attachment(part) for part in mail.parts if _is_attached(part)],
        "truncated": len(data) > MAX_SIZE or any(len(p.octets) > MAX_LEAF_TEXT for p in texts),
    }


def _is_attached(part: Part) -> bool:
    is_text = part.content_type in ("text/plain", "text/html")
    return not is_text or _disposition(part) == "attachment"


def _text(parts: Sequence[Part], content_type: str) -> str | None:
    """Return the first part of this type as it was written, None when there is none."""
    for part in parts:
        if part.content_type == content_type:
            return decode_text(part.octets[:MAX_LEAF_TEXT], part.charset)
    return None


def _attachment(part: Part) -> dict[str, object]:
    return {
        "filename": _filename(part) or None,
        "content_type": part.content_type,
        "disposition": _disposition(part) or None,
        "content_id": part.fields.get("content-id").strip("<> ") or None,
    }


def _disposition(part: Part) -> str:
    return part.fields.get("content-disposition").partition(";")[0].strip().lower()


def _filename(part: Part) -> str:
    """Return the name of a file, in the encoding of RFC 2231 4 if there is one; "" for none."""
    for field in ("content-disposition", "content-type"):
        value = part.fields.get(field)[:_MAX_PARAMETERS]
        if found := _EXTENDED_NAME.search(value):
            return unquote(found[2], found[1].lower(), "replace")
        if found := _NAME.search(value):
            return display_text(found[1] if found[1] is not None else found[2])
    return ""
