"""Random histories of campaigns: nobody gets two mails, and the queue does what the status says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from mta.core.campaign import Action, CampaignStatus, Content, Todo, is_allowed
from mta.core.contact import Status
from mta.core.disposition import Why
from mta.core.envelope import Priority
from storage import (
    audiences,
    campaign_counts,
    campaign_moves,
    campaign_people,
    campaign_queue,
    campaign_turns,
    campaigns,
    credit_ledger,
    joining,
    membership_status,
    memberships,
    queue,
)
from storage.audiences import AudienceRecord, Identity
from storage.campaign_turns import Made, Skip, Turns
from storage.campaigns import CampaignRecord, Plan, Recipient
from storage.contacts import NewContact
from storage.credit_ledger import Movement
from storage.credits import InsufficientCredits, account
from storage.database import Connection
from storage.entries import EntryState
from storage.joining import Joiner
from storage.memberships import MemberFilter, MemberRecord
from storage.submissions import AcceptPolicy
from tests.storage.builders import NOW, OUTCOMES, claim, settlement, submission
from tests.storage.test_stats import count_up
from tests.storage.test_stats_invariant import undone

PAID = AcceptPolicy(require_verified_domain=False, takes_credits=True)
PEOPLE = 8
STEP = timedelta(minutes=5)
SENDER = Content("News", "news@sender.example", subject="x", text="x")

Walk = tuple[int, Todo, campaign_queue.Place]


@dataclass
class Desk:
    """Two campaigns with one key, the first to an audience, the second to given people.

    Attributes:
        campaigns: their row numbers.
        walks: what is being done, step by step, to what campaigns have in the queue.
        read: turns that were read and have not been taken.
    """

    connection: Connection
    audience: AudienceRecord
    campaigns: tuple[int, ...]
    now: datetime = NOW
    walks: list[Walk] = field(default_factory=list)
    read: list[tuple[CampaignRecord, Turns]] = field(default_factory=list)
    claimed: list[queue.QueuedEntry] = field(default_factory=list)

    def one(self, choice: int) -> CampaignRecord:
        return campaigns.renewed(self.connection, self.campaigns[choice % 2])

    def states(self, campaign: CampaignRecord) -> Counter[EntryState]:
        found = self.connection.execute(
            "SELECT e.state, e.wish, COUNT(*) FROM entries e JOIN messages m ON m.id = e.message_id"
            " WHERE m.campaign = ? GROUP BY 1, 2",
            (campaign.row,),
        )
        counted: Counter[EntryState] = Counter()
        for state, wish, number in found:  # what is claimed counts as what it is going to be
            is_wished = state == EntryState.CLAIMED and wish is not None
            counted[EntryState(wish if is_wished else state)] += number
        return counted

    def check(self) -> None:
        count_up(self.connection)
        for row in self.campaigns:
            self._check(campaigns.renewed(self.connection, row))
        self._check_people()
        found = account(self.connection, 1)
        assert found == credit_ledger.summed(self.connection, 1)
        assert 0 <= found.reserved <= found.balance

    def _check(self, campaign: CampaignRecord) -> None:
        states = self.states(campaign)
        is_open = sum(number for state, number in states.items() if not state.is_final)
        counts, _ = campaign_counts.counts(self.connection, campaign)
        assert campaign.accepted == states.total()
        wished = states[EntryState.CANCELED] - counts.canceled  # of what is claimed
        assert counts.queued == is_open + wished
        assert counts.sent + counts.canceled + counts.queued == campaign.accepted
        skipped = campaign_people.skipped(self.connection, campaign, limit=100)
        assert campaign.skipped == len(skipped)
        if campaign.status is CampaignStatus.COMPLETED:
            assert campaign.total == campaign.accepted + campaign.skipped
            assert campaign.is_expanded
        self._check_queue(campaign, states)

    def _check_queue(self, campaign: CampaignRecord, states: Mapping[EntryState, int]) -> None:
        """Unless a walk is still under way, the queue is as the status wants it."""
        [(todo,)] = self.connection.execute(
            "SELECT todo FROM campaigns WHERE id = ?", (campaign.row,)
        ).fetchall()
        if todo:
            return
        goes = states[EntryState.WAITING] + states[EntryState.CLAIMED]
        held = states[EntryState.HELD]
        match campaign.status:
            case CampaignStatus.PAUSED:
                assert goes == 0
            case CampaignStatus.CANCELED:
                assert (goes, held) == (0, 0)
            case _:
                assert held == 0

    def _check_people(self) -> None:
        """Both campaigns have one key, so that nobody gets two mails of them."""
        found = self.connection.execute("SELECT recipient, COUNT(*) FROM entries GROUP BY 1")
        assert all(number == 1 for _, number in found)

    def move(self, choice: int, action: Action, move: Callable[..., object], todo: Todo) -> None:
        campaign = self.one(choice)
        if campaign.started_at is not None and is_allowed(action, campaign.status):
            move(self.connection, campaign, now=self.now)
            self.walks.append((campaign.row, todo, campaign_queue.START))


def send(desk: Desk, choice: int) -> None:
    campaign = desk.one(choice)
    if not is_allowed(Action.SEND, campaign.status):
        return
    if campaign_moves.reserve(desk.connection, campaign, now=desk.now) is None:
        campaign_moves.start(desk.connection, campaign, None, now=desk.now)


def read(desk: Desk, choice: int) -> None:
    campaign = desk.one(choice)
    if campaign.status is CampaignStatus.SENDING and not campaign.is_expanded:
        turns = campaign_turns.next_turns(desk.connection, campaign, limit=1 + choice // 2)
        desk.read.append((campaign, turns))


def take(desk: Desk, choice: int) -> None:
    """Take turns that were read, perhaps long ago; every third person's letter cannot be made."""
    if not desk.read:
        return
    campaign, turns = desk.read.pop(choice % len(desk.read))
    made, skips = [], []
    for turn in turns.turns:
        person = turn.person
        if isinstance(person, MemberRecord) and person.status is not Status.SUBSCRIBED:
            continue
        if person.key.startswith("p3"):
            skips.append(Skip(turn.place, person.email, "missing_variable"))
        else:
            mail = submission(person.email, campaign=campaign.row, priority=Priority.BULK)
            made.append(Made(turn.place, person.key, mail))
    taken = campaign_turns.take(
        desk.connection, campaign, turns, made, skips, policy=PAID, now=desk.now
    )
    if taken is not None and isinstance(taken.refusal, InsufficientCredits):
        pause(desk, desk.campaigns.index(campaign.row))


