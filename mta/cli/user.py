"""`mta user`: people who log in with a password. Passwords are typed or piped, never arguments:
those stand in the shell's history and in the list of processes.
"""

from __future__ import annotations

import secrets
import sys

import click

from mta.cli.environment import Environment
from mta.cli.failure import USAGE, Failure
from mta.cli.options import json_option
from mta.cli.output import Styled, clock, print_json, print_line, print_table, stamp
from mta.cli.store import change, read
from mta.core import password
from mta.core.address import Address, parse_address
from mta.core.api_key import ENTROPY_SIZE, format_login_token, key_hash, login_url
from mta.core.role import ROLES, Role
from storage import tenants, user_tokens, users
from storage.database import Connection
from storage.user_tokens import Purpose
from storage.users import Profile, User

MAX_LISTED = 100_000


@click.group()
def command() -> None:
    """Add, list and remove users, set their passwords and roles, make login links.

    A user gets a token for the password at POST /v1/login, where [api.login] is enabled.
    """


@command.command()
@click.argument("email", metavar="ADDRESS")
@click.option(
    "--role",
    type=click.Choice(list(ROLES)),
    default=Role.OWNER.value,
    show_default=True,
    help="What the user may do.",
)
@click.option("--tenant", default="", help="Name of the tenant; the first one when not given.")
@click.option("--first-name", default="", help="For people.")
@click.option("--last-name", default="", help="For people.")
@click.option("--no-password", is_flag=True, help="Only one-time links log the user in.")
@json_option
@click.pass_obj
def add(  # noqa: PLR0913 - one parameter for each option
    environment: Environment,
    *,
    email: str,
    role: str,
    tenant: str,
    first_name: str,
    last_name: str,
    no_password: bool,
    is_json: bool,
) -> None:
    """Add a user; the password is asked for, or is the first line of standard input."""
    address = parse_address(email)
    hashed = "" if no_password else _hashed(_ask(address))
    user_id, now = environment.new_id("usr"), environment.now()
    profile = Profile(ROLES[role], first_name, last_name)

    def act(connection: Connection) -> bool:
        return users.add(
            connection,
            user_id=user_id,
            tenant_id=_tenant(connection, tenant),
            address=address,
            profile=profile,
            password=hashed,
            now=now,
        )

    if not change(environment, act):
        raise Failure(f"{address}: there is a user with this address")
    if is_json:
        print_json({"id": user_id, "email": str(address), "role": role})
        return
    print_line(Styled("added", "good"), user_id, str(address), role)


@command.command("list")
@json_option
@click.pass_obj
def list_(environment: Environment, is_json: bool) -> None:
    """List the users of all tenants."""
    found = read(environment, lambda connection: users.list_(connection, limit=MAX_LISTED))
    if is_json:
        print_json([_as_json(user) for user in found])
        return
    print_table(
        ("ID", "ADDRESS", "TENANT", "ROLE", "ADDED", "LAST LOGIN"),
        [
            (
                user.id,
                user.email,
                user.tenant_name,
                user.role.value,
                clock(user.created_at),
                clock(user.login_at) if user.login_at else "never",
            )
            for user in found
        ],
    )


@command.command("password")
@click.argument("email", metavar="ADDRESS")
@click.pass_obj
def password_(environment: Environment, email: str) -> None:
    """Give a user another password, asked for or read from standard input; all tokens end."""
    user = _user(environment, email)
    hashed = _hashed(_ask(parse_address(user.email)))
    change(environment, lambda connection: users.set_password(connection, user.id, hashed))
    print_line(Styled("changed", "good"), user.id, user.email)


@command.command()
@click.argument("email", metavar="ADDRESS")
@click.argument("name", metavar="ROLE", type=click.Choice(list(ROLES)))
@click.pass_obj
def role(environment: Environment, email: str, name: str) -> None:
    """Give a user another role; it counts at once."""
    user = _user(environment, email)
    profile = Profile(ROLES[name], user.first_name, user.last_name, user.image_url)
    change(environment, lambda connection: users.change(connection, user.id, profile))
    print_line(Styled("changed", "good"), user.id, user.email, name)


@command.command()
@click.argument("email", metavar="ADDRESS")
@json_option
@click.pass_obj
def link(environment: Environment, email: str, is_json: bool) -> None:
    """Make a one-time link that logs a user in: for a first login, or a forgotten password."""
    settings = environment.settings.api
    if not settings.login.enabled:
        raise Failure("logging in is switched off: set api.login.enabled in mta.toml")
    user, now = _user(environment, email), environment.now()
    token = format_login_token(secrets.token_bytes(ENTROPY_SIZE))
    until = now + settings.login.link

    def act(connection: Connection) -> bool:
        credentials = users.credentials_of(connection, user.id)
        hashed, purpose = key_hash(token), Purpose.LINK
        return credentials is not None and user_tokens.issue(
            connection, credentials, purpose, hashed, now=now, expires_at=until
        )

    if not change(environment, act):
        raise Failure(f"{email}: the user has just been removed")
    url = login_url(settings.base_url, token)
    if is_json:
        print_json({"token": token, "url": url, "expires_at": stamp(until)})
        return
    print_line(url)


@command.command()
@click.argument("email", metavar="ADDRESS")
@click.pass_obj
def remove(environment: Environment, email: str) -> None:
    """Remove a user; all tokens end. API keys that the user made stay."""
    user = _user(environment, email)
    change(environment, lambda connection: users.remove(connection, user.id))
    print_line(Styled("removed", "good"), user.id, user.email)


def _user(environment: Environment, email: str) -> User:
    address = parse_address(email)
    found = read(environment, lambda connection: users.find(connection, address))
    if found is None:
        raise Failure(f"{address}: no user has this address; see `mta user list`")
    return found


def _tenant(connection: Connection, name: str) -> int:
    if not name:
        return tenants.DEFAULT_TENANT
    number = tenants.number_of(connection, name)
    if number is None:
        raise Failure(f"{name}: no tenant has this name")
    return number


def _ask(address: Address) -> str:
    """Return a password that may be one, typed twice at a terminal or read as one line."""
    if sys.stdin.isatty():
        chosen = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        chosen = sys.stdin.readline().rstrip("\r\n")
    problem = password.problem_of(chosen, str(address))
    if problem or not chosen.isprintable():
        raise Failure(problem or "A password has no control characters.", USAGE)
    return chosen


def _hashed(chosen: str) -> str:
    return password.hash_password(chosen, secrets.token_bytes(password.SALT_SIZE))


def _as_json(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "email": user.email,
        "tenant": user.tenant_name,
        "role": user.role.value,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "image_url": user.image_url or None,
        "created_at": stamp(user.created_at),
        "last_login_at": stamp(user.login_at),
    }
