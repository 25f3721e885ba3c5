"""Which dialect a request is in, told by its path and host.

    /compat/{name}/...   the dialect of that name, always
    a host of [compat.hosts]   the dialect that the operator gave it, all paths but those of pages
    the paths of a dialect's own service, at the root

Where two dialects share a method and path, the body decides (Operation.marks). Trailing slashes
make no difference. Not here: the paths of the native API, which the router has (app.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from config.loader import SettingsError
from control_api.dialects.base import Dialect, Operation
from mta.core.frozen import frozen

PREFIX = "/compat"


@frozen
class Candidate:
    """An operation that may be meant."""

    dialect: Dialect
    operation: Operation
    params: Mapping[str, str]


@frozen
class Visit:
    """A request that is in a dialect.

    Attributes:
        dialect: whose form errors have, unless the body decides for another.
        candidates: operations with this method and path; none where there is no such call.
        methods: what the path takes; empty where there is no such path.
    """

    dialect: Dialect
    candidates: tuple[Candidate, ...]
    methods: tuple[str, ...]


@frozen
class _Entry:
    pattern: re.Pattern[str]
    dialect: Dialect
    operation: Operation


class Doors:
    """The paths of all dialects."""

    def __init__(
        self, dialects: Sequence[Dialect], hosts: Mapping[str, str], pages: tuple[str, ...] = ()
    ) -> None:
        """Take the dialects, the first with a shared root speaking for it, and host -> name.

        `pages` is what paths begin with that are no dialect's on any host: those of links in mail.

        Raises:
            SettingsError: a host is given to a dialect that there is not.
        """
        self._pages = pages
        self._by_name = {one.name: one for one in dialects}
        if unknown := set(hosts.values()) - self._by_name.keys():
            known = ", ".join(self._by_name)
            raise SettingsError(f"compat.hosts: no dialect {min(unknown)!r}, only {known}")
        self._hosts = {host.lower(): self._by_name[name] for host, name in hosts.items()}
        self._entries = {one.name: _entries(one) for one in dialects}
        self._rooted = [one for one in dialects if one.root is not None]
        self._root = [entry for one in self._rooted for entry in self._entries[one.name]]
        self._exact = {one.operation.path for one in self._root}
        self._heads = _heads(self._root, [f"{one.root}/" for one in self._rooted if one.root])

    def find(self, host: str, path: str, method: str) -> Visit | None:
        """Return what a request asks of a dialect; None when it is in none.

        Args:
            host: of the Host header, "" without one.
            path: decoded.
            method: HEAD counts as GET.
        """
        method = "GET" if method == "HEAD" else method
        path = f"/{path.strip('/')}" if path.endswith("/") else path
        if path.startswith(f"{PREFIX}/"):
            name, _, rest = path[len(PREFIX) + 1 :].partition("/")
            dialect = self._by_name.get(name)
            return self._visit(dialect, f"/{rest}", method) if dialect else None
        if self._hosts and (dialect := self._hosts.get(_hostname(host))):
            return None if path.startswith(self._pages) else self._visit(dialect, path, method)
        if path in self._exact or path.startswith(self._heads):
            return self._at_root(path, method)
        return None

    def _visit(self, dialect: Dialect, path: str, method: str) -> Visit:
        candidates, methods = _matching(self._entries[dialect.name], path, method)
        return Visit(dialect, candidates[:1], methods)

    def _at_root(self, path: str, method: str) -> Visit | None:
        candidates, methods = _matching(self._root, path, method)
        if not methods:
            inside = [one for one in self._rooted if one.root and path.startswith(f"{one.root}/")]
            nearest = max(inside, key=lambda one: len(one.root or ""), default=None)
            return Visit(nearest, (), ()) if nearest else None
        firsts = {one.dialect.name: one for one in reversed(candidates)}
        found = tuple(firsts[one.name] for one in self._rooted if one.name in firsts)
        owner = next(one.dialect for one in self._root if one.pattern.fullmatch(path))
        return Visit(found[0].dialect if found else owner, found, methods)


def _entries(dialect: Dialect) -> list[_Entry]:
    return [_Entry(_pattern(one.path), dialect, one) for one in dialect.operations]


def _heads(entries: Sequence[_Entry], roots: Sequence[str]) -> tuple[str, ...]:
    """Return few strings with which all other paths begin that may be a dialect's at the root."""
    paths = [one.operation.path for one in entries if "{" in one.operation.path]
    heads = {*roots, *(path.partition("{")[0] for path in paths)}
    return tuple(
        head
        for head in sorted(heads)
        if not any(head != other and head.startswith(other) for other in heads)
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


def _matching(
    entries: Sequence[_Entry], path: str, method: str
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    found = [(entry, match) for entry in entries if (match := entry.pattern.fullmatch(path))]
    candidates = tuple(
        Candidate(entry.dialect, entry.operation, match.groupdict())
        for entry, match in found
        if entry.operation.method == method
    )
    return candidates, tuple(dict.fromkeys(entry.operation.method for entry, _ in found))


def _hostname(host: str) -> str:
    """Return the host of a Host header in lower case, without its port."""
    return host.rpartition("]")[0].lower() + "]" if "]" in host else host.partition(":")[0].lower()
