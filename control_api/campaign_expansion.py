"""Sends campaigns: one background task gives everybody a turn, some hundred at a time.

A step reads whose turn it is, composes in a thread, and accepts in one transaction that moves the
campaign's place: killed anywhere, nobody is left out and nobody has two turns. No step is made
while enough of the campaign waits for its first attempt, so that the queue stays short, a pause has
little to hold, and transactional mail little to pass. Campaigns take steps by turns.

Not here: requests (campaigns.py), letters (campaign_letter.py), turns (storage/campaign_turns.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from control_api import campaign_letter
from control_api.campaign_letter import CampaignLetter, Material
from control_api.campaign_work import work_off
from control_api.errors import FieldError
from control_api.personal_mail import UNEXPECTED, Composer
from control_api.submissions import discard
from mta.core.campaign import Action, Brakes, CampaignStatus, Todo, is_allowed
from mta.core.contact import Status
from mta.core.submission import Submission
from storage import (
    campaign_counts,
    campaign_moves,
    campaign_queue,
    campaign_turns,
    campaigns,
    faults,
    stats,
)
from storage.campaign_turns import Made, Skip, Taken, Turn, Turns
from storage.campaigns import CampaignRecord
from storage.credits import InsufficientCredits
from storage.database import Connection, Database
from storage.errors import STORAGE_TROUBLE, StorageFull, StorageUnavailable
from storage.memberships import MemberRecord
from storage.submissions import DomainNotAllowed

STEP = 250
"""Turns in one transaction."""
MAX_DEPTH = 2_000
"""Emails of one campaign that wait for their first attempt before nobody has a turn any more."""
OLD = timedelta(minutes=5)
"""Age from which they do not count: their site is down."""
SHORT, CHECK, LONG = 0.05, 1.0, 60.0
"""Seconds to wait: for the queue to get shorter, between looks at rates and ends, for news."""
_REASONS = {
    DomainNotAllowed: "domain_not_verified",
    InsufficientCredits: "insufficient_credits",
}
"""Why a campaign pauses, for what keeps its mail from being accepted."""
TROUBLE = 5.0
"""Seconds to wait while storage has trouble."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    """The letter of a campaign, good until that is changed."""

    updated_at: datetime
    letter: CampaignLetter


class CampaignSender:
    """The background task."""

    def __init__(
        self,
        database: Database,
        composer: Composer,
        *,
        brakes: Brakes,
        now: Callable[[], datetime],
        on_accepted: Callable[[], object],
        on_events: Callable[[], object],
    ) -> None:
        """Take the collaborators.

        Args:
            database: where campaigns and the queue are.
            composer: makes letters.
            brakes: when a campaign pauses itself.
            now: the current time (aware, UTC).
            on_accepted: called after each commit that gives the engine work.
            on_events: called when the journal has grown.
        """
        self._database = database
        self._composer = composer
        self._brakes = brakes
        self._now = now
        self._on_accepted = on_accepted
        self._on_events = on_events
        self._news = asyncio.Event()
        self._letters: dict[int, _Kept] = {}
        self._checked: dict[int, float] = {}

    def kick(self) -> None:
        """Look soon: a campaign is to begin, or to go on."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self._work()
            except (StorageFull, StorageUnavailable):
                await asyncio.sleep(TROUBLE)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        swept_at = float("-inf")
        while True:
            if loop.time() - swept_at > LONG:
                swept_at = loop.time()
                await self.sweep()
            self._news.clear()
            wait = await self.advance()
            if wait:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._news.wait()

    async def sweep(self) -> None:
        """Go on with holding, releasing and canceling that a crash or a full disk interrupted."""
        for row, todo in await self._database.read(campaign_queue.unfinished):
            await work_off(self._database, row, todo, self._now)
            self._on_accepted()

    async def advance(self) -> float:
        """Let each campaign take a step; return how long to wait then, in seconds."""
        wait = LONG
        at_work = await self._database.read(campaigns.at_work)
        for campaign in at_work:
            wait = min(wait, await self._advance_one(campaign))
        for row in self._letters.keys() - {one.row for one in at_work}:
            del self._letters[row]
            self._checked.pop(row, None)
        return wait

    async def _advance_one(self, campaign: CampaignRecord) -> float:
        """Let one take a step; where we fail at it, it is paused, and the others go on."""
        try:
            if campaign.status is CampaignStatus.SCHEDULED:
                return await self._start_if_due(campaign)
            return await self._go_on(campaign)
        except STORAGE_TROUBLE:
            raise
        except Exception:
            logger.exception("campaign %s", campaign.id)
            await self._pause(campaign, UNEXPECTED.code)
            return LONG

    async def _start_if_due(self, campaign: CampaignRecord) -> float:
        due = campaign.plan.send_at or campaign.created_at
        seconds = (due - self._now()).total_seconds()
        if seconds > 0:
            return min(seconds, LONG)
        found = await self._database.read(lambda db: campaign_letter.material(db, campaign))
        if isinstance(found, FieldError):
            await self._pause(campaign, found.code)
            return LONG
        takes_credits = self._composer.policy.takes_credits
        await self._database.write(
            partial(
                _start, campaign=campaign, found=found, now=self._now(), takes_credits=takes_credits
            )
        )
        self._on_events()
        return 0.0

    # A campaign that is being sent.

    async def _go_on(self, campaign: CampaignRecord) -> float:
        clock = asyncio.get_running_loop().time()
        if clock - self._checked.get(campaign.row, 0.0) > CHECK:
            self._checked[campaign.row] = clock
            if await self._is_braked(campaign):
                return LONG
        if campaign.is_expanded:
            return await self._complete(campaign)
        since = self._now() - OLD
        depth = await self._database.read(
            lambda db: campaign_queue.depth(db, campaign.row, since=since, limit=MAX_DEPTH)
        )
        if depth >= MAX_DEPTH:
            return SHORT
        await self._step(campaign)
        return 0.0

    async def _is_braked(self, campaign: CampaignRecord) -> bool:
        """Pause a campaign whose rates are over the limits."""
        await stats.catch_up(self._database)
        if campaign.is_unbraked:
            return False
        counts, _ = await self._database.read(lambda db: campaign_counts.counts(db, campaign))
        reason = self._brakes.reason(counts)
        if reason:
            await self._pause(campaign, reason)
        return bool(reason)

    async def _complete(self, campaign: CampaignRecord) -> float:
        """End a campaign of which nothing waits for its first attempt any more."""
        if await self._database.read(lambda db: campaign_queue.has_untried(db, campaign.row)):
            return CHECK
        await self._database.write(partial(_complete, campaign=campaign, now=self._now()))
        self._on_events()
        return LONG

    async def _step(self, campaign: CampaignRecord) -> None:
        letter = await self._letter(campaign)
        if isinstance(letter, FieldError):
            await self._pause(campaign, letter.code)
            return
        now = self._now()
        turns = await self._database.read(
            lambda db: campaign_turns.next_turns(db, campaign, limit=STEP)
        )
        turns, made, skips = await asyncio.to_thread(
            _compose, self._composer, letter, campaign, turns, now
        )
        if _is_our_fault(made, skips):
            await self._after(campaign, made, None)
            await self._pause(campaign, UNEXPECTED.code)
            return
        self._database.require_room(sum(one.submission.message.size for one in made))
        taken = await self._database.write(
            lambda db: campaign_turns.take(
                db, campaign, turns, made, skips, policy=self._composer.policy, now=now
            )
        )
        await self._after(campaign, made, taken)

    async def _after(self, campaign: CampaignRecord, made: list[Made], taken: Taken | None) -> None:
        """Wake the engine; take what was not accepted out of the spool."""
        accepted = taken.accepted if taken else frozenset()
        if accepted:
            faults.reach("after_accept")
            self._on_accepted()
        unused = [
            one.submission
            for one in made
            if one.submission.message.file and one.submission.public_id not in accepted
        ]
        if unused:
            await asyncio.to_thread(discard, unused, self._database.spool)
        if taken is not None and taken.refusal is not None:
            await self._pause(campaign, _REASONS[type(taken.refusal)])

    async def _letter(self, campaign: CampaignRecord) -> CampaignLetter | FieldError:
        kept = self._letters.get(campaign.row)
        if kept is not None and kept.updated_at == campaign.updated_at:
            return kept.letter
        found = await self._database.read(lambda db: campaign_letter.material(db, campaign))
        if isinstance(found, FieldError):
            return found
        letter = await asyncio.to_thread(campaign_letter.read, self._composer, campaign, found)
        if isinstance(letter, CampaignLetter):
            self._letters[campaign.row] = _Kept(campaign.updated_at, letter)
        return letter

    async def _pause(self, campaign: CampaignRecord, reason: str) -> None:
        now = self._now()
        await self._database.write(partial(_pause, campaign=campaign, reason=reason, now=now))
        self._on_events()
        await work_off(self._database, campaign.row, Todo.HOLD, self._now)
        self._on_accepted()


