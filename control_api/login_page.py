"""GET and POST /login/{token}: where a one-time link leads.

GET shows a button and neither looks at the token nor uses it up, because scanners and previews
follow links; the POST of the button exchanges it and shows the token that the session has. Programs
exchange it at POST /v1/login instead.
"""

from __future__ import annotations

from starlette.responses import Response

from control_api.errors import ApiError
from control_api.login import exchange, require_enabled
from control_api.pages import button, lost, page
from control_api.routes import Call, Route
from mta.core.api_key import LOGIN_PAGE


async def show_page(call: Call) -> Response:
    """GET /login/{token}: ask, and do nothing."""
    try:
        require_enabled(call)
    except ApiError:
        return lost()
    return page("Log in", "This link logs you in once.", button("Log in", {}))


async def act(call: Call) -> Response:
    """POST /login/{token}: log in."""
    try:
        session = await exchange(call, call.request.path_params["token"])
    except ApiError as error:
        if error.problem.status == 429:
            raise
        return page(
            "This link does not work",
            "It was used before, or is too old. Ask for another.",
            "",
            404,
        )
    text = f"Send this token as Authorization: Bearer. It works until {session['expires_at']}."
    return page("You are logged in", text, code=str(session["token"]))


ROUTES: tuple[Route, ...] = (
    Route("GET", f"{LOGIN_PAGE}{{token}}", show_page, "", "Ask whether to log in"),
    Route("POST", f"{LOGIN_PAGE}{{token}}", act, "", "Log in with a one-time link"),
)
