from __future__ import annotations

from itertools import pairwise

import pytest

from mta.core.access import ADMIN, AREAS, SCOPES, exceeds, grants
from mta.core.role import ROLES, Role


@pytest.mark.parametrize("role", Role)
def test_scopes_are_known_ones(role: Role) -> None:
    assert set(role.scopes) <= set(SCOPES)
    assert ROLES[role.value] is role


def test_each_may_what_the_next_may() -> None:
    ranks = [Role.OPERATOR, Role.OWNER, Role.MEMBER, Role.VIEWER]
    for more, less in pairwise(ranks):
        assert exceeds(more.access, less.access) is not None
        assert exceeds(less.access, more.access) is None


@pytest.mark.parametrize("area", AREAS)
def test_viewers_change_nothing(area: str) -> None:
    allowed = [verb for verb in AREAS[area] if grants(Role.VIEWER.scopes, f"{area}:{verb}")]
    assert allowed in (["read"], [])


def test_members_manage_neither_keys_nor_users() -> None:
    for scope in ("keys:write", "users:write", "billing:*", ADMIN):
        assert not grants(Role.MEMBER.scopes, scope)
    for scope in ("keys:read", "users:read"):
        assert grants(Role.MEMBER.scopes, scope)
    assert grants(Role.MEMBER.scopes, "emails:send")
    assert grants(Role.MEMBER.scopes, "billing:read")