def _compose(
    composer: Composer,
    letter: CampaignLetter,
    campaign: CampaignRecord,
    turns: Turns,
    now: datetime,
) -> tuple[Turns, list[Made], list[Skip]]:
    """Compose for as many as there is time for; return whose turn it was then."""
    had: list[Turn] = []
    made: list[Made] = []
    skips: list[Skip] = []
    for turn in composer.in_turn(turns.turns):
        had.append(turn)
        skip = _why_not(campaign, turn)
        if skip is not None:
            skips += [skip] if skip.reason else []
            continue
        found = letter.to(turn, now)
        if isinstance(found, Submission):
            made.append(Made(turn.place, turn.person.key, found))
        else:
            skips.append(_skip(turn, found))
    if len(had) < len(turns.turns):
        turns = Turns(tuple(had), had[-1].place, is_last=False)
    return turns, made, skips


def _is_our_fault(made: list[Made], skips: list[Skip]) -> bool:
    """Tell whether most letters failed for no fault of theirs: they can be made another time."""
    return sum(one.reason == UNEXPECTED.code for one in skips) > len(made)


def _why_not(campaign: CampaignRecord, turn: Turn) -> Skip | None:
    """Return a skip for members who are not subscribed; one without a reason is of no account.

    Whoever left before the campaign started was never among its recipients.
    """
    person = turn.person
    if not isinstance(person, MemberRecord) or person.status is Status.SUBSCRIBED:
        return None
    has_left = campaign.started_at is not None and person.status_at >= campaign.started_at
    return Skip(turn.place, person.email, person.status.value if has_left else "")


