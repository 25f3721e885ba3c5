"""Refusing what an operation does not take: parameters of the query, and bodies where none is read.

A parameter that is overlooked makes a request do something else than was meant: a list that is not
narrowed, an email that is sent though `?test=true` asks otherwise. What an operation takes is what
its documentation says (Spec). Not here: the fields of bodies that are read (fields.py).
"""

from __future__ import annotations

from starlette.requests import Request

from control_api.errors import ApiError, FieldError, invalid
from control_api.fields import Fields, read_json
from control_api.schemas.base import Spec


async def require_declared(request: Request, spec: Spec) -> None:
    """Refuse parameters that the operation has not, or has once only, and a body for nothing.

    Raises:
        ApiError: 422, naming them.
    """
    errors = _parameters(request, spec) if request.scope["query_string"] else []
    if not spec.request and (body := await request.body()):
        fields = Fields(read_json(body), errors)
        fields.finish()
    if errors:
        raise ApiError(invalid(errors))


def _parameters(request: Request, spec: Spec) -> list[FieldError]:
    given = [name for name, _ in request.query_params.multi_items()]
    known = {one.name: one.schema for one in spec.parameters if one.place == "query"}
    errors = []
    for name in dict.fromkeys(given):
        if name not in known:
            errors.append(FieldError(name, "unknown_field", "There is no such parameter."))
        elif given.count(name) > 1 and known[name].get("type") != "array":
            errors.append(FieldError(name, "duplicate_field", "This parameter is given twice."))
    return errors
