"""Asks new members by mail whether they want to be: double opt-in, in the background.

Each mail is accepted in the transaction that notes that the member was asked, so a crash neither
forgets nor repeats one. Not here: who is to be asked, and how often (storage/confirmations.py), the
page behind the link (confirmation.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from control_api.errors import FieldError
from control_api.personal_mail import (
    Composer,
    Mailing,
    PersonalLetter,
    published_source,
    variables_of,
)
from control_api.submissions import discard
from control_api.tracker import Tracker
from mta.core.address import AddressError, parse_address
from mta.core.confirmation import Confirmation, token
from mta.core.envelope import Priority
from mta.core.frozen import frozen
from mta.core.mime import Mailbox
from mta.core.submission import Submission
from mta.core.template import Source
from storage import audiences, confirmations, memberships, submissions, tenancy
from storage.audiences import AudienceField, AudienceRecord
from storage.confirmations import Asked
from storage.database import Connection, Database
from storage.errors import StorageFull, StorageUnavailable
from storage.memberships import MemberRecord
from storage.submissions import AcceptedEmail

STEP = 50
"""Mails composed and accepted together."""
IDLE = 60.0
"""Seconds after which somebody looks without having been kicked."""
PAUSE = 5.0
"""Seconds to wait while storage has trouble."""
URL = "confirm_url"
"""The variable that is the link."""
OURS = Source(
    subject="Please confirm your subscription to {{ audience.name }}",
    html=(
        "<p>Somebody, hopefully you, asked for mail of <b>{{ audience.name }}</b> to this"
        " address.</p>"
        '<p><a href="{{ confirm_url }}">Yes, I want it</a></p>'
        "<p>If it was not you, do nothing: you will not be written to.</p>"
    ),
    text=(
        "Somebody, hopefully you, asked for mail of {{ audience.name }} to this address.\n\n"
        "If you want it, open this page and press the button there:\n\n"
        "{{ confirm_url }}\n\n"
        "If it was not you, do nothing: you will not be written to.\n"
    ),
)
"""The mail unless the audience has a template of its own."""


@frozen
class _Person:
    """Somebody who is to be asked, and what the mail is made of.

    Attributes:
        asked: who, in storage.
        member: the same for people; None: gone.
        audience: which; None: gone.
        fields: of the audience.
        source: what the mail says; None: its template is gone.
        tenant: name of whose audience it is.
    """

    asked: Asked
    member: MemberRecord | None
    audience: AudienceRecord | None
    fields: Mapping[str, AudienceField]
    source: Source | None
    tenant: str


_Mail = tuple[Asked, Submission | None]
"""Somebody, and the mail; None: there is none that could be sent."""


class ConfirmationSender:
    """The background task."""

    def __init__(
        self,
        database: Database,
        composer: Composer,
        tracker: Tracker,
        *,
        now: Callable[[], datetime],
        on_accepted: Callable[[], None],
    ) -> None:
        """Take the collaborators.

        Args:
            database: who is to be asked, and where mail goes.
            composer: makes letters.
            tracker: knows where links lead, and what they are sealed with.
            now: the current time (aware, UTC).
            on_accepted: called when mail was accepted.
        """
        self._database = database
        self._composer = composer
        self._tracker = tracker
        self._now = now
        self._on_accepted = on_accepted
        self._news = asyncio.Event()

    def kick(self) -> None:
        """Look for work now."""
        self._news.set()

    async def run(self) -> None:
        """Ask until cancelled; what that interrupts is gone on with at the next start."""
        while True:
            self._news.clear()
            try:
                while await self.ask_some():
                    pass
            except (StorageFull, StorageUnavailable):
                await asyncio.sleep(PAUSE)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), IDLE)

    async def ask_some(self) -> bool:
        """Do one step; False when nobody was to be asked.

        Raises:
            StorageError
        """
        people, secrets = await self._database.read(_people), await self._tracker.secrets()
        if not people or not secrets:
            return False
        now = self._now()
        mails = await asyncio.to_thread(self._compose, people, secrets[0], now)
        unused = await self._database.write(partial(self._accept, mails=mails, now=now))
        await asyncio.to_thread(discard, unused, self._database.spool)
        self._on_accepted()
        return True

    def _compose(self, people: Sequence[_Person], secret: bytes, now: datetime) -> list[_Mail]:
        in_turn = self._composer.in_turn(people)
        return [(one.asked, self._mail(one, secret, now)) for one in in_turn]

    def _mail(self, person: _Person, secret: bytes, now: datetime) -> Submission | None:
        """Return the mail for somebody; None when there is none that could be sent."""
        member, asked = person.member, person.asked
        letter = self._letter(person)
        if letter is None or member is None or person.audience is None:
            return None
        sender = letter.mailing.from_.address.domain
        link = token(Confirmation(asked.membership_row, now), secret)
        variables = variables_of(member, person.fields)
        variables[URL] = f"{self._tracker.base_url(asked.tenant_id, sender)}/c/{link}"
        variables["audience"] = {"id": person.audience.id, "name": person.audience.identity.name}
        try:
            mailbox = Mailbox(member.name, parse_address(member.email))
        except AddressError:
            return None
        made = letter.to(mailbox, variables, at=now)
        return made if isinstance(made, Submission) else None

    def _letter(self, person: _Person) -> PersonalLetter | None:
        if person.audience is None or person.source is None:
            return None
        identity = person.audience.identity
        try:
            sender = Mailbox(identity.from_name, parse_address(identity.from_email))
            reply_to = [parse_address(identity.reply_to)] if identity.reply_to else []
        except AddressError:  # it was taken away after double opt-in was switched on
            return None
        letter = self._composer.letter(
            Mailing(
                tenant_id=person.asked.tenant_id,
                tenant=person.tenant,
                from_=sender,
                source=person.source,
                reply_to=tuple(Mailbox("", address) for address in reply_to),
                priority=Priority.TRANSACTIONAL,
                is_test=person.asked.is_test,
            )
        )
        return None if isinstance(letter, FieldError) else letter

    def _accept(
        self, connection: Connection, *, mails: Sequence[_Mail], now: datetime
    ) -> list[Submission]:
        """Put mails into the queue; return those that did not get there.

        Who cannot be written to is not tried again before somebody submits the address anew.
        """
        unused: list[Submission] = []
        for asked, mail in mails:
            row = asked.membership_row
            if not confirmations.note_asked(connection, row, now=now) or mail is None:
                unused += [] if mail is None else [mail]
                continue
            policy = self._composer.policy
            accepted = submissions.accept(connection, mail, policy=policy, now=now)
            if not isinstance(accepted, AcceptedEmail):
                unused.append(mail)
        return unused


def _people(connection: Connection) -> list[_Person]:
    return [_person(connection, asked) for asked in confirmations.due(connection, limit=STEP)]


def _person(connection: Connection, asked: Asked) -> _Person:
    audience = audiences.by_row(connection, asked.audience_row)
    tenant = tenancy.get(connection, asked.tenant_id)
    return _Person(
        asked,
        memberships.get(connection, asked.audience_row, asked.contact_row),
        audience,
        audiences.fields(connection, asked.audience_row),
        None if audience is None else source_of(connection, asked.tenant_id, audience),
        tenant.name if tenant else "",
    )


def source_of(connection: Connection, tenant_id: int, audience: AudienceRecord) -> Source | None:
    """Return what the mail of an audience says; None when its template is gone."""
    template_id = audience.opt_in.template_id
    if not template_id:
        return OURS
    found = published_source(connection, tenant_id, template_id)
    return None if isinstance(found, FieldError) else found
