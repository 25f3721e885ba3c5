"""What steps do, inside the transaction that moves their runs on: mails, tags, audiences, waits.

Each gives a Move: on to the next step, or the end of a run whose step cannot be done. Mail that
somebody does not want, or cannot get, is left out, and the run goes on. Not here: reading and
composing before (automation_work.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

from control_api.automation_jobs import Job
from control_api.automation_mail import Mails, audience_of
from mta.core.automation import ChangeTags, Post, Send, Transfer, Wait
from mta.core.automation_plan import Place, wait_until
from mta.core.contact import Status
from mta.core.frozen import frozen
from mta.core.submission import Submission
from storage import audiences, contacts, joining, memberships, suppressions, unsubscribes
from storage.audiences import AudienceRecord
from storage.automation_runs import Done, Move, RunState
from storage.automations import AutomationRecord
from storage.contacts import NewContact
from storage.credits import InsufficientCredits
from storage.database import Connection
from storage.joining import Joiner
from storage.submissions import AcceptedEmail, AcceptPolicy, DomainNotAllowed, Wish, accept_all

DONE, SKIPPED, FAILED, RETRYING = "done", "skipped", "failed", "retrying"
"""Results of steps."""
_TYPES = {Send: "send", Wait: "wait", ChangeTags: "tag", Post: "webhook"}


@frozen
class Ended:
    """How a step ended.

    Attributes:
        result: DONE, SKIPPED or FAILED.
        detail: why; "" when there is nothing to say.
        email_id: "em_..." that is in the queue now, or was suppressed on its way; "" for none.
    """

    result: str = DONE
    detail: str = ""
    email_id: str = ""


@frozen
class Actor:
    """Acts for runs of one automation.

    Attributes:
        automation: which.
        mails: what was composed.
        policy: what the operator demands of mail.
        now: aware, UTC.
    """

    automation: AutomationRecord
    mails: Mails
    policy: AcceptPolicy
    now: datetime

    def is_ready(self, job: Job) -> bool:
        """Tell whether a run has the mail that is next for it; without one it stays due."""
        return job.send is None or job.run.row in self.mails.by_run

    def accept(self, connection: Connection, jobs: Sequence[Job]) -> Mapping[int, Ended]:
        """Accept the mails of those who may get them; return what came of it by row of the run."""
        found: dict[int, Ended] = {}
        wishes: dict[int, Wish] = {}
        for job, send in ((job, job.send) for job in jobs):
            if send is None:
                continue
            made = self.mails.by_run[job.run.row]
            if reason := self._objection(connection, job, send):
                found[job.run.row] = Ended(SKIPPED, reason)
            elif isinstance(made, Submission):
                wishes[job.run.row] = Wish(made, self.policy)
            else:
                first = made[0]
                found[job.run.row] = Ended(FAILED, f"{first.code}: {first.field} {first.message}")
        acceptances = accept_all(connection, list(wishes.values()), now=self.now)
        for row, acceptance in zip(wishes, acceptances, strict=True):
            match acceptance:
                case AcceptedEmail(status="suppressed"):
                    found[row] = Ended(SKIPPED, "suppressed", acceptance.public_id)
                case AcceptedEmail():
                    found[row] = Ended(email_id=acceptance.public_id)
                case DomainNotAllowed():
                    found[row] = Ended(FAILED, f"domain_not_verified: {acceptance.domain}")
                case InsufficientCredits():
                    found[row] = Ended(FAILED, "insufficient_credits")
                case other:
                    assert_never(other)
        return found

    def _objection(self, connection: Connection, job: Job, send: Send) -> str:
        """Return why somebody is not sent a mail; "" when nothing is against it."""
        tenant_id, key = self.automation.tenant_id, job.person.contact.key
        if reason := suppressions.lookup(connection, tenant_id, [key], self.now).get(key):
            return f"suppressed: {reason}"
        audience_id = audience_of(job, send)
        if not send.is_marketing or not audience_id:
            return ""
        if reason := unsubscribes.lookup(connection, tenant_id, audience_id, [key]).get(key):
            return f"suppressed: {reason}"
        audience = audiences.get(connection, tenant_id, audience_id)
        if audience is None:
            return "not_a_member"
        member = memberships.get(connection, audience.row, job.run.contact_row)
        if member is None:
            return "not_a_member"
        return "" if member.status is Status.SUBSCRIBED else member.status.value

    def move(
        self, connection: Connection, job: Job, place: Place, accepted: Mapping[int, Ended]
    ) -> Move:
        """Do what is next for a run; return where it is then."""
        effect, due_at = place.effect, self.now
        match effect:
            case Post():
                return Move(job.run, place.position, self.now, posts=True)
            case Wait():
                ended, due_at = Ended(), wait_until(effect, self.now)
            case Send():
                ended = accepted[job.run.row]
            case ChangeTags():
                ended = self._change_tags(connection, job, effect)
            case Transfer():
                ended = self._transfer(connection, job, effect)
            case other:
                assert_never(other)
        return moved(job, place, ended, due_at)

    def _change_tags(self, connection: Connection, job: Job, step: ChangeTags) -> Ended:
        tenant_id, row = self.automation.tenant_id, job.run.contact_row
        if step.added:
            contacts.add_tags(connection, tenant_id, row, step.added, now=self.now)
        if step.removed:
            contacts.remove_tags(connection, tenant_id, row, step.removed, now=self.now)
        return Ended()

    def _transfer(self, connection: Connection, job: Job, step: Transfer) -> Ended:
        """Let the contact join, with the status and the values that it has where it comes from."""
        tenant_id, contact = self.automation.tenant_id, job.person.contact
        target = audiences.get(connection, tenant_id, step.target)
        source = audiences.get(connection, tenant_id, step.source) if step.source else None
        if target is None or (step.source and source is None):
            return Ended(FAILED, "not_found: There is no such audience.")
        old = memberships.get(connection, source.row, contact.row) if source else None
        if source is not None and old is None:
            return Ended(SKIPPED, "not_a_member")
        known = audiences.fields(connection, target.row)
        joiner = Joiner(
            NewContact(contact.key, contact.email),
            old.status if old else Status.SUBSCRIBED,
            {tag: value for tag, value in old.values.items() if tag in known} if old else {},
        )
        self._join(connection, target, joiner)
        if old is not None:
            memberships.remove(connection, old.row)
        return Ended()

    def _join(self, connection: Connection, target: AudienceRecord, joiner: Joiner) -> None:
        tenant_id = self.automation.tenant_id
        joining.join(connection, tenant_id, target, [joiner], now=self.now)


def moved(job: Job, place: Place, ended: Ended, due_at: datetime) -> Move:
    """Return where a run is behind a step that has ended so: at the next one, or at its end."""
    done = Done(place.path, type_of(place), ended.result, ended.detail, ended.email_id)
    if ended.result == FAILED:
        reason = f"{place.path}: {ended.detail}"
        return Move(job.run, place.position, None, RunState.FAILED, reason, done=done)
    return Move(job.run, place.position + 1, due_at, done=done)


def type_of(place: Place) -> str:
    """Return what the author calls a step."""
    effect = place.effect
    if isinstance(effect, Transfer):
        return "move" if effect.source else "copy"
    return _TYPES[type(effect)]
