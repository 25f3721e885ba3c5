"""Sender domains: add, list, look at, change, verify, delete; their zone file and DKIM rotation.

A domain is named by its id or by its name, which may be given in Unicode. Keys and looks at the DNS
are the engine's part (domain_work.py). Not here: the shapes (domain_views.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api.domain_views import findings_of, in_full, summary
from control_api.domain_work import DomainWork
from control_api.errors import NOT_FOUND, ApiError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response
from mta.core.address import AddressError, to_ascii_domain
from mta.core.domain_records import KeyState, is_selector, is_within, next_selector
from mta.core.domain_report import zone_file
from mta.core.frozen import frozen
from storage import dkim_rotation, domains
from storage.database import Connection
from storage.domains import DkimKeyRecord, DomainExists, DomainRecord

_MAX_NAME = 254
_NO_ENGINE = Problem(503, "engine_unavailable", "The engine does not run; try again later.")
_EXISTS = Problem(409, "domain_exists", "You have added this domain already.")
_TAKEN = Problem(409, "domain_taken", "This domain is in use by another account of this server.")


@frozen
class _NewDomain:
    name: str
    selector: str
    return_path: str
    tracking_host: str


async def create_domain(call: Call) -> Response:
    """POST /v1/domains."""
    services, tenant_id = call.services, call.tenant_id
    body = await call.request.body()
    with once(call, body) as request:
        wish = _read_new(body)
        domain_id, now = services.new_id("dom"), services.now()
        known = await services.database.read(lambda db: domains.get_domain(db, None, wish.name))
        keys: tuple[DkimKeyRecord, ...] = ()
        if known is None:
            keys = await _work(call).make_keys(wish.name, wish.selector)

        def act(connection: Connection) -> Written | Problem:
            try:
                domains.add_domain(
                    connection,
                    tenant_id=tenant_id,
                    domain_id=domain_id,
                    name=wish.name,
                    keys=keys,
                    now=now,
                )
            except DomainExists:
                is_own = domains.get_domain(connection, tenant_id, wish.name) is not None
                return _EXISTS if is_own else _TAKEN
            if wish.return_path or wish.tracking_host:
                domains.set_hosts(
                    connection,
                    domain_id,
                    return_path=wish.return_path,
                    tracking_host=wish.tracking_host,
                    now=now,
                )
            return Written(in_full(_stored(connection, domain_id), services.settings))

        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


async def list_domains(call: Call) -> Response:
    """GET /v1/domains: newest first."""
    services, tenant_id = call.services, call.tenant_id
    fields = Fields(dict(call.request.query_params), [])
    page, with_total = read_page(fields), wants_total(fields)
    _finish(fields)

    def look(connection: Connection) -> dict[str, object]:
        found = domains.page(
            connection, tenant_id, limit=page.reach, after=page.after, before=page.before
        )
        rendered = page.render(found, lambda domain: summary(domain, services.settings))
        if with_total:
            rendered["total"] = domains.count(connection, tenant_id)
        return rendered

    return json_response(await services.database.read(look))


async def get_domain(call: Call) -> Response:
    """GET /v1/domains/{id}."""
    return json_response(in_full(await find_domain(call), call.services.settings))


async def update_domain(call: Call) -> Response:
    """PATCH /v1/domains/{id}: return_path and tracking_host; null takes one away."""
    services, domain = call.services, await find_domain(call)
    value = read_json(await call.request.body())
    given = set(value) if isinstance(value, dict) else set()
    fields = Fields(value, [])
    return_path, tracking_host = _hosts(fields, domain.name)
    _finish(fields)
    if "return_path" not in given:
        return_path = domain.return_path
    if "tracking_host" not in given:
        tracking_host = domain.tracking_host

    def act(connection: Connection) -> DomainRecord | None:
        domains.set_hosts(
            connection,
            domain.id,
            return_path=return_path,
            tracking_host=tracking_host,
            now=services.now(),
        )
        return domains.get_domain(connection, domain.tenant_id, domain.id)

    changed = await services.database.write(act)
    if changed is None:
        raise ApiError(NOT_FOUND)
    if services.domain_work is not None:
        services.domain_work.kick()
    return json_response(in_full(changed, services.settings))


async def delete_domain(call: Call) -> Response:
    """DELETE /v1/domains/{id}; deleting it again, or what never was, succeeds too."""
    tenant_id, name, work = call.tenant_id, _name(call), _work(call)
    deleted = await call.services.database.write(
        lambda db: domains.delete_domain(db, tenant_id, name)
    )
    if deleted is not None:
        call.services.kick()
        await work.remove_keys(deleted.keys)
    domain_id = deleted.id if deleted else call.request.path_params["id"]
    return json_response({"object": "domain", "id": domain_id, "deleted": True})


async def verify_domain(call: Call) -> Response:
    """POST or GET /v1/domains/{id}/verify: look at the DNS now and show every record."""
    domain = await find_domain(call)
    await _work(call).verify(domain.id)
    return json_response(in_full(await find_domain(call), call.services.settings))


async def rotate_dkim(call: Call) -> Response:
    """POST /v1/domains/{id}/dkim/rotate: make the next keys, to be published before they are used.

    While the last next ones wait for being published, it is those.
    """
    services, domain = call.services, await find_domain(call)
    body = await call.request.body()
    with once(call, body) as request:
        keys = () if await request.is_done() else await _next_keys(call, domain, body)

        def act(connection: Connection) -> Written | Problem:
            current = domains.get_domain(connection, domain.tenant_id, domain.id)
            if current is None:
                return NOT_FOUND
            if keys and not current.keys_in(KeyState.NEXT):
                dkim_rotation.begin(connection, domain.id, keys, services.now())
            return Written(in_full(_stored(connection, domain.id), services.settings))

        outcome = await request.run(act)
    _work(call).kick()
    return outcome.response()


async def _next_keys(call: Call, domain: DomainRecord, body: bytes) -> tuple[DkimKeyRecord, ...]:
    """Return new keys with the selector that a request names; none where the next ones wait."""
    selector = _read_selector(body, domain)
    if domain.keys_in(KeyState.NEXT):
        return ()
    return await _work(call).make_keys(domain.name, selector)


async def get_zone_file(call: Call) -> Response:
    """GET /v1/domains/{id}/zonefile: the records as lines to be pasted."""
    domain = await find_domain(call)
    text = zone_file(domain.facts, findings_of(domain, call.services.settings))
    return Response(text, media_type="text/plain; charset=utf-8")


def _read_new(body: bytes) -> _NewDomain:
    fields = Fields(read_json(body), [])
    name = _domain_name(fields)
    selector = fields.text("dkim_selector", 63).lower() or next_selector(())
    if name and not is_selector(selector, name):
        fields.fail("dkim_selector", "invalid_value", "Expected a label of the DNS, such as s1.")
    return_path, tracking_host = _hosts(fields, name)
    _finish(fields)
    return _NewDomain(name, selector, return_path, tracking_host)


def _domain_name(fields: Fields) -> str:
    text = fields.required_text("name", _MAX_NAME)
    try:
        name = to_ascii_domain(text) if text else ""
    except AddressError as error:
        fields.fail("name", "invalid_domain", f"{error}.")
        return ""
    if name and "." not in name:
        fields.fail("name", "invalid_domain", "Expected a name of at least two labels.")
    return name


def _hosts(fields: Fields, domain: str) -> tuple[str, str]:
    """Read return_path and tracking_host, each "" for none, and tls, which has one value yet."""
    hosts = _host(fields, "return_path", domain), _host(fields, "tracking_host", domain)
    if fields.text("tls", 20) not in ("", "opportunistic"):
        fields.fail("tls", "invalid_value", "Expected opportunistic.")
    if hosts[0] and hosts[0] == hosts[1]:
        fields.fail("tracking_host", "conflict", "Expected another host than return_path.")
    return hosts


def _host(fields: Fields, field: str, domain: str) -> str:
    """Read a host below a domain, given in full or as the label before its name."""
    text = fields.text(field, _MAX_NAME)
    if not text or not domain:
        return ""
    try:
        name = to_ascii_domain(text if "." in text else f"{text}.{domain}")
    except AddressError as error:
        fields.fail(field, "invalid_domain", f"{error}.")
        return ""
    if name == domain or not is_within(name, domain):
        fields.fail(field, "invalid_domain", f"Expected a host below {domain}.")
        return ""
    return name


def _read_selector(body: bytes, domain: DomainRecord) -> str:
    taken = [key.selector for key in domain.keys]
    if not body.strip():
        return next_selector(taken)
    fields = Fields(read_json(body), [])
    selector = fields.text("dkim_selector", 63).lower() or next_selector(taken)
    if not is_selector(selector, domain.name):
        fields.fail("dkim_selector", "invalid_value", "Expected a label of the DNS, such as s1.")
    elif {selector, f"{selector}-ed25519", f"{selector}-rsa"} & set(taken):
        fields.fail("dkim_selector", "conflict", "Expected a selector that is not in use.")
    _finish(fields)
    return selector


def _finish(fields: Fields) -> None:
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))


async def find_domain(call: Call) -> DomainRecord:
    """Return the tenant's domain that the path names; raises the 404 when there is none."""
    tenant_id, name = call.tenant_id, _name(call)
    found = await call.services.database.read(lambda db: domains.get_domain(db, tenant_id, name))
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def _name(call: Call) -> str:
    """Return the id or name in the path, a name as it is kept."""
    text: str = call.request.path_params["id"]
    if text.startswith("dom_"):
        return text
    try:
        return to_ascii_domain(text)
    except AddressError:
        raise ApiError(NOT_FOUND) from None


