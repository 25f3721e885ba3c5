"""How the API says that credits are missing: 402, how many are needed, how many are there."""

from __future__ import annotations

from control_api.errors import FieldError, Problem
from storage.credits import InsufficientCredits

CODE = "insufficient_credits"


def credit_problem(lacking: InsufficientCredits) -> Problem:
    """Return the 402 for a request that takes more credits than there are."""
    more = {"needed": lacking.needed, "available": lacking.available}
    return Problem(402, CODE, _sentence(lacking), more=more)


def credit_error(lacking: InsufficientCredits) -> FieldError:
    """Return the error of one email of several."""
    return FieldError("", CODE, _sentence(lacking))


def _sentence(lacking: InsufficientCredits) -> str:
    takes = f"This takes {lacking.needed} credit{'s' if lacking.needed != 1 else ''}"
    return f"{takes}; {lacking.available} of yours are available."
