"""`mta key`: API keys, which are also passwords for SMTP. Storage keeps only their hashes."""

from __future__ import annotations

import secrets

import click

from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.cli.options import json_option
from mta.cli.output import Styled, clock, print_json, print_line, print_note, print_table, stamp
from mta.cli.store import change, read
from mta.core.api_key import ENTROPY_SIZE, format_key, key_hash, last4
from storage import tenants


@click.group()
def command() -> None:
    """Create, list and revoke API keys.

    A key is the bearer token of the API, and the password of SMTP AUTH with any user name.
    """


@command.command()
@click.option("--name", required=True, help="What the key is for, such as the app that uses it.")
@json_option
@click.pass_obj
def create(environment: Environment, name: str, is_json: bool) -> None:
    """Create a key and show it, this one time."""
    key = format_key(secrets.token_bytes(ENTROPY_SIZE))
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
            now=environment.now(),
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
    print_table(
        ("ID", "NAME", "KEY", "CREATED", "STATE"),
        [
            (
                key.id,
                key.name,
                f"...{key.last4}",
                clock(key.created_at),
                Styled(f"revoked {clock(key.revoked_at)}", "bad")
                if key.revoked_at
                else Styled("valid", "good"),
            )
            for key in keys
        ],
    )


@command.command()
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke(environment: Environment, key_id: str) -> None:
    """Revoke a key: it is refused from now on."""
    now = environment.now()
    if not change(environment, lambda connection: tenants.revoke_key(connection, key_id, now)):
        raise Failure(f"{key_id}: no valid key has this id; see `mta key list`")
    print_line(Styled("revoked", "good"), key_id)


def _as_json(key: tenants.KeyRecord) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant_name,
        "last4": key.last4,
        "created_at": stamp(key.created_at),
        "revoked_at": stamp(key.revoked_at),
    }
