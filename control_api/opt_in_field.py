"""How people join an audience, in requests: `double_opt_in` and `confirmation_template_id`.

Not here: the mail that asks them (confirmation_sender.py).
"""

from __future__ import annotations

from control_api.auth import forbidden
from control_api.confirmation_sender import OURS, URL
from control_api.errors import FieldError, Problem, invalid
from control_api.fields import Fields
from control_api.personal_mail import published_source
from control_api.routes import Call
from mta.core.access import may_send_from
from mta.core.address import parse_address
from storage.audiences import Identity, OptIn
from storage.database import Connection

_TEMPLATE = "confirmation_template_id"


def read_opt_in(fields: Fields, old: OptIn) -> OptIn:
    """Take what changes."""
    has_double, has_template = fields.has("double_opt_in"), fields.has(_TEMPLATE)
    value, template_id = fields.take("double_opt_in"), fields.text(_TEMPLATE, 64)
    if value is not None and not isinstance(value, bool):
        fields.fail("double_opt_in", "invalid_type", "Expected true or false.")
    return OptIn(
        value is True if has_double else old.is_double,
        template_id if has_template else old.template_id,
    )


def opt_in_error(
    connection: Connection, call: Call, identity: Identity, opt_in: OptIn
) -> Problem | None:
    """Return why nobody could be asked this way, None when all is there."""
    if not opt_in.is_double:
        return None
    return _sender_problem(call, identity) or _template_problem(connection, call, opt_in)


def _sender_problem(call: Call, identity: Identity) -> Problem | None:
    if not identity.from_email:
        message = "Double opt-in needs a sender; set from_email."
        return invalid([FieldError("from_email", "required", message)])
    domain = parse_address(identity.from_email).domain
    if denial := may_send_from(call.key.access.domains, domain):
        return forbidden(denial)
    if not call.services.tracker.base_url(call.tenant_id, domain):
        message = "This server has no host for links: its operator must set api.public_url."
        return invalid([FieldError("double_opt_in", "not_configured", message)])
    return None


def _template_problem(connection: Connection, call: Call, opt_in: OptIn) -> Problem | None:
    source = OURS
    if opt_in.template_id:
        found = published_source(connection, call.tenant_id, opt_in.template_id)
        if isinstance(found, FieldError):
            return invalid([FieldError(_TEMPLATE, found.code, found.message)])
        source = found
    if any(part is not None and URL not in part for part in (source.html, source.text)):
        message = f"Every part of the template must have {{{{ {URL} }}}}, the link."
        return invalid([FieldError(_TEMPLATE, "missing_link", message)])
    return None