def work(desk: Desk, choice: int) -> None:
    """Take some steps of the walks that are under way, by turns."""
    for _ in range(choice + 1):
        if not desk.walks:
            return
        row, todo, place = desk.walks.pop(choice % len(desk.walks))
        found = campaign_queue.work_off(desk.connection, row, todo, place, now=desk.now, limit=2)
        if found is not None:
            desk.walks.append((row, todo, found))


def crash(desk: Desk, choice: int) -> None:
    """The service dies, and begins anew."""
    desk.walks = [
        (row, todo, campaign_queue.START)
        for row, todo in campaign_queue.unfinished(desk.connection)
    ]
    desk.read, desk.claimed = [], []
    queue.free_claims(desk.connection, desk.now)


def pause(desk: Desk, choice: int) -> None:
    def move(connection: Connection, campaign: CampaignRecord, *, now: datetime) -> None:
        campaign_moves.pause(connection, campaign, "requested", now=now)

    desk.move(choice, Action.PAUSE, move, Todo.HOLD)


def resume(desk: Desk, choice: int) -> None:
    desk.move(choice, Action.RESUME, campaign_moves.resume, Todo.RELEASE)


def cancel(desk: Desk, choice: int) -> None:
    if choice == 0:
        desk.move(choice, Action.CANCEL, campaign_moves.cancel, Todo.CANCEL)


