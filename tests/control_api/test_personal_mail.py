"""Letters to many: what goes wrong with one of them, and with none of the others."""

from __future__ import annotations

import os

import pytest

from control_api.errors import FieldError
from control_api.personal_mail import Composer, Mailing
from mta.core.address import parse_address
from mta.core.mime import Mailbox
from mta.core.submission import Submission
from mta.core.template import Source
from tests.control_api.conftest import Api

ANT, BEE, ELK = (
    Mailbox("", parse_address(f"{name}@example.net")) for name in ("ant", "bee", "elk")
)
MAILING = Mailing(
    tenant_id=1,
    tenant="default",
    from_=Mailbox("News", parse_address("news@sender.example")),
    source=Source("Hello", text="Hi"),
)


class Dice:
    """Entropy that comes to an end for a moment."""

    def __init__(self, *, fails_at: int) -> None:
        self._left = fails_at

    def __call__(self, size: int) -> bytes:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("nobody expected this")
        return os.urandom(size)


def composer(api: Api, dice: Dice) -> Composer:
    return Composer(api.settings, api.tracker, api.database.spool, now=api.clock, entropy=dice)


def test_an_unexpected_error_keeps_one_person_from_the_letter(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    letter = composer(api, Dice(fails_at=3)).letter(MAILING)
    assert not isinstance(letter, FieldError)
    first, second, third = [letter.to(one, {}) for one in (ANT, BEE, ELK)]
    assert isinstance(first, Submission)
    assert isinstance(second, tuple)
    assert [one.code for one in second] == ["internal_error"]
    assert isinstance(third, Submission)
    assert "bee@example.net" in caplog.text
    assert "nobody expected this" in caplog.text


def test_an_unexpected_error_of_a_whole_letter_is_told_as_one_that_is_wrong(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    found = composer(api, Dice(fails_at=1)).letter(MAILING)
    assert isinstance(found, FieldError)
    assert found.code == "internal_error"
    assert "nobody expected this" in caplog.text
