"""Mail to one person, composed without a request: for campaigns, automations, confirmations.

    Composer                what the server lends: settings, templates, tracked links, spool
      .letter(Mailing)      what is the same for everybody, read once
        .to(mailbox, variables) -> Submission, for storage.submissions in the caller's transaction
      .in_turn(people)      as many of them as can be composed for before it is others' turn

Composing holds up the event loop as long as it takes: let a thread do it (`asyncio.to_thread`).
What nobody expected to go wrong with a letter is logged, and keeps only those from getting it whom
it concerns: whoever sends to many goes on.

Not here: who gets what, and when; the transaction that accepts it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import TypeVar

from config.settings import Settings
from control_api.errors import FieldError
from control_api.fields import line_error
from control_api.payload import Email
from control_api.submissions import Marked, Origin, build
from control_api.template_field import template_error
from control_api.tracker import Tracker
from mta.core.envelope import Priority
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.ids import milliseconds, new_id
from mta.core.letter import Filled, Letter, Variables
from mta.core.mime import Mailbox
from mta.core.submission import Submission
from mta.core.template import (
    MAX_SUBJECT,
    MissingVariablesError,
    Source,
    TemplateError,
    Templates,
)
from mta.core.tracking import NO_TRACKING, Tracking
from mta.core.unsubscribe import UnsubscribeOffer
from storage import templates
from storage.audiences import AudienceField
from storage.contacts import ContactRecord
from storage.database import Connection
from storage.errors import StorageError
from storage.memberships import MemberRecord
from storage.spool import Spool
from storage.submissions import AcceptPolicy

PATIENCE = 1.0
"""Seconds that others wait who want to have letters composed: a template may be slow."""
UNEXPECTED = FieldError("", "internal_error", "It cannot be composed; the server's log says why.")

T = TypeVar("T")

_log = logging.getLogger(__name__)


@frozen
class Mailing:
    """What is the same for everybody who gets it.

    Attributes:
        tenant_id, tenant: whose it is; the name goes into Received.
        from_, reply_to: the sender.
        source: what it says, in Liquid.
        variables: for everybody; those of a person go before them.
        tracking: what is noted of its readers.
        unsubscribe: how they get out; None adds nothing.
        tags: names and values.
        metadata: echoed in events.
        priority: bulk unless said otherwise.
        is_test: it goes to the sandbox, as with a test key.
        campaign: row number of its campaign; 0: of none.
    """

    tenant_id: int
    tenant: str
    from_: Mailbox
    source: Source
    reply_to: tuple[Mailbox, ...] = ()
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    tracking: Tracking = NO_TRACKING
    unsubscribe: UnsubscribeOffer | None = None
    tags: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    priority: Priority = Priority.BULK
    is_test: bool = False
    campaign: int = 0


class Composer:
    """Makes letters with what the server has."""

    def __init__(
        self,
        settings: Settings,
        tracker: Tracker,
        spool: Spool,
        *,
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        patience: float = PATIENCE,
    ) -> None:
        """Take the collaborators.

        Args:
            settings: the configuration.
            tracker: knows where tracked links lead.
            spool: where large messages go.
            now: the current time (aware, UTC).
            entropy: returns that many random bytes.
            patience: seconds, see PATIENCE.
        """
        self._settings = settings
        self._tracker = tracker
        self._spool = spool
        self._now = now
        self._entropy = entropy
        self._patience = patience
        self._templates = Templates()

    @property
    def policy(self) -> AcceptPolicy:
        """What the operator demands of mail; which domains a key may use was asked before."""
        settings = self._settings
        return AcceptPolicy(
            require_verified_domain=settings.policy.require_verified_domain,
            bounce_domain=settings.reports.domain,
            quota=settings.quota.core,
            sandbox_domain=settings.api.sandbox_domain,
            takes_credits=settings.credits.enabled,
        )

    def in_turn(self, people: Sequence[T]) -> Iterator[T]:
        """Yield people, to compose for one after the other, until time is up; at least one."""
        until = time.monotonic() + self._patience
        for one in people:
            yield one
            if time.monotonic() >= until:
                return

    def letter(self, mailing: Mailing) -> PersonalLetter | FieldError:
        """Read what everybody gets, or return what is wrong with it."""
        try:
            return self._letter(mailing)
        except Exception:  # noqa: BLE001 - one letter must not end the process
            _log.exception("a letter of tenant %s cannot be read", mailing.tenant_id)
            return UNEXPECTED

    def _letter(self, mailing: Mailing) -> PersonalLetter | FieldError:
        base_url = self._tracker.base_url(mailing.tenant_id, mailing.from_.address.domain)
        if mailing.tracking and mailing.source.html is not None and not base_url:
            message = "This server has no host for that: its operator must set api.public_url."
            return FieldError("tracking", "not_configured", message)
        public_url = self._settings.api.public_url
        try:
            letter = Letter(
                mailing.source,
                self._templates,
                mailing.tracking,
                base_url=base_url,
                entropy=self._entropy(24),
                leave_url=f"{public_url}/u/" if public_url and mailing.unsubscribe else "",
            )
        except TemplateError as error:
            return template_error(error)
        return PersonalLetter(mailing, letter, self._origin(mailing), self._spool, self._new_id)

    def _origin(self, mailing: Mailing) -> Origin:
        settings = self._settings
        return Origin(
            tenant_id=mailing.tenant_id,
            tenant=mailing.tenant,
            is_test=mailing.is_test,
            hostname=settings.server.hostname,
            bounce_domain=settings.reports.domain,
            can_unsubscribe=bool(settings.api.public_url or settings.reports.domain),
            max_size=settings.submission.max_message_size,
            at=self._now(),
            entropy=self._entropy,
            campaign=mailing.campaign,
        )

    def _new_id(self) -> str:
        return new_id("em", milliseconds(self._now()), self._entropy(10))


class PersonalLetter:
    """What everybody gets, ready to be filled for one after the other."""

    def __init__(
        self,
        mailing: Mailing,
        letter: Letter,
        origin: Origin,
        spool: Spool,
        new_id: Callable[[], str],
    ) -> None:
        """Use Composer.letter instead."""
        self.mailing = mailing
        self._letter = letter
        self._origin = origin
        self._spool = spool
        self._new_id = new_id

    def to(
        self, mailbox: Mailbox, variables: Mapping[str, JsonValue], *, at: datetime | None = None
    ) -> Submission | tuple[FieldError, ...]:
        """Compose it for one person; nothing is queued yet.

        Args:
            mailbox: who gets it.
            variables: what is known of the person.
            at: what Date and Received say (aware, UTC); None: as for the one before.

        Returns:
            What keeps this person from getting it, such as a code of "missing_variable" for a
            variable, where it cannot be composed. A large message that is made but not accepted
            after all leaves a file in the spool: submissions.discard.

        Raises:
            StorageError: the spool cannot be written.
        """
        try:
            return self._to(mailbox, {**self.mailing.variables, **variables}, at)
        except StorageError:
            raise
        except Exception:  # noqa: BLE001 - the same
            _log.exception("a letter to %s cannot be composed", mailbox.address)
            return (UNEXPECTED,)

    def _to(
        self, mailbox: Mailbox, variables: Variables, at: datetime | None
    ) -> Submission | tuple[FieldError, ...]:
        filled = self._fill(variables)
        if isinstance(filled, tuple):
            return filled
        if at is not None and at != self._origin.at:
            self._origin = replace(self._origin, at=at)
        marked = Marked(filled.pieces, filled.places, filled.text_pieces)
        email = self._email(mailbox, filled)
        made = build(email, self._origin, self._spool, public_id=self._new_id(), marked=marked)
        return (made,) if isinstance(made, FieldError) else made

    def _fill(self, variables: Variables) -> Filled | tuple[FieldError, ...]:
        try:
            filled = self._letter.fill(variables)
        except MissingVariablesError as error:
            message = "The template needs a value for {}."
            return tuple(
                FieldError(name, "missing_variable", message.format(name)) for name in error.names
            )
        except TemplateError as error:
            return (template_error(error),)
        problem = line_error(filled.rendered.subject, MAX_SUBJECT)
        return filled if problem is None else (FieldError("subject", *problem),)

    def _email(self, mailbox: Mailbox, filled: Filled) -> Email:
        mailing, made = self.mailing, filled.rendered
        html = made.html or None
        return Email(
            from_=mailing.from_,
            to=(mailbox,),
            cc=(),
            bcc=(),
            reply_to=mailing.reply_to,
            subject=made.subject,
            text=None if html and not made.text else made.text,
            html=html,
            headers=(),
            attachments=(),
            tags=mailing.tags,
            metadata=mailing.metadata,
            send_at=None,
            priority=mailing.priority,
            unsubscribe=mailing.unsubscribe,
            tracking=mailing.tracking,
            is_test=mailing.is_test,
        )


def variables_of(
    person: ContactRecord | MemberRecord, fields: Mapping[str, AudienceField] | None = None
) -> Variables:
    """Return what templates can say of a contact.

    Its properties by their names; of a member the values of the audience's fields by their tags,
    or their defaults, before those; then email, name, and all of it once more in `contact`.

    Args:
        person: a contact, or one as the member of an audience.
        fields: of the audience, for the defaults.
    """
    defaults: Variables = {
        one.tag: one.default_value for one in (fields or {}).values() if one.default_value
    }
    variables: Variables = {**defaults, **person.properties}
    if isinstance(person, MemberRecord):
        values = {tag: value for tag, value in person.values.items() if value is not None}
        variables |= defaults | values
    contact_id = person.contact_id if isinstance(person, MemberRecord) else person.id
    known: Variables = {"email": person.email}
    if person.name:  # without one the template lacks it, unless something else has it
        known["name"] = person.name
    about = {"id": contact_id, **known, "properties": dict(person.properties)}
    return variables | known | {"contact": about}


def published_source(
    connection: Connection, tenant_id: int, template_id: str
) -> Source | FieldError:
    """Return the published version of a template, or why there is none."""
    template = templates.get(connection, tenant_id, template_id)
    if template is None:
        return FieldError("template.id", "not_found", "There is no such template.")
    number = template.published
    version = None if number is None else templates.version(connection, template.row, number)
    if version is None:
        message = "No version of this template is published."
        return FieldError("template.id", "not_published", message)
    return version.source
