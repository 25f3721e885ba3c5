"""Reports that come from the app."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    JSON,
    Schema,
    Spec,
    body,
    identifier,
    one_of,
    or_null,
    ref,
    resource,
    text,
    wish,
)
from control_api.schemas.email_shapes import MESSAGE
from mta.core.bounce import BounceClass

_TAG = "Feedback"
_NAMED: Mapping[str, Schema] = {
    "message_id": text("Id of the email, or its Message-ID.", minLength=1, maxLength=500)
}
_RECIPIENT = text("Needed where the email has several.", maxLength=320)
_DESCRIPTION = text(maxLength=1000)
COMPONENTS: Mapping[str, Schema] = {
    "Feedback": resource(
        "feedback",
        {
            "email_id": identifier("em"),
            "recipient": text(),
            "status": one_of(["recorded", "known"], "`known`: it had been reported."),
        },
        {
            "email_id": "em_01KJMQ0R00000000000000000E",
            "recipient": "ant@example.net",
            "status": "recorded",
        },
    ),
}
_EXAMPLE = {"message_id": "em_01KJMQ0R00000000000000000E", "recipient": "ant@example.net"}
_RECORDED = body(ref("Feedback"))
SPECS: Mapping[str, Spec] = {
    "POST /v1/feedback/bounce": Spec(
        _TAG,
        "Counts like a report that came back by itself.",
        request=body(
            wish(
                _NAMED,
                {
                    "recipient": _RECIPIENT,
                    "description": _DESCRIPTION,
                    "type": text("`hard` or `soft`."),
                    "status": text("Enhanced status, such as `5.1.1`."),
                    "class": one_of([one.value for one in BounceClass]),
                },
            )
        ),
        answer=_RECORDED,
        errors=(404, 409),
        is_idempotent=True,
        examples={"A bounce": {**_EXAMPLE, "status": "5.1.1", "description": "no such user"}},
    ),
    "POST /v1/feedback/complaint": Spec(
        _TAG,
        "The recipient called the email spam.",
        request=body(
            wish(
                _NAMED,
                {
                    "recipient": _RECIPIENT,
                    "description": _DESCRIPTION,
                    "type": text("`abuse` unless given.", maxLength=40),
                    "feedback_type": text("The same.", maxLength=40),
                },
            )
        ),
        answer=_RECORDED,
        errors=(404, 409),
        is_idempotent=True,
        examples={"A complaint": {**_EXAMPLE, "type": "abuse"}},
    ),
    "POST /v1/feedback/raw": Spec(
        _TAG,
        "A bounce (RFC 3464) or feedback report (RFC 5965) as it came.",
        request={
            JSON: wish({"raw": text("The report in base64.", minLength=1)}),
            MESSAGE: text("The report."),
        },
        answer=body(
            resource(
                "report",
                {"id": or_null(text()), "status": one_of(["queued", "known"])},
            )
        ),
        status=202,
        examples={"A report": {"raw": "U3ViamVjdDogaGVsbG8NCg0KaGVsbG8NCg=="}},
    ),
}
