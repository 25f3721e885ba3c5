"""What an automation names must be there: templates, audiences, senders, pages to unsubscribe at.

Asked when an automation is made or changed; a run for which something is gone since then fails and
says so. Not here: the form of the request (automation_payload.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from control_api.automation_payload import Wish
from control_api.errors import FieldError
from control_api.personal_mail import published_source
from mta.core.access import may_send_from
from mta.core.address import parse_address
from mta.core.automation import Instruction, Post, Send, Test, Transfer, flattened
from mta.core.automation_condition import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    IsMember,
    Not,
)
from mta.core.frozen import frozen
from storage import audiences
from storage.audiences import AudienceRecord
from storage.database import Connection


@frozen
class Author:
    """Who makes an automation.

    Attributes:
        tenant_id: whose it is.
        domains: as core.access.Access.domains of the key.
        can_unsubscribe: whether there is a page of ours, or an address, to unsubscribe at.
    """

    tenant_id: int
    domains: tuple[str, ...]
    can_unsubscribe: bool


def wrong_references(connection: Connection, wish: Wish, author: Author) -> list[FieldError]:
    """Return what an automation names that there is not, or that its author may not use."""
    return list(_Look(connection, wish, author).errors())


def urls(wish: Wish) -> Iterator[tuple[str, str]]:
    """Yield the path and the URL of each webhook."""
    for one in flattened(wish.definition.steps):
        if isinstance(one.action, Post):
            yield f"{one.path}.url", one.action.url


class _Look:
    """One look at what an automation names."""

    def __init__(self, connection: Connection, wish: Wish, author: Author) -> None:
        self._connection = connection
        self._definition = wish.definition
        self._author = author

    def errors(self) -> Iterator[FieldError]:
        """Yield what is wrong."""
        definition, trigger = self._definition, self._definition.trigger
        audience = self._audience(trigger.audience_id)
        if trigger.audience_id and audience is None:
            yield _unknown("trigger.audience_id")
        elif audience is not None and not self._has(audience, trigger.field):
            yield FieldError("trigger.field", "unknown_field", "The audience has no such field.")
        yield from self._in_conditions(definition.conditions, "conditions")
        for one in flattened(definition.steps):
            yield from self._in_step(one, audience)

    def _in_step(self, one: Instruction, audience: AudienceRecord | None) -> Iterator[FieldError]:
        match one.action:
            case Send():
                yield from self._in_send(one.action, one.path, audience)
            case Transfer():
                named = {
                    "to_audience_id": one.action.target,
                    "from_audience_id": one.action.source,
                }
                for name, audience_id in named.items():
                    if audience_id and self._audience(audience_id) is None:
                        yield _unknown(f"{one.path}.{name}")
            case Test():
                yield from self._in_conditions(one.action.conditions, f"{one.path}.conditions")
            case _:
                return

    def _in_send(
        self, send: Send, path: str, audience: AudienceRecord | None
    ) -> Iterator[FieldError]:
        author = self._author
        source = published_source(self._connection, author.tenant_id, send.template_id)
        if isinstance(source, FieldError):
            yield FieldError(f"{path}.template_id", source.code, source.message)
        if send.audience_id:
            audience = self._audience(send.audience_id)
            if audience is None:
                yield _unknown(f"{path}.audience_id")
        sender = _sender_domain(send, audience)
        if not sender:
            message = "Give a sender; there is no audience with one that could be taken."
            yield FieldError(f"{path}.from", "required", message)
        elif denial := may_send_from(author.domains, sender):
            yield FieldError(f"{path}.from", "forbidden", denial.message)
        if send.is_marketing and not author.can_unsubscribe:
            message = "This server has no page to unsubscribe at: set api.public_url, or say false."
            yield FieldError(f"{path}.marketing", "not_configured", message)

    def _in_conditions(self, conditions: Sequence[Condition], path: str) -> Iterator[FieldError]:
        for audience_id in _named(conditions):
            if self._audience(audience_id) is None:
                yield _unknown(path)

    def _has(self, audience: AudienceRecord, field: str) -> bool:
        return not field or field in audiences.fields(self._connection, audience.row)

    def _audience(self, audience_id: str) -> AudienceRecord | None:
        if not audience_id:
            return None
        return audiences.get(self._connection, self._author.tenant_id, audience_id)


def _sender_domain(send: Send, audience: AudienceRecord | None) -> str:
    """Return the domain that a mail is from; "" when nobody is named."""
    if send.from_ is not None:
        return send.from_.address.domain
    address = audience.identity.from_email if audience else ""
    return parse_address(address).domain if address else ""


def _named(conditions: Sequence[Condition]) -> Iterator[str]:
    """Yield the audiences that conditions name."""
    for one in conditions:
        match one:
            case AllOf() | AnyOf():
                yield from _named(one.parts)
            case Not():
                yield from _named((one.part,))
            case Compare() | IsMember() if one.audience_id:
                yield one.audience_id
            case _:
                continue


def _unknown(path: str) -> FieldError:
    return FieldError(path, "unknown_audience", "There is no such audience.")
