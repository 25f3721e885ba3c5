"""Templates: what is filled with variables to become an email."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    PAGE,
    Schema,
    Spec,
    body,
    deleted,
    flag,
    free_form,
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
from mta.core.template import MAX_SOURCE, MAX_SUBJECT

_TAG = "Templates"
_NAME = text("For people.", minLength=1, maxLength=256)
_KIND = text("A word of your own for what kind it is; nothing depends on it.", maxLength=40)
_VERSION = number("Number of a version; the newest unless given.", minimum=1, maximum=2**31 - 1)
_CONTENT: Mapping[str, Schema] = {
    "kind": _KIND,
    "subject": text("Liquid, one line.", maxLength=MAX_SUBJECT),
    "html": text("Liquid; values are escaped.", maxLength=MAX_SOURCE),
    "text": text("Liquid; left out, it is made of the HTML.", maxLength=MAX_SOURCE),
    "inline_css": flag("Whether style elements are applied to the elements they are about."),
}
_SUMMARY: Mapping[str, Schema] = {
    "id": identifier("tpl"),
    "name": text(),
    "kind": or_null(_KIND),
    "subject": text("Of that version."),
    "status": one_of(["draft", "published"], "`draft`: no version is published."),
    "version": number("The newest; in a template that is looked at, the one that is shown."),
    "published_version": or_null(number("The one that mail is made of.")),
    "created_at": time(),
    "updated_at": time("When it was changed or published last."),
}
_EXAMPLE = {
    "id": "tpl_01KJMQ0R000000000000000001",
    "name": "Order",
    "kind": None,
    "subject": "Your order {{ number }}",
    "status": "published",
    "version": 2,
    "published_version": 1,
    "created_at": "2026-03-01T12:00:00.000Z",
    "updated_at": "2026-03-01T12:00:00.000Z",
}
COMPONENTS: Mapping[str, Schema] = {
    "TemplateSummary": resource("template", _SUMMARY, _EXAMPLE),
    "Template": resource(
        "template",
        {
            **_SUMMARY,
            "html": or_null(text()),
            "text": or_null(text("null: it is made of the HTML.")),
            "inline_css": flag(),
        },
        {
            **_EXAMPLE,
            "html": "<p>Dear {{ name | default: 'customer' }}, thank you.</p>",
            "text": None,
            "inline_css": False,
        },
    ),
}
_ORDER = {
    "name": "Order",
    "subject": "Your order {{ number }}",
    "html": "<p>Dear {{ name | default: 'customer' }}, thank you.</p>",
}
_WHOLE = body(wish({"name": _NAME}, _CONTENT))
_SHOWN = body(ref("Template"))
SPECS: Mapping[str, Spec] = {
    "POST /v1/templates": Spec(
        _TAG,
        "A draft with version 1. Mail can be made of it once it is published.",
        request=_WHOLE,
        answer=_SHOWN,
        is_idempotent=True,
        examples={
            "An order": _ORDER,
            "With everything": {
                **_ORDER,
                "kind": "transactional",
                "text": "Thank you, {{ name }}.",
                "inline_css": True,
            },
        },
    ),
    "GET /v1/templates": Spec(
        _TAG, "Newest first.", parameters=PAGE, answer=listing(ref("TemplateSummary"))
    ),
    "GET /v1/templates/{id}": Spec(
        _TAG,
        "The newest version, or the one that is asked for.",
        parameters=(query("version", "Show this version.", _VERSION),),
        answer=_SHOWN,
    ),
    "PUT /v1/templates/{id}": Spec(
        _TAG,
        "What is not given is gone. Another text is a new version, which is not published yet.",
        request=_WHOLE,
        answer=_SHOWN,
        examples={"An order": _ORDER},
    ),
    "PATCH /v1/templates/{id}": Spec(
        _TAG,
        "What is not given stays. Another text is a new version, which is not published yet.",
        request=body(wish({}, {"name": _NAME, **_CONTENT})),
        answer=_SHOWN,
        examples={"Another subject": {"subject": "Order {{ number }} is on its way"}},
    ),
    "DELETE /v1/templates/{id}": Spec(
        _TAG, "With all its versions. Doing it again succeeds too.", answer=deleted("template")
    ),
    "POST /v1/templates/{id}/render": Spec(
        _TAG,
        "Nothing is sent. Variables that the template prints and that are not given are errors.",
        request=body(
            wish({}, {"variables": free_form("What it is filled with."), "version": _VERSION})
        ),
        answer=body(
            resource(
                "rendered_template",
                {
                    "id": identifier("tpl"),
                    "version": number(),
                    "subject": text(),
                    "html": or_null(text()),
                    "text": text(),
                },
            )
        ),
        examples={"An order": {"variables": {"number": 1007, "name": "Ant"}}},
    ),
    "GET /v1/templates/{id}/versions": Spec(
        _TAG,
        "Newest first, a hundred at most.",
        answer=listing(
            resource(
                "template_version",
                {
                    "version": number(),
                    "subject": text(),
                    "is_published": flag(),
                    "created_at": time(),
                },
            )
        ),
    ),
    "POST /v1/templates/{id}/publish": Spec(
        _TAG,
        "Mail that is accepted from now on is made of this version.",
        request=body(wish({}, {"version": _VERSION})),
        needs_body=False,
        answer=_SHOWN,
        is_idempotent=True,
        examples={"The newest": {}},
    ),
}