def complete(desk: Desk, choice: int) -> None:
    campaign = desk.one(choice)
    is_over = campaign.is_expanded and is_allowed(Action.COMPLETE, campaign.status)
    if is_over and not campaign_queue.has_untried(desk.connection, campaign.row):
        campaign_moves.complete(desk.connection, campaign, now=desk.now)


def fetch(desk: Desk, choice: int) -> None:
    desk.claimed += claim(desk.connection, limit=choice + 1, at=desk.now)


def settle(desk: Desk, choice: int) -> None:
    entries, desk.claimed = desk.claimed, []
    if choice == len(OUTCOMES):
        back = [one.id for one in entries]
        queue.give_back(desk.connection, back, due_at=desk.now, why=Why.SITE_BUSY)
    else:
        result = tuple(OUTCOMES)[choice % len(OUTCOMES)]
        queue.settle(desk.connection, [settlement(one, result) for one in entries])


def join(desk: Desk, choice: int) -> None:
    address = f"p{choice + PEOPLE}@example.net"
    joining.join(
        desk.connection, 1, desk.audience, [Joiner(NewContact(address, address))], now=desk.now
    )


def leave(desk: Desk, choice: int) -> None:
    members = memberships.members_after(
        desk.connection, desk.audience.row, 0, 100, MemberFilter(Status.SUBSCRIBED)
    )
    if members:
        member = members[choice % len(members)]
        status = Status.UNSUBSCRIBED
        membership_status.set_status(desk.connection, member.row, status, now=desk.now)
        campaign_queue.cancel_for(desk.connection, 1, member.email, now=desk.now)


STEPS: tuple[Callable[[Desk, int], None], ...] = (
    *(send, send, read, read, take, take, take, work, work, work, crash, pause, pause, resume),
    *(resume, cancel, complete, fetch, fetch, settle, settle, join, leave),
)
MOVES = st.tuples(st.sampled_from(STEPS), st.integers(0, 5))


def opened(connection: Connection, money: int) -> Desk:
    credit_ledger.adjust(connection, 1, money, kind=Movement.ADJUST, description="", now=NOW)
    audience = audiences.create(connection, 1, Identity("news"), now=NOW)
    people = [f"p{number}@example.net" for number in range(PEOPLE)]
    members = [Joiner(NewContact(one, one)) for one in people]
    joining.join(connection, 1, audience, members, now=NOW)
    first = Plan("a", SENDER, audience.row, audience.id, once_key="k")
    second = Plan("b", SENDER, once_key="k")
    rows = [
        campaigns.create(connection, 1, first, is_test=False, now=NOW).row,
        campaigns.create(
            connection,
            1,
            second,
            [Recipient(one, one, "", {}) for one in people[4:]],
            is_test=False,
            now=NOW,
        ).row,
    ]
    return Desk(connection, audience, tuple(rows))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    money=st.integers(1, 30),
    begun=st.integers(0, 5),
    moves=st.lists(MOVES, min_size=10, max_size=50),
)
def test_nobody_gets_two_and_the_queue_follows(
    connection: Connection,
    money: int,
    begun: int,
    moves: list[tuple[Callable[[Desk, int], None], int]],
) -> None:
    with undone(connection):
        desk = opened(connection, money)
        for step, choice in [(send, begun), (read, begun), (take, 0), *moves]:
            desk.now += STEP
            note(f"{step.__name__} {choice}")
            step(desk, choice)
            desk.check()


def test_what_was_resumed_and_paused_again_is_held_from_the_start(connection: Connection) -> None:
    desk = opened(connection, 30)
    for step, choice in [(send, 0), (read, 4), (take, 0), (pause, 0), (work, 0)]:
        step(desk, choice)
    assert desk.states(desk.one(0)) == {EntryState.HELD: 2, EntryState.WAITING: 1}
    [first] = desk.walks
    desk.now += STEP
    resume(desk, 0)
    desk.walks.remove(first)
    work(desk, 0)
    desk.now += STEP
    pause(desk, 0)
    desk.walks = [first]  # goes on before the others do
    work(desk, 9)
    assert desk.states(desk.one(0)) == {EntryState.HELD: 3}
