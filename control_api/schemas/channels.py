"""Text messages and letters."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.postal_address import FIELDS, MAX_LINE, REQUIRED
from control_api.schemas.base import (
    PAGE,
    TOTAL,
    Schema,
    Spec,
    array,
    body,
    flag,
    given,
    identifier,
    listing,
    one_of,
    or_null,
    ref,
    resource,
    text,
    time,
    wish,
)
from control_api.schemas.email_shapes import METADATA
from mta.core.channel import STATUSES, Channel

_TAG = "Other channels"
_LINE = text(maxLength=MAX_LINE)
_ADDRESS = wish(
    {name: text(maxLength=MAX_LINE) for name in REQUIRED},
    {name: _LINE for name in FIELDS if name not in REQUIRED},
)
_ASKED = wish({}, dict.fromkeys(FIELDS, _LINE))
_TYPE = one_of(["envelope", "postcard", "parcel"])
_PROVIDER = text("Who carries it.")
_NUMBER = text("E.164, such as `+4930123456`.", pattern=r"^\+[1-9][0-9]{6,14}$")
_ANTS = {"name": "Ant", "line1": "Elk Street 1", "city": "Berlin", "postal_code": "10115"}
_BERLIN = {**_ANTS, "country": "DE"}
_STEPS: Schema = array(
    given({"status": one_of(STATUSES[Channel.MAIL]), "at": time()}), "The first thing first."
)
COMPONENTS: Mapping[str, Schema] = {
    "PostalAddress": given({name: or_null(text()) for name in FIELDS}),
    "MailPiece": resource(
        "mail_piece",
        {
            "id": identifier("pm"),
            "status": one_of(STATUSES[Channel.MAIL]),
            "queued_at": time("When it was taken."),
            "type": _TYPE,
            "to": ref("PostalAddress"),
            "from": or_null(ref("PostalAddress")),
            "metadata": METADATA,
            "provider": _PROVIDER,
            "tracking": _STEPS,
        },
    ),
    "Sms": resource(
        "sms",
        {
            "id": identifier("sms"),
            "status": one_of(STATUSES[Channel.SMS]),
            "queued_at": time("When it was taken."),
            "to": text(),
            "from": or_null(text()),
            "text": text(),
            "metadata": METADATA,
            "provider": _PROVIDER,
            "updated_at": time("Since when the status holds."),
        },
    ),
    "AddressValidation": resource(
        "address_validation",
        {
            "valid": flag("Whether it has the form of an address there."),
            "address": or_null(ref("PostalAddress")),
            "errors": array(given({"field": text(), "code": text(), "message": text()})),
            "deliverability": {"const": "unknown"},
        },
    ),
}
_MAIL, _SMS = body(ref("MailPiece")), body(ref("Sms"))
_SEND_MAIL = Spec(
    _TAG,
    "422 `channel_not_configured` where the operator has nobody to carry it; with a test key, and"
    ' with `channels.mail = "sandbox"`, it is printed, travels and arrives within three minutes,'
    " or is returned when the name has `fail` in it, and nothing leaves the machine.",
    request=body(
        wish(
            {"to": _ADDRESS},
            {
                "from": _ADDRESS,
                "type": _TYPE,
                "html": text("What is printed; not for parcels.", maxLength=100_000),
                "text": text(maxLength=100_000),
                "metadata": METADATA,
            },
        )
    ),
    answer=_MAIL,
    examples={"Letter": {"to": _BERLIN, "text": "Hello Ant"}},
    is_idempotent=True,
)
SPECS: Mapping[str, Spec] = {
    "POST /v1/mail/send": _SEND_MAIL,
    "POST /v1/mail": _SEND_MAIL,
    "GET /v1/mail": Spec(
        _TAG, "Newest first.", parameters=(*PAGE, TOTAL), answer=listing(ref("MailPiece"))
    ),
    "GET /v1/mail/{id}": Spec(_TAG, "`tracking` has every state that it was in.", answer=_MAIL),
    "POST /v1/mail/{id}/cancel": Spec(
        _TAG, "409 once it is on its way.", answer=_MAIL, errors=(409,)
    ),
    "POST /v1/mail/validate-address": Spec(
        _TAG,
        "Brings an address into the form of its country and checks that all parts are there that"
        " it needs, its region and its postcode. Whether anybody lives there is not looked up:"
        " `deliverability` says so.",
        request=body(_ASKED),
        answer=body(ref("AddressValidation")),
        examples={"Berlin": _BERLIN},
    ),
    "POST /v1/sms": Spec(
        _TAG,
        "422 `channel_not_configured` where the operator has nobody to carry it; in the sandbox it"
        " arrives after two seconds, or fails where the number ends with 0000.",
        request=body(
            wish(
                {"to": _NUMBER, "text": text(minLength=1, maxLength=1600)},
                {"from": text("A number, or up to 11 letters and digits."), "metadata": METADATA},
            )
        ),
        answer=_SMS,
        examples={"One": {"to": "+4930123456", "text": "Your code is 1007"}},
        is_idempotent=True,
    ),
    "GET /v1/sms": Spec(
        _TAG, "Newest first.", parameters=(*PAGE, TOTAL), answer=listing(ref("Sms"))
    ),
    "GET /v1/sms/{id}": Spec(_TAG, answer=_SMS),
}
