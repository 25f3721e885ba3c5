"""The mails of automations: read from storage once for many runs, and composed for each.

Not here: whether somebody may get one, which is asked when it is accepted (automation_effects.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from control_api.automation_jobs import Job
from control_api.errors import FieldError
from control_api.personal_mail import (
    Composer,
    Mailing,
    PersonalLetter,
    published_source,
    variables_of,
)
from mta.core.address import parse_address
from mta.core.automation import Send
from mta.core.envelope import Priority
from mta.core.frozen import frozen
from mta.core.mime import Mailbox
from mta.core.submission import Submission
from mta.core.unsubscribe import UnsubscribeOffer
from storage import audiences, tenancy
from storage.audiences import AudienceField, AudienceRecord
from storage.automations import AutomationRecord
from storage.database import Connection

LetterKey = tuple[int, int, str]
"""Version, position, "aud_..." or "": runs that have these in common get the same mail."""


@frozen
class Material:
    """What a mail is made of, or why there is none; fields are the audience's."""

    mailing: Mailing | FieldError
    fields: Mapping[str, AudienceField] = field(default_factory=dict)


Materials = Mapping[LetterKey, Material]


def audience_of(job: Job, send: Send) -> str:
    """Return the "aud_..." in which somebody must be subscribed to get a mail; "" for none."""
    return send.audience_id or job.run.audience_id


def _key(job: Job, send: Send) -> LetterKey:
    position = job.place.position if job.place else job.run.position
    return job.run.version, position, audience_of(job, send)


def materials(
    connection: Connection, automation: AutomationRecord, jobs: Sequence[Job]
) -> Materials:
    """Return what the mails are made of that are next for runs of an automation."""
    found: dict[LetterKey, Material] = {}
    for job in jobs:
        send = job.send
        if send is not None and (key := _key(job, send)) not in found:
            found[key] = _material(connection, automation, send, key[2])
    return found


def _material(
    connection: Connection, automation: AutomationRecord, send: Send, audience_id: str
) -> Material:
    tenant_id = automation.tenant_id
    audience = audiences.get(connection, tenant_id, audience_id) if audience_id else None
    if audience_id and audience is None:
        return Material(FieldError("audience_id", "not_found", "There is no such audience."))
    source = published_source(connection, tenant_id, send.template_id)
    if isinstance(source, FieldError):
        return Material(source)
    sender = send.from_ or _sender(audience)
    if sender is None:
        return Material(FieldError("from", "required", "Nobody is named as the sender."))
    tenant = tenancy.get(connection, tenant_id)
    mailing = Mailing(
        tenant_id=tenant_id,
        tenant=tenant.name if tenant else "",
        from_=sender,
        source=replace(source, subject=send.subject) if send.subject else source,
        reply_to=send.reply_to or _reply_to(audience),
        variables=send.variables,
        tracking=send.tracking,
        unsubscribe=UnsubscribeOffer(audience_id) if send.is_marketing else None,
        priority=Priority.BULK if send.is_marketing else Priority.TRANSACTIONAL,
        is_test=automation.is_test,
    )
    fields = audiences.fields(connection, audience.row) if audience else {}
    return Material(mailing, fields)


def _sender(audience: AudienceRecord | None) -> Mailbox | None:
    identity = audience.identity if audience else None
    if identity is None or not identity.from_email:
        return None
    return Mailbox(identity.from_name, parse_address(identity.from_email))


def _reply_to(audience: AudienceRecord | None) -> tuple[Mailbox, ...]:
    address = audience.identity.reply_to if audience else ""
    return (Mailbox("", parse_address(address)),) if address else ()


@frozen
class Mails:
    """Row number of a run -> its mail, or why there is none."""

    by_run: Mapping[int, Submission | tuple[FieldError, ...]] = field(default_factory=dict)

    def without(self, accepted: Iterable[str]) -> list[Submission]:
        """Return those that were made and not accepted, by the ids of those that were."""
        ids = set(accepted)
        made = (one for one in self.by_run.values() if isinstance(one, Submission))
        return [one for one in made if one.public_id not in ids]


def compose(
    composer: Composer,
    automation: AutomationRecord,
    found: Materials,
    jobs: Sequence[Job],
    now: datetime,
) -> Mails:
    """Compose what is next for runs of an automation, for as many as there is time for.

    Blocks: let a thread do it.

    Raises:
        StorageError: the spool cannot be written.
    """
    letters: dict[LetterKey, PersonalLetter | FieldError] = {}
    mails: dict[int, Submission | tuple[FieldError, ...]] = {}
    sends = [(job, send) for job in jobs if (send := job.send) is not None]
    for job, send in composer.in_turn(sends):
        key = _key(job, send)
        material = found[key]
        if key not in letters:
            letters[key] = _letter(composer, material)
        made = _filled(letters[key], material, job, key[2], now)
        if isinstance(made, Submission):
            metadata = {"automation_id": automation.id, "run_id": job.run.id}
            made = replace(made, metadata={**made.metadata, **metadata})
        mails[job.run.row] = made
    return Mails(mails)


def _letter(composer: Composer, material: Material) -> PersonalLetter | FieldError:
    mailing = material.mailing
    return mailing if isinstance(mailing, FieldError) else composer.letter(mailing)


def _filled(
    letter: PersonalLetter | FieldError,
    material: Material,
    job: Job,
    audience_id: str,
    now: datetime,
) -> Submission | tuple[FieldError, ...]:
    if isinstance(letter, FieldError):
        return (letter,)
    contact = job.person.contact
    person = job.person.members.get(audience_id) or contact
    variables = {**variables_of(person, material.fields), "data": dict(job.run.data)}
    return letter.to(Mailbox(contact.name, parse_address(contact.email)), variables, at=now)
