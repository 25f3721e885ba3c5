"""GET /t/o/{token}.gif and /t/c/{token}/{target}: where tracked images and links lead.

The answer needs no look-up: the token says who it is, the target is sealed with it. What cannot be
a link of ours gets a page that says so, never a redirect.

Not here: tokens (mta/core/tracking.py), gathering hits (tracker.py), what is counted
(storage/tracking.py).
"""

from __future__ import annotations

import base64
from urllib.parse import quote

from starlette.responses import Response

from control_api.client_address import client_address
from control_api.routes import Call, Route
from mta.core.tracking import Hit, read_click, read_open
from storage.tracking import CountedHit

MAX_AGENT = 512

_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_HEADERS = {
    "Cache-Control": "no-store, no-cache, must-revalidate, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
}
_SAFE = "".join(map(chr, range(33, 127)))
"""What of an address stands in Location as it is; anything else is percent-encoded UTF-8."""
_LOST = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>This link does not work'
    "</title></head><body><h1>This link does not work</h1><p>It may have been cut off on the way."
    " Copy it whole from the mail.</p></body></html>\n"
)


async def pixel(call: Call) -> Response:
    """GET /t/o/{token}.gif: count an opening; every request gets the image."""
    hit = read_open(call.request.path_params["token"], await call.services.tracker.secrets())
    if hit is not None:
        call.services.tracker.note(_counted(call, hit))
    return Response(_PIXEL, headers=_HEADERS, media_type="image/gif")


async def click(call: Call) -> Response:
    """GET /t/c/{token}/{target}: count a click and lead on to where the sender wanted."""
    parameters = call.request.path_params
    secrets = await call.services.tracker.secrets()
    hit = read_click(parameters["token"], parameters["target"], secrets)
    if hit is None:
        return Response(_LOST, status_code=404, headers=_HEADERS, media_type="text/html")
    call.services.tracker.note(_counted(call, hit))
    location = quote(hit.target, safe=_SAFE)
    return Response(status_code=302, headers={**_HEADERS, "Location": location})


def _counted(call: Call, hit: Hit) -> CountedHit:
    request = call.request
    return CountedHit(
        tenant_id=hit.tenant_id,
        entry_id=hit.entry_number,
        target=hit.target,
        agent=request.headers.get("user-agent", "")[:MAX_AGENT],
        method=request.method,
        address=client_address(request, call.services.settings.api.trusted_proxies).text,
        at=call.services.now(),
        count=1,
    )


ROUTES: tuple[Route, ...] = (
    Route("GET", "/t/o/{token}.gif", pixel, "", "Show the image that counts openings"),
    Route("GET", "/t/c/{token}/{target}", click, "", "Count a click and lead on"),
)
