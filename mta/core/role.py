"""What a user may do: a role stands for scopes, those of areas to come included.

Not here: what scopes are (access.py), the users themselves (storage/users.py).
"""

from __future__ import annotations

import enum

from mta.core.access import ADMIN, AREAS, FULL, Access

_ONLY_SEEN_BY_MEMBERS = ("keys", "users", "billing")


class Role(enum.Enum):
    """What a user is for a tenant."""

    OPERATOR = "operator"
    """Runs the installation: everything of all tenants."""
    OWNER = "owner"
    """Everything of the tenant."""
    MEMBER = "member"
    """Everything of the tenant, but looks only at its keys, users and credits."""
    VIEWER = "viewer"
    """Looks, and changes nothing."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it may do, some of core.access.SCOPES."""
        match self:
            case Role.OPERATOR:
                return (ADMIN,)
            case Role.OWNER:
                return (FULL,)
            case Role.MEMBER:
                seen = tuple(f"{area}:read" for area in _ONLY_SEEN_BY_MEMBERS)
                return (*(f"{area}:*" for area in AREAS if f"{area}:read" not in seen), *seen)
            case Role.VIEWER:
                return tuple(f"{area}:read" for area, verbs in AREAS.items() if "read" in verbs)

    @property
    def access(self) -> Access:
        """The same as a key has it: from anywhere, with all domains."""
        return Access(scopes=self.scopes)


ROLES = {role.value: role for role in Role}
