"""Imports of contacts into an audience."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    JSON,
    PAGE,
    Schema,
    Spec,
    array,
    body,
    given,
    identifier,
    listing,
    number,
    one_of,
    or_null,
    query,
    ref,
    resource,
    text,
    time,
    wish,
)
from control_api.schemas.contacts import JOINER, STATUSES
from control_api.schemas.suppressions import CSV

FORM = "multipart/form-data"
_TAG = "Imports"
_MODE = one_of(("overwrite", "skip"), "What becomes of known contacts and members.")
_STATUS = one_of(
    STATUSES,
    "Of rows that name none; `subscribed`, or `unconfirmed` where the"
    " audience asks for a confirmation.",
)
_COUNTS = given(
    {
        "received": number("Rows that were read; the sum of the others."),
        "inserted": number("New members."),
        "updated": number("Members brought up to date."),
        "skipped": number("Members left as they were."),
        "failed": number("Rows refused."),
    }
)
_SHOWN: Mapping[str, Schema] = {
    "id": identifier("imp"),
    "audience_id": identifier("aud"),
    "status": one_of(("queued", "running", "completed", "failed", "canceled")),
    "mode": _MODE,
    "progress": number("Percent.", minimum=0, maximum=100),
    "counts": _COUNTS,
    "problem": or_null(text("Why it failed as a whole.")),
    "errors_url": or_null(text("Where the refused rows are, when there are any.")),
    "created_at": time(),
    "started_at": or_null(time()),
    "completed_at": or_null(time("When it ended, however that was.")),
}
_ERROR = given(
    {
        "index": number("Of the row, from 0."),
        "field": text(),
        "code": text(),
        "message": text(),
    }
)
_IMPORT = body(ref("Import"))
COMPONENTS: Mapping[str, Schema] = {
    "Import": resource("import", _SHOWN),
}
SPECS: Mapping[str, Spec] = {
    "POST /v1/audiences/{id}/imports": Spec(
        _TAG,
        "With `sync`, up to 1000 contacts at once: 200, with what is wrong in `errors`. Otherwise"
        " 202, and the work goes on behind: up to 50,000 contacts in JSON, or a form with a CSV"
        " `file` of up to 1 GiB.",
        request={
            JSON: wish(
                {"contacts": array(JOINER, maxItems=50_000)},
                {
                    "mode": _MODE,
                    "status": _STATUS,
                    "sync": {"type": "boolean"},
                },
            ),
            FORM: wish(
                {"file": {"type": "string", "format": "binary"}},
                {
                    "mapping": text("JSON object: column -> `email`, `name`, a field's tag, ..."),
                    "mode": _MODE,
                    "status": _STATUS,
                    "encoding": text("`utf-8`, `utf-16`, `latin-1` or `cp1252`."),
                    "delimiter": text("`,`, `;`, `|` or a tab; found out unless given."),
                },
            ),
        },
        answer=body(resource("import", {**_SHOWN, "errors": array(_ERROR)})),
        errors=(429,),
        other_answers={202: _IMPORT},
        is_idempotent=True,
        examples={
            "At once": {"contacts": [{"email": "ant@example.net"}], "sync": True},
        },
    ),
    "GET /v1/imports": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, query("audience_id", "Only into this audience.")),
        answer=listing(ref("Import")),
    ),
    "GET /v1/imports/{id}": Spec(_TAG, answer=_IMPORT),
    "GET /v1/imports/{id}/errors": Spec(
        _TAG,
        "One line a row, in the order of the file; up to 10,000.",
        answer={CSV: text()},
    ),
    "POST /v1/imports/{id}/cancel": Spec(
        _TAG, "Rows that are in stay. One that has ended stays as it is.", answer=_IMPORT
    ),
    "DELETE /v1/imports/{id}": Spec(
        _TAG,
        "Rows that are in stay. One that has ended stays as it is.",
        answer=_IMPORT,
        errors=(404,),
    ),
}
