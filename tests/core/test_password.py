from __future__ import annotations

import pytest

from mta.core import password
from mta.core.password import DECOY, hash_password, is_outdated, is_password, problem_of

SALT = b"0123456789abcdef"
GOOD = "correct horse battery"


def test_what_is_stored_is_the_common_text_form() -> None:
    stored = hash_password(GOOD, SALT)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$")
    assert GOOD not in stored


def test_only_the_password_matches() -> None:
    stored = hash_password(GOOD, SALT)
    assert is_password(GOOD, stored)
    assert not is_password(GOOD + " ", stored)
    assert not is_password("", stored)


def test_a_salt_makes_equal_passwords_differ() -> None:
    assert hash_password(GOOD, SALT) != hash_password(GOOD, SALT[::-1])


def test_letters_may_be_composed_either_way() -> None:
    stored = hash_password("pa\u0308sswort lang", SALT)
    assert is_password("p\u00e4sswort lang", stored)


def test_a_hash_of_another_implementation_is_read() -> None:
    """Made by the reference implementation, through argon2-cffi 25.1."""
    stored = (
        "$argon2id$v=19$m=19456,t=2,p=1$s37lKDKVoKF2pQ+yxImjdA"
        "$S9iVJoKRaAoAn0F0mJ1iK/1gCs7i/i0/prXN0tsH4Ic"
    )
    assert is_password("x" * 12, stored)
    assert not is_password("x" * 13, stored)


def test_a_hash_of_another_cost_is_known_for_one() -> None:
    assert is_outdated(DECOY.replace("t=2", "t=1"))


def test_the_decoy_costs_what_a_password_does() -> None:
    assert not is_outdated(DECOY)
    assert not is_password(GOOD, DECOY)


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$v=19$m=1,t=1,p=1$AA$AA", DECOY + "="])
def test_a_damaged_hash_is_an_error(stored: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        is_password(GOOD, stored)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GOOD, ""),
        ("x" * (password.MIN_LENGTH - 1), "at least"),
        ("ab3d" * 65, "at most"),
        ("abababababab", "repeats"),
        ("Ant.Bee@shop.example", "must not be the email"),
        ("long.local.part", "must not be the email"),
    ],
)
def test_what_may_be_a_password(given: str, said: str) -> None:
    email = "long.local.part@shop.example" if "local" in given else "ant.bee@shop.example"
    problem = problem_of(given, email)
    assert said in problem
    assert bool(problem) is bool(said)
