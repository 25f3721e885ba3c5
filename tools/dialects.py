"""docs/dialects.md from the tables of the dialects: `make dialects`. A test keeps it fresh."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta

from config.compat import Compat
from control_api.app import DIALECTS
from control_api.dialects.base import Dialect, KeyPlace

SERVER = "http://localhost:8025"
HEAD = """\
# Other services' APIs

Programs that speak to one of these services speak to Mailwright with another base URL and a key of
yours. It is wire-compatible for the calls listed: paths, methods, names, statuses, errors, limits.
What is different is told below each list of calls. Mail, contacts and the rest are the same whoever
asks: a suppression made here is one of the native API too, and a request repeated with its
`Idempotency-Key` is carried out once.

This page is made of the tables that serve the calls (`make dialects`).

## Move a client here

    mta domain add shop.example                # the domain of From: publish its records,
    mta domain verify shop.example             # until they are seen
    mta key create --name shop --json          # works in every service's form, within its scopes

Then give the client the base URL that its service's section names. Jobs and campaigns carry links
to unsubscribe, for which `api.public_url` must be set in `mta.toml`; without it they are not sent.
Logging in with a password is off until `api.login.enabled`.

## Where they answer

- below `/compat/NAME`, always: `http://localhost:8025/compat/sendflare/v1/send`;
- at their own paths, always: `http://localhost:8025/v1/send`;
- on a host of their own, that `[compat.hosts]` of `mta.toml` gives them: all paths but those of
  pages that links lead to, such as `/u/`, and of `/healthz`, `/readyz`, `/metrics` and `/docs`.

`POST /api/v1/campaigns` belongs to two of them; the fields of the body tell which is meant.
Trailing slashes make no difference.

Of the fields that a document does not have, those that would make another mail of a request
(`attachments`, `cc`, `headers`, `templateId`, ...) go to the native API, which takes them or
refuses them by name; others are passed over.

Two addresses are the same when their local parts are, letter by letter: `Ant@` is not `ant@`, where
services often take them for one.

Errors of all kinds come in the form of the service: unknown paths, wrong methods, missing keys,
bodies that are too large, too many requests. Limits of a service hold besides those of
`[api.limits]` and are set in `[compat.limits]`; clients in exempt networks, by default on this
machine, are told of them and not held to them.

`format` of a webhook endpoint is `native` or one of {formats}; endpoints that are made by
a dialect's own call get that dialect's events.
"""


def main() -> int:
    """Print the page."""
    sys.stdout.write(page())
    return 0


def page() -> str:
    """Return the page."""
    formats = ", ".join(f"`{one.webhooks.name}`" for one in DIALECTS if one.webhooks)
    by_title = sorted(DIALECTS, key=lambda one: one.title.lower())
    sections = ["\n".join(_section(one)) for one in by_title]
    return HEAD.format(formats=formats) + "\n" + "\n".join(sections)


def _section(dialect: Dialect) -> Iterator[str]:
    root = "its own paths, and " if dialect.root is not None else "the native paths, and "
    yield f"## {dialect.title}\n"
    yield f"At {root}below `/compat/{dialect.name}`. {_ways(dialect)}\n"
    if dialect.home:
        yield from _connection(dialect)
    yield "| row | call | what it does | note |"
    yield "| --- | --- | --- | --- |"
    for one in sorted(dialect.operations, key=lambda one: one.row):
        yield f"| {one.row} | `{one.method} {one.path}` | {one.summary} | {one.note} |"
    yield ""
    yield from (f"- {note}" for note in dialect.notes)
    if dialect.notes:
        yield ""


def _connection(dialect: Dialect) -> Iterator[str]:
    """Say what to change in a client."""
    has_bearer = KeyPlace.BEARER in dialect.keys
    header = "Authorization: Bearer " if has_bearer else "X-API-Key: "
    yield f"Where the client has `{dialect.home}`, give it `{SERVER}/compat/{dialect.name}`, or"
    yield f"`{SERVER}` alone; what it puts behind that stays as it is.\n"
    if dialect.first_look:
        url = f"{SERVER}/compat/{dialect.name}{dialect.first_look}"
        yield f'    curl "{url}" -H "{header}$KEY"\n'


def _ways(dialect: Dialect) -> str:
    keys = " or ".join(f"`{place.value}`" for place in dialect.keys)
    bodies = ", ".join(media.value.partition("/")[2] for media in dialect.bodies)
    limits = [
        f"{limit.quota} in {_span(limit.window)}" + (f" ({bucket})" if bucket else "")
        for bucket, windows in dialect.limits(Compat()).items()
        for limit in windows
    ]
    told = f" Requests of a key: {', '.join(limits)}." if limits else ""
    return f"Keys: {keys}. Bodies: {bodies}.{told}"


def _span(window: timedelta) -> str:
    units = {86_400: "a day", 3_600: "an hour", 60: "a minute", 1: "a second"}
    seconds = int(window.total_seconds())
    return units.get(seconds, f"{seconds} seconds")


if __name__ == "__main__":
    sys.exit(main())
