"""GET and POST /c/{token}: where the links lead that confirm a membership.

GET shows a page with a button and changes nothing, because scanners follow links. Who has confirmed
is told so again; who has left since does not come back by an old link. Not here: the links
(mta/core/confirmation.py), the mail (confirmation_sender.py), how a page looks (pages.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api.pages import button, lost, page
from control_api.routes import Call, Route
from mta.core.confirmation import Confirmation, read_token
from mta.core.contact import Status
from storage import confirmations, instance_secrets
from storage.database import Connection

PATH = "/c/{token}"


async def show_page(call: Call) -> Response:
    """GET /c/{token}: ask, and do nothing."""
    wish = await _read(call)
    if wish is None:
        return lost()
    row = wish.membership_row
    found = await call.services.database.read(lambda db: confirmations.status(db, row))
    if found is Status.UNCONFIRMED and not wish.is_over(call.services.now()):
        text = "You asked for mail to your address. Press the button if you want it."
        return page("Confirm your subscription", text, button("Yes, I want it", {"confirm": "1"}))
    return _answer(found)


async def confirm(call: Call) -> Response:
    """POST /c/{token}: subscribe."""
    wish = await _read(call)
    if wish is None:
        return lost()
    now, row = call.services.now(), wish.membership_row

    def act(connection: Connection) -> Status | None:
        if wish.is_over(now):
            return confirmations.status(connection, row)
        return confirmations.confirm(connection, row, now=now)

    found = await call.services.database.write(act)
    if found is Status.UNCONFIRMED and not wish.is_over(now):
        call.services.kick()
        found = Status.SUBSCRIBED
    return _answer(found)


async def _read(call: Call) -> Confirmation | None:
    """Return what the link says; None for every token that is not one of ours."""
    secrets = await call.services.database.read(instance_secrets.load)
    return read_token(call.request.path_params["token"], secrets) if secrets else None


def _answer(status: Status | None) -> Response:
    """Return the page for somebody with this status for whom nothing is left to do."""
    match status:
        case None:
            return lost()
        case Status.SUBSCRIBED:
            return page("You are subscribed", "Thank you. You will get this mail from now on.")
        case Status.UNCONFIRMED:
            return page("This link is too old", "Subscribe again to get a new one.", status=410)
        case _:
            text = "Since it was sent, the address was taken off the list."
            return page("This link works no more", text, status=410)


ROUTES: tuple[Route, ...] = (
    Route("GET", PATH, show_page, "", "Ask whether to subscribe"),
    Route("POST", PATH, confirm, "", "Confirm a subscription"),
)
