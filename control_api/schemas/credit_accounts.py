"""Credits: what a tenant has, and its ledger."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    PAGE,
    TOTAL,
    Schema,
    Spec,
    body,
    flag,
    identifier,
    listing,
    number,
    one_of,
    or_null,
    ref,
    resource,
    text,
    time,
    wish,
)

_TAG = "Credits"
_MOST = 1_000_000_000_000
COMPONENTS: Mapping[str, Schema] = {
    "CreditTransaction": resource(
        "credit_transaction",
        {
            "id": identifier("txn"),
            "type": one_of(["purchase", "adjust", "reserve", "charge", "refund"]),
            "amount": number(
                "Purchase, adjust and charge sum up to the balance. Of one email or campaign,"
                " reserve is the negative of what charge took and refund gave back once it is"
                " settled."
            ),
            "description": text(),
            "email_id": or_null(text("Null for other things, and once it is long ago.")),
            "campaign_id": or_null(text()),
            "created_at": time(),
        },
        {
            "id": "txn_01KJMQ0R00000000000000000C",
            "type": "purchase",
            "amount": 5000,
            "description": "Invoice 7",
            "email_id": None,
            "campaign_id": None,
            "created_at": "2026-03-01T12:00:00.000Z",
        },
    ),
}
SPECS: Mapping[str, Spec] = {
    "GET /v1/credits": Spec(
        _TAG,
        "Null where credits are switched off.",
        answer=body(
            resource(
                "credits",
                {
                    "enabled": flag("Whether mail takes credits."),
                    "balance": or_null(number("Bought, and not spent.", minimum=0)),
                    "reserved": or_null(number("Of these, for mail on its way.", minimum=0)),
                    "available": or_null(number("For new mail: the rest.", minimum=0)),
                },
            )
        ),
    ),
    "GET /v1/credits/transactions": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, TOTAL),
        answer=listing(
            ref("CreditTransaction"), total=number("With include=total: all there are.")
        ),
    ),
    "POST /v1/credits/adjust": Spec(
        _TAG,
        "402 where more would be taken back than is available.",
        request=body(
            wish(
                {
                    "amount": number(
                        "Credits; below zero to take back.", minimum=-_MOST, maximum=_MOST
                    )
                },
                {
                    "description": text(maxLength=500),
                    "type": one_of(["adjust", "purchase"], "adjust unless given."),
                    "tenant": text("Whose; yours unless given.", maxLength=100),
                },
            )
        ),
        answer=body(ref("CreditTransaction")),
        errors=(402, 409),
        is_idempotent=True,
        examples={
            "Some": {"amount": 5000, "type": "purchase", "description": "Invoice 7", "tenant": None}
        },
    ),
}
