"""Signed local parts: what they survive, what is refused, when one is too old (L09, M05)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import MAX_LOCAL, parse_address
from mta.core.return_path import Flaw, Purpose, ReturnPath, decode, encode

NEW, OLD, FOREIGN = b"new secret of 20 oct", b"old secret of 20 oct", b"somebody else's, 24 oct."
DAY = date(2030, 1, 1)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PATH = ReturnPath(entry_number=4711, tenant_id=3, issued_on=DAY)
LOCAL = encode(PATH, NEW)

paths = st.builds(
    ReturnPath,
    entry_number=st.integers(0, 2**48 - 1),
    tenant_id=st.integers(0, 2**32 - 1),
    issued_on=st.dates(date(1970, 1, 1), date(2149, 6, 6)),
)


def read(
    local: str,
    *secrets: bytes,
    purpose: Purpose = Purpose.BOUNCE,
    now: datetime = NOON,
    valid_for: timedelta | None = timedelta(days=14),
) -> ReturnPath | Flaw:
    return decode(local, secrets or (NEW,), purpose=purpose, now=now, valid_for=valid_for)


def test_form() -> None:
    assert len(LOCAL) == 42 < MAX_LOCAL
    assert LOCAL.startswith("b-")
    assert LOCAL.lower() == LOCAL
    assert encode(PATH, NEW) == LOCAL, "greylisting needs the same return path at every attempt"
    assert encode(PATH, NEW, purpose=Purpose.UNSUBSCRIBE).startswith("u-")


@given(paths, st.sampled_from(Purpose))
def test_round_trip_as_an_address(path: ReturnPath, purpose: Purpose) -> None:
    local = parse_address(encode(path, NEW, purpose=purpose) + "@bounce.example.com").local
    assert read(local, purpose=purpose, valid_for=None) == path


@given(paths, st.lists(st.booleans(), min_size=42, max_size=42))
def test_any_change_of_case_is_survived(path: ReturnPath, is_upper: list[bool]) -> None:
    local = encode(path, NEW)
    mangled = "".join(
        letter.upper() if up else letter for letter, up in zip(local, is_upper, strict=True)
    )
    assert read(mangled, valid_for=None) == path


@given(paths, st.integers(0, 41), st.characters())
def test_one_other_character_is_refused(path: ReturnPath, position: int, letter: str) -> None:
    local = encode(path, NEW)
    changed = local[:position] + letter + local[position + 1 :]
    if changed.lower() != local:
        assert read(changed, valid_for=None) in {Flaw.MALFORMED, Flaw.FORGED}


@given(paths, st.integers(0, 199), st.integers(1, 2**13))
def test_flipped_bits_are_forged(path: ReturnPath, bit: int, pattern: int) -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    local = encode(path, NEW)
    number = 0
    for letter in local[2:]:
        number = number << 5 | alphabet.index(letter)
    number ^= (pattern << bit) & (1 << 200) - 1 or 1
    flipped = "".join(alphabet[number >> shift & 31] for shift in range(195, -1, -5))
    assert read(f"b-{flipped}", valid_for=None) is Flaw.FORGED


@pytest.mark.parametrize(
    ("local", "reason"),
    [
        ("", "empty"),
        ("b-", "nothing behind the letter"),
        (LOCAL[:-1], "cut at the end"),
        (LOCAL[1:], "cut at the start"),
        (LOCAL + "a", "longer"),
        (LOCAL + "\n", "a line end"),
        (LOCAL + "=", "base32 padding"),
        (LOCAL + "+tag", "a detail"),
        (f'"{LOCAL}"', "quoted: nobody has a reason to"),
        (f" {LOCAL}", "a space"),
        (LOCAL.replace("-", "+", 1), "another separator"),
        (LOCAL.replace("-", "=", 1), "another separator"),
        ("b-" + "1" * 40, "not in the alphabet"),
        ("b-" + "ſ" * 40, "upper case of this letter is S"),
        ("postmaster", "an ordinary mailbox"),
        ("SRS0=abcd=ef=example.com=" + LOCAL, "wrapped by a forwarder, who unwraps it"),
    ],
)
def test_malformed(local: str, reason: str) -> None:
    assert read(local) is Flaw.MALFORMED, reason


@pytest.mark.parametrize(("secret", "purpose"), [(FOREIGN, "b"), (NEW, "u"), (FOREIGN, "u")])
def test_purposes_and_secrets_are_apart(secret: bytes, purpose: str) -> None:
    sealed = encode(PATH, secret, purpose=Purpose(purpose))
    assert read(f"b-{sealed[2:]}") is Flaw.FORGED
    assert read(f"u-{LOCAL[2:]}", purpose=Purpose.UNSUBSCRIBE) is Flaw.FORGED
    assert read(LOCAL, purpose=Purpose.UNSUBSCRIBE) is Flaw.MALFORMED


def test_secrets_rotate() -> None:
    old = encode(PATH, OLD)
    assert read(old, NEW, OLD) == PATH
    assert read(LOCAL, NEW, OLD) == PATH
    assert read(old, NEW) is Flaw.FORGED


def test_without_a_secret_nothing_is_ours() -> None:
    assert decode(LOCAL, (), now=NOON, valid_for=None) is Flaw.FORGED


DAY_ENDS = datetime(2030, 1, 2, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("now", "valid_for", "is_expired"),
    [
        (DAY_ENDS - timedelta(seconds=1), timedelta(0), False),
        (DAY_ENDS, timedelta(0), True),
        (DAY_ENDS + WEEK - timedelta(microseconds=1), WEEK, False),
        (DAY_ENDS + WEEK, WEEK, True),
        (datetime(2030, 1, 9, 1, tzinfo=timezone(timedelta(hours=2))), WEEK, False),
        (datetime(2030, 1, 9, 2, tzinfo=timezone(timedelta(hours=2))), WEEK, True),
        (DAY_ENDS + timedelta(days=30_000), None, False),
        (NOON - timedelta(days=400), WEEK, False),  # our clock was wrong once
        (DAY_ENDS, timedelta.max, False),
    ],
)
def test_expiry(now: datetime, valid_for: timedelta | None, is_expired: bool) -> None:
    expected = Flaw.EXPIRED if is_expired else PATH
    assert read(LOCAL, now=now, valid_for=valid_for) == expected


def test_a_forged_one_is_never_called_expired() -> None:
    old = encode(ReturnPath(1, 1, date(1999, 1, 1)), FOREIGN)
    assert read(old) is Flaw.FORGED


@given(st.text(max_size=80) | st.from_regex(r"[bu]-[a-z2-7]{40}", fullmatch=True))
def test_any_text_has_an_answer(text: str) -> None:
    assert read(text) in {Flaw.MALFORMED, Flaw.FORGED}


@pytest.mark.parametrize(
    "path",
    [
        ReturnPath(-1, 0, DAY),
        ReturnPath(2**48, 0, DAY),
        ReturnPath(0, -1, DAY),
        ReturnPath(0, 2**32, DAY),
        ReturnPath(0, 0, date(1969, 12, 31)),
        ReturnPath(0, 0, date(2149, 6, 7)),
    ],
)
def test_out_of_range(path: ReturnPath) -> None:
    with pytest.raises(ValueError, match="outside the range"):
        encode(path, NEW)


def test_short_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        encode(PATH, b"short")
