"""GET and POST /u/{token}: where unsubscribe links lead, for people and for mail programs.

GET shows a page with a button and changes nothing, because scanners follow links; only a POST with
the words of RFC 8058 acts. The page that confirms it has a signed button to take it back. There are
no scripts, cookies or redirects, and nothing of the mail or of its recipient is shown.

Not here: the links (mta/core/unsubscribe.py), how a page looks (pages.py). Follows RFC 8058 3.2.
"""

from __future__ import annotations

import base64
import binascii
from functools import partial
from urllib.parse import parse_qsl

from starlette.responses import Response

from control_api.pages import button, lost, page
from control_api.routes import Call, Route
from mta.core.seal import is_sealed, seal
from mta.core.tracking import read_leave
from mta.core.unsubscribe import ONE_CLICK, Unsubscribe, read_token
from storage import instance_secrets, unsubscribes
from storage.database import Connection
from storage.unsubscribes import Target

MAX_FORM = 16_384
"""Bytes of a form that are read; ours has under 300."""
_PROOF_SIZE = 16
_RESUBSCRIBE = b"resubscribe button"


async def show_page(call: Call) -> Response:
    """GET /u/{token}: ask, and do nothing."""
    found = await _find(call)
    if found is None:
        return lost()
    return page(
        "Unsubscribe",
        "You are about to unsubscribe. You will get no more mail of this kind.",
        _button("Unsubscribe", *ONE_CLICK.split("=")),
    )


async def act(call: Call) -> Response:
    """POST /u/{token}: unsubscribe with one click, or take that back with its proof."""
    found = await _find(call)
    if found is None:
        return lost()
    form = await _form(call)
    proof = form.get("resubscribe", "")
    token = call.request.path_params["token"]
    if proof:
        return await _resubscribe(call, found, token, proof)
    name, value = ONE_CLICK.split("=")
    if form.get(name) != value:
        return page("Nothing was changed", "This link needs a click on its button.", "", 400)
    via = "page" if form.get("via") == "page" else "one_click"
    is_new = await call.services.database.write(
        partial(unsubscribes.unsubscribe, target=found, via=via, now=call.services.now())
    )
    if is_new:
        call.services.kick()
    secrets = await call.services.database.read(instance_secrets.load)
    return page(
        "You are unsubscribed",
        "You will get no more mail of this kind. If that was a mistake, take it back here.",
        _button("Subscribe again", "resubscribe", _proof(token, secrets[0])),
    )


async def _resubscribe(call: Call, target: Target, token: str, proof: str) -> Response:
    secrets = await call.services.database.read(instance_secrets.load)
    try:
        mac = base64.urlsafe_b64decode(proof.encode("ascii", "replace") + b"==")[:_PROOF_SIZE]
    except (binascii.Error, ValueError):
        mac = b""
    is_proven = len(mac) == _PROOF_SIZE and is_sealed(
        secrets, _RESUBSCRIBE, token.encode("ascii", "replace"), mac
    )
    if not is_proven:
        return lost()
    now = call.services.now()
    await call.services.database.write(partial(unsubscribes.resubscribe, target=target, now=now))
    return page(
        "You are subscribed again",
        "You will get this mail as before.",
        _button("Unsubscribe", *ONE_CLICK.split("=")),
    )


def _proof(token: str, secret: bytes) -> str:
    mac = seal(secret, _RESUBSCRIBE, token.encode("ascii"), _PROOF_SIZE)
    return base64.urlsafe_b64encode(mac).decode("ascii").rstrip("=")


async def _find(call: Call) -> Target | None:
    """Return who unsubscribes from what; None for every token that is not one of ours."""
    token = call.request.path_params["token"]

    def look_up(connection: Connection) -> Target | None:
        secrets = instance_secrets.load(connection)
        wish: Unsubscribe | None = read_token(token, secrets) if secrets else None
        if wish is not None:
            return unsubscribes.find(connection, wish.entry_number, wish.tenant_id, wish.scope)
        hit = read_leave(token, secrets)  # of a link in the text, whose list is that of the mail
        if hit is None:
            return None
        return unsubscribes.find(connection, hit.entry_number, hit.tenant_id, None)

    return await call.services.database.read(look_up)


async def _form(call: Call) -> dict[str, str]:
    """Return the fields of a form in either encoding that mail programs use (RFC 8058 3.2)."""
    body = b""
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > MAX_FORM:  # nobody in good faith: the connection is closed on the rest
            return {}
    if call.request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _multipart(body)
    return dict(parse_qsl(body.decode("latin-1"), max_num_fields=20))


def _multipart(body: bytes) -> dict[str, str]:
    """Return the one field that counts, where it is there (RFC 7578 4.2)."""
    name, value = ONE_CLICK.encode().split(b"=")
    before, _, after = body.replace(b"\r\n", b"\n").partition(b"\n\n")
    is_there = b'name="' + name + b'"' in before and after.startswith(value + b"\n")
    return {name.decode(): value.decode()} if is_there else {}


def _button(text: str, name: str, value: str) -> str:
    fields = {name: value}
    if name != "resubscribe":
        fields["via"] = "page"
    return button(text, fields)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/u/{token}", show_page, "", "Ask whether to unsubscribe"),
    Route("POST", "/u/{token}", act, "", "Unsubscribe with one click"),
)