def _skip(turn: Turn, errors: tuple[FieldError, ...]) -> Skip:
    first = errors[0]
    if first.code == "missing_variable":
        detail = f"The template needs a value for {', '.join(one.field for one in errors)}."
    else:
        detail = f"{first.field}: {first.message}" if first.field else first.message
    return Skip(turn.place, turn.person.email, first.code, detail[:500])


def _is_current(
    connection: Connection, campaign: CampaignRecord, action: Action
) -> CampaignRecord | None:
    current = campaigns.by_row(connection, campaign.row)
    return current if current is not None and is_allowed(action, current.status) else None


def _start(
    connection: Connection,
    *,
    campaign: CampaignRecord,
    found: Material,
    now: datetime,
    takes_credits: bool,
) -> None:
    current = campaigns.by_row(connection, campaign.row)
    if current is None or current.status is not CampaignStatus.SCHEDULED:
        return
    if takes_credits and campaign_moves.reserve(connection, current, now=now):
        campaign_moves.pause(connection, current, _REASONS[InsufficientCredits], now=now)
    else:
        campaign_moves.start(connection, current, found.template_version, now=now)


def _pause(connection: Connection, *, campaign: CampaignRecord, reason: str, now: datetime) -> None:
    current = _is_current(connection, campaign, Action.PAUSE)
    if current is not None:
        campaign_moves.pause(connection, current, reason, now=now)


def _complete(connection: Connection, *, campaign: CampaignRecord, now: datetime) -> None:
    current = _is_current(connection, campaign, Action.COMPLETE)
    if current is not None:
        campaign_moves.complete(connection, current, now=now)
