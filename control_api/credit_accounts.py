"""Credits over the API: what a tenant has, its ledger, and what operators give and take.

Not here: what mail takes (storage/credits.py), how missing credits are told (credit_errors.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api import filters
from control_api.credit_errors import credit_problem
from control_api.errors import FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.access import ADMIN
from storage import credit_ledger, tenancy
from storage.credit_ledger import Movement, Transaction
from storage.credits import InsufficientCredits, account
from storage.database import Connection

MAX_AMOUNT = 1_000_000_000_000
MAX_DESCRIPTION = 500
_GIVEN = {one.value: one for one in (Movement.ADJUST, Movement.PURCHASE)}


async def get_credits(call: Call) -> Response:
    """GET /v1/credits."""
    is_on, tenant_id = call.services.settings.credits.enabled, call.tenant_id
    found = await call.services.database.read(lambda db: account(db, tenant_id))
    return json_response(
        {
            "object": "credits",
            "enabled": is_on,
            "balance": found.balance if is_on else None,
            "reserved": found.reserved if is_on else None,
            "available": found.available if is_on else None,
        }
    )


async def list_transactions(call: Call) -> Response:
    """GET /v1/credits/transactions: newest first."""
    fields = filters.query_fields(call.request)
    page, with_total = read_page(fields), wants_total(fields)
    filters.finish(fields)
    tenant_id = call.tenant_id

    def look(connection: Connection) -> tuple[list[Transaction], int | None]:
        found = credit_ledger.list_(
            connection,
            tenant_id,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        return found, credit_ledger.count(connection, tenant_id) if with_total else None

    found, total = await call.services.database.read(look)
    rendered = page.render(found, as_json, skipped=page.skip)
    return json_response(rendered if total is None else {**rendered, "total": total})


async def adjust(call: Call) -> Response:
    """POST /v1/credits/adjust: give a tenant credits, or take back what is not reserved."""
    now, body = call.services.now(), await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        amount, kind = _read_amount(fields), _read_kind(fields)
        description = fields.text("description", MAX_DESCRIPTION)
        tenant_id = _read_tenant(call, fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            if tenancy.get(connection, tenant_id) is None:
                return invalid([_NO_TENANT])
            made = credit_ledger.adjust(
                connection, tenant_id, amount, kind=kind, description=description, now=now
            )
            if isinstance(made, InsufficientCredits):
                return credit_problem(made)
            return Written(as_json(made))

        return (await request.run(act)).response()


def as_json(transaction: Transaction) -> dict[str, object]:
    """Return a transaction as the API shows it."""
    return {
        "object": "credit_transaction",
        "id": transaction.id,
        "type": transaction.type.value,
        "amount": transaction.amount,
        "description": transaction.description,
        "email_id": transaction.email_id,
        "campaign_id": transaction.campaign_id,
        "created_at": timestamp(transaction.created_at),
    }


_NO_TENANT = FieldError("tenant", "unknown_tenant", "There is no such tenant.")


def _read_tenant(call: Call, fields: Fields) -> int:
    """Take `tenant`, a "ten_..." id; the key's own when there is none."""
    text = fields.text("tenant", 100)
    number = tenancy.number_of(text) if text else call.tenant_id
    if number is None:
        fields.fail("tenant", _NO_TENANT.code, _NO_TENANT.message)
        return call.tenant_id
    return number


def _read_amount(fields: Fields) -> int:
    value = fields.take("amount")
    if value is None:
        fields.fail("amount", "required", "This field is required.")
    elif not isinstance(value, int) or isinstance(value, bool):
        fields.fail("amount", "invalid_type", "Expected a whole number.")
    elif not value or abs(value) > MAX_AMOUNT:
        message = f"Expected 1 to {MAX_AMOUNT}, or as many below zero."
        fields.fail("amount", "invalid_value", message)
    else:
        return value
    return 0


def _read_kind(fields: Fields) -> Movement:
    name = fields.text("type", 20) or Movement.ADJUST.value
    if name not in _GIVEN:
        fields.fail("type", "invalid_value", f"Expected one of {', '.join(_GIVEN)}.")
    return _GIVEN.get(name, Movement.ADJUST)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/credits", get_credits, "billing:read", "Tell how many credits there are"),
    Route(
        "GET",
        "/v1/credits/transactions",
        list_transactions,
        "billing:read",
        "List what moved credits",
    ),
    Route("POST", "/v1/credits/adjust", adjust, ADMIN, "Give a tenant credits, or take some back"),
)
