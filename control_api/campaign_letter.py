"""What a campaign says, made ready for its recipients: sender, template, variables of each.

Not here: composing (personal_mail.py), whose turn it is (storage/campaign_turns.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from control_api.errors import FieldError
from control_api.fields import sentence
from control_api.personal_mail import (
    Composer,
    Mailing,
    PersonalLetter,
    published_source,
    variables_of,
)
from mta.core.address import AddressError, parse_address
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.letter import Variables
from mta.core.mime import Mailbox
from mta.core.submission import Submission
from mta.core.template import Source
from mta.core.unsubscribe import UnsubscribeOffer
from storage import audiences, templates, tenancy
from storage.audiences import AudienceField
from storage.campaign_turns import Turn
from storage.campaigns import CampaignRecord
from storage.database import Connection
from storage.memberships import MemberRecord


@frozen
class Material:
    """What storage has for the letter of a campaign.

    Attributes:
        source: what it says, in Liquid.
        template_version: the one that it is; None without a template.
        tenant: name of whose it is.
        fields: of the audience.
    """

    source: Source
    template_version: int | None
    tenant: str
    fields: Mapping[str, AudienceField]


def material(connection: Connection, campaign: CampaignRecord) -> Material | FieldError:
    """Read what a campaign is made of, or return what is missing."""
    row = campaign.plan.audience_row
    if row is not None and audiences.by_row(connection, row) is None:
        return FieldError("audience_id", "not_found", "There is no such audience.")
    tenant = tenancy.get(connection, campaign.tenant_id)
    found = _source(connection, campaign)
    if isinstance(found, FieldError):
        return found
    source, version = found
    fields = {} if row is None else audiences.fields(connection, row)
    return Material(source, version, tenant.name if tenant else "", fields)


def _source(
    connection: Connection, campaign: CampaignRecord
) -> tuple[Source, int | None] | FieldError:
    content = campaign.plan.content
    if not content.template_id:
        return Source(content.subject, content.html, content.text), None
    template = templates.get(connection, campaign.tenant_id, content.template_id)
    number = campaign.template_version or (template.published if template else None)
    version = None
    if template is not None and number is not None:
        version = templates.version(connection, template.row, number)
    if version is None:
        found = published_source(connection, campaign.tenant_id, content.template_id)
        return found if isinstance(found, FieldError) else (found, None)
    source = version.source
    return replace(source, subject=content.subject or source.subject), number


class CampaignLetter:
    """A campaign ready to be made into emails."""

    def __init__(self, letter: PersonalLetter, fields: Mapping[str, AudienceField]) -> None:
        """Use read() instead."""
        self._letter = letter
        self._fields = fields

    def to(self, turn: Turn, at: datetime) -> Submission | tuple[FieldError, ...]:
        """Compose the email of somebody whose turn it is, or return why there is none.

        Raises:
            StorageError: the spool cannot be written.
        """
        person = turn.person
        try:
            address = parse_address(person.email)
        except AddressError as error:
            return (FieldError("email", "invalid_address", sentence(error)),)
        return self._letter.to(Mailbox(person.name, address), self.variables(turn), at=at)

    def variables(self, turn: Turn) -> Variables:
        """Return what is known of somebody whose turn it is."""
        person = turn.person
        if isinstance(person, MemberRecord):
            return variables_of(person, self._fields)
        known: Variables = {"name": person.name} if person.name else {}
        return {"email": person.email, **known, **person.variables}

    def test(
        self, mailbox: Mailbox, variables: Mapping[str, JsonValue], at: datetime
    ) -> Submission | tuple[FieldError, ...]:
        """Compose it for somebody who looks at it first."""
        return self._letter.to(mailbox, variables, at=at)


def read(
    composer: Composer, campaign: CampaignRecord, found: Material, *, is_trial: bool = False
) -> CampaignLetter | FieldError:
    """Read what everybody gets, or return what is wrong with it.

    Args:
        composer: makes letters.
        campaign: which.
        found: what storage has for it.
        is_trial: it is mail to those who look at it first, and no part of the campaign.
    """
    content = campaign.plan.content
    reply_to = tuple(Mailbox(name, parse_address(email)) for name, email in content.reply_to)
    letter = composer.letter(
        Mailing(
            tenant_id=campaign.tenant_id,
            tenant=found.tenant,
            from_=Mailbox(content.from_name, parse_address(content.from_email)),
            source=found.source,
            reply_to=reply_to,
            variables=content.variables,
            tracking=content.tracking,
            unsubscribe=UnsubscribeOffer(campaign.plan.audience_id),
            tags=content.tags,
            is_test=campaign.is_test,
            campaign=0 if is_trial else campaign.row,
        )
    )
    return letter if isinstance(letter, FieldError) else CampaignLetter(letter, found.fields)
