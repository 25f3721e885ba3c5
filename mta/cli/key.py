"""`mta key`: API keys, which are also passwords for SMTP. Storage keeps only their hashes."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta

import click

from config.units import BadValueError, domain, network
from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.cli.options import TimeSpan, json_option
from mta.cli.output import Styled, clock, print_json, print_line, print_note, print_table, stamp
from mta.cli.store import change, read
from mta.core.access import FULL, SCOPES, Access
from mta.core.api_key import ENTROPY_SIZE, format_key, key_hash, last4
from storage import tenants
from storage.tenants import KeyRecord


@click.group()
def command() -> None:
    """Create, list, rotate and revoke API keys.

    A key is the bearer token of the API, and the password of SMTP AUTH with any user name.
    """


@command.command()
@click.option("--name", required=True, help="What the key is for, such as the app that uses it.")
@click.option("--description", default="", help="More about it, for people.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    metavar="SCOPE",
    help=f"What it may do; repeat for more. {FULL} when not given: all but what admin is for.",
)
@click.option(
    "--domain", "domains", multiple=True, help="Sender domain that it may use; repeat for more."
)
@click.option(
    "--network", "networks", multiple=True, help="Where its clients may be; repeat for more."
)
@click.option("--expires", type=TimeSpan(), help='When it ends, from now, such as "90d".')
@click.option("--test", "is_test", is_flag=True, help="Its mail goes to the sandbox, never out.")
@json_option
@click.pass_obj
def create(  # noqa: PLR0913 - one parameter for each option
    environment: Environment,
    *,
    name: str,
    description: str,
    scopes: tuple[str, ...],
    domains: tuple[str, ...],
    networks: tuple[str, ...],
    expires: timedelta | None,
    is_test: bool,
    is_json: bool,
) -> None:
    """Create a key and show it, this one time."""
    now = environment.now()
    access = Access(
        scopes=tuple(dict.fromkeys(scopes)) or (FULL,),
        expires_at=None if expires is None else now + expires,
        is_test=is_test,
    )
    access = _within(access, domains, networks)
    key = format_key(secrets.token_bytes(ENTROPY_SIZE), is_test=is_test)
    key_id = environment.new_id("key")
    change(
        environment,
        lambda connection: tenants.create_key(
            connection,
            tenant_id=tenants.DEFAULT_TENANT,
            name=name,
            key_id=key_id,
            key_hash=key_hash(key),
            last4=last4(key),
            now=now,
            access=access,
            description=description,
        ),
    )
    if is_json:
        print_json({"id": key_id, "name": name, "key": key})
        return
    print_line(key)
    print_note(f"{key_id} {name}: keep the key, it cannot be shown again")


@command.command("list")
@json_option
@click.pass_obj
def list_(environment: Environment, is_json: bool) -> None:
    """List keys, revoked ones too."""
    keys = read(environment, tenants.list_keys)
    if is_json:
        print_json([_as_json(key) for key in keys])
        return
    now = environment.now()
    print_table(
        ("ID", "NAME", "KEY", "MAY", "CREATED", "LAST USED", "STATE"),
        [
            (
                key.id,
                key.name,
                f"...{key.last4}",
                _may(key.access),
                clock(key.created_at),
                clock(key.used_at) if key.used_at else "never",
                _state(key, is_over=key.access.is_over(now)),
            )
            for key in keys
        ],
    )


@command.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace", type=TimeSpan(), default="1d", show_default=True, help="How long the old one works."
)
@json_option
@click.pass_obj
def rotate(environment: Environment, key_id: str, grace: timedelta, is_json: bool) -> None:
    """Give a key a new secret and show it, this one time; the old one works for a while."""
    key_record = read(environment, lambda connection: tenants.get_key(connection, key_id))
    if key_record is None:
        raise _unknown(key_id)
    key = format_key(secrets.token_bytes(ENTROPY_SIZE), is_test=key_record.access.is_test)
    old_until = environment.now() + grace
    change(
        environment,
        lambda connection: tenants.rotate_key(
            connection, key_id, key_hash=key_hash(key), last4=last4(key), old_until=old_until
        ),
    )
    if is_json:
        print_json({"id": key_id, "key": key, "previous_valid_until": stamp(old_until)})
        return
    print_line(key)
    print_note(f"{key_id} {key_record.name}: the key before works until {clock(old_until)}")


@command.command()
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke(environment: Environment, key_id: str) -> None:
    """Revoke a key: it is refused from now on."""
    now = environment.now()
    if not change(environment, lambda connection: tenants.revoke_key(connection, key_id, now)):
        raise _unknown(key_id)
    print_line(Styled("revoked", "good"), key_id)


def _within(access: Access, domains: tuple[str, ...], networks: tuple[str, ...]) -> Access:
    """Return the access with sender domains and client networks as they were typed."""
    try:
        return replace(
            access,
            domains=tuple(domain(text) for text in domains),
            networks=tuple(network(text) for text in networks),
        )
    except BadValueError as error:
        raise click.UsageError(f"--domain, --network: {error}") from None


def _unknown(key_id: str) -> Failure:
    return Failure(f"{key_id}: no valid key has this id; see `mta key list`")


def _may(access: Access) -> str:
    limits = (*access.scopes, *access.domains, *map(str, access.networks))
    return " ".join(("test", *limits) if access.is_test else limits)


def _state(key: KeyRecord, *, is_over: bool) -> Styled:
    if key.revoked_at:
        return Styled(f"revoked {clock(key.revoked_at)}", "bad")
    if key.access.expires_at is None:
        return Styled("valid", "good")
    when = clock(key.access.expires_at)
    return Styled(f"expired {when}", "bad") if is_over else Styled(f"valid until {when}", "good")


def _as_json(key: KeyRecord) -> dict[str, object]:
    access = key.access
    return {
        "id": key.id,
        "name": key.name,
        "description": key.description,
        "tenant": key.tenant_name,
        "last4": key.last4,
        "test": access.is_test,
        "scopes": access.scopes,
        "domains": access.domains,
        "networks": [str(one) for one in access.networks],
        "created_at": stamp(key.created_at),
        "expires_at": stamp(access.expires_at),
        "last_used_at": stamp(key.used_at),
        "previous_valid_until": stamp(key.old_until),
        "revoked_at": stamp(key.revoked_at),
    }
