"""What a refusal says of an address, by the operator's own rules."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from config import bounce_rules
from config.loader import SettingsError
from mta.core.bounce_rules import Classifier
from mta.core.disposition import Delivered, Disposition, Quarantined
from mta.core.outcome import Accepted, Attempt, Command, Outcome, Peer, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.retry import RetrySchedule
from mta.settling import NO_RULES, Result, Settler, SettlingRules
from mta.telling import NOBODY, TellingRules
from mta.timetable import Timetable
from storage.queue import ClaimRequest, Settlement
from tests.storage.builders import NOW
from tests.support.fake_engine_store import FakeEngineStore

GONE = Refused(Reply(550, "5.1.1", "the elk has left the building"), Command.RCPT)
OWN = """
[[rule]]
id = "elk"
class = "bad_mailbox"
match = ["the elk has left"]
hard = false
"""


class Store(FakeEngineStore):
    """Keeps settlements as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Settlement] = []

    async def settle(self, settlements: Any) -> None:
        self.got += settlements


async def settled(
    outcome: Outcome, classifier: Classifier = NO_RULES, telling: TellingRules = NOBODY
) -> Settlement:
    store: Any = Store()
    store.add("ant@a.test", now=NOW)
    claim = await store.claim([ClaimRequest("a.test", 1)], NOW)
    rules = SettlingRules(RetrySchedule(), classifier, telling)
    settler = Settler(store, Timetable(), rules, Random(1))
    [claimed] = claim.messages
    attempt = Attempt(outcome, Peer(), NOW, NOW)
    await settler.settle([Result(claimed.message, claimed.entries[0], attempt)])
    [settlement] = store.got
    assert isinstance(settlement, Settlement)
    return settlement


async def test_by_its_class() -> None:
    assert (await settled(GONE)).is_hard
    assert not (await settled(Accepted(Reply(250, "", "ok")))).is_hard
    assert not (await settled(Refused(Reply(450, "4.1.1", ""), Command.RCPT))).is_hard
    lost = Unreachable(Stage.ROUTE, "no such name", is_permanent=True, enhanced="5.1.2")
    assert (await settled(lost)).is_hard


async def test_a_rule_of_the_operator_has_the_last_word(tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(OWN)
    assert not (await settled(GONE, bounce_rules.load(own))).is_hard


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(OWN.replace("bad_mailbox", "nonsense"))
    with pytest.raises(SettingsError, match=r"rules\.toml"):
        bounce_rules.load(own)


@pytest.mark.parametrize(
    ("outcome", "fate"), [(GONE, Quarantined()), (Accepted(Reply(250, "", "ok")), Delivered())]
)
async def test_an_attempt_that_we_fail_to_judge_is_written_down_all_the_same(
    outcome: Outcome, fate: Disposition, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(TellingRules):
        def wish(self, *_: object, **__: object) -> str:
            raise ZeroDivisionError

    found = await settled(outcome, telling=Broken())
    assert (found.disposition, found.attempts) == (fate, 1)
    assert "ZeroDivisionError" in caplog.text
