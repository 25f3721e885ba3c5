"""The states of campaigns, and when one pauses itself."""

from __future__ import annotations

import pytest

from mta.core.campaign import Action, Brakes, CampaignStatus, Counts, is_allowed

BRAKES = Brakes(max_bounce_rate=0.1, max_complaint_rate=0.01, min_settled=100)


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        (Action.SEND, {"draft"}),
        (Action.PAUSE, {"scheduled", "sending"}),
        (Action.RESUME, {"paused"}),
        (Action.CANCEL, {"scheduled", "sending", "paused"}),
        (Action.COMPLETE, {"sending"}),
        (Action.EDIT, {"draft", "scheduled", "paused"}),
        (Action.DELETE, {"draft", "paused", "completed", "canceled"}),
    ],
)
def test_actions_by_status(action: Action, allowed: set[str]) -> None:
    assert {one.value for one in CampaignStatus if is_allowed(action, one)} == allowed


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (Counts(), ""),
        (Counts(sent=99, bounced=99), ""),
        (Counts(sent=100, delivered=90, bounced=10), ""),
        (Counts(sent=100, delivered=89, bounced=11), "bounce_rate"),
        (Counts(sent=100, delivered=89, bounced=5, failed=6), "bounce_rate"),
        (Counts(sent=200, delivered=200, complained=2), ""),
        (Counts(sent=200, delivered=200, complained=3), "complaint_rate"),
        (Counts(sent=200, delivered=0, bounced=0, failed=0, complained=1), "complaint_rate"),
    ],
)
def test_brakes(counts: Counts, reason: str) -> None:
    assert BRAKES.reason(counts) == reason