def _stored(connection: Connection, domain_id: str) -> DomainRecord:
    found = domains.get_domain(connection, None, domain_id)
    if found is None:
        raise LookupError("a domain that was just written is not there")
    return found


def _work(call: Call) -> DomainWork:
    if call.services.domain_work is None:
        raise ApiError(_NO_ENGINE)
    return call.services.domain_work


_ONE = "/v1/domains/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/domains", create_domain, "domains:write", "Add a domain"),
    Route("GET", "/v1/domains", list_domains, "domains:read", "List domains"),
    Route("GET", _ONE, get_domain, "domains:read", "Look at a domain and its DNS records"),
    Route("PATCH", _ONE, update_domain, "domains:write", "Change the hosts of a domain"),
    Route("DELETE", _ONE, delete_domain, "domains:write", "Delete a domain and its keys"),
    Route("POST", f"{_ONE}/verify", verify_domain, "domains:write", "Look at the DNS now"),
    Route("GET", f"{_ONE}/verify", verify_domain, "domains:read", "Look at the DNS now"),
    Route("GET", f"{_ONE}/zonefile", get_zone_file, "domains:read", "Get the lines to publish"),
    Route("POST", f"{_ONE}/dkim/rotate", rotate_dkim, "domains:write", "Begin a DKIM rotation"),
)
"""The routes of domains."""
