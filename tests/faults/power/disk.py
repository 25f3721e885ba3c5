"""A disk that may forget: the files after a power cut, given what was written and what was synced.

What was synced is there. Of what was not, each write may be there, be missing, or be there in part
(torn between sectors), whatever its order; names that were made, moved or removed since the last
sync of their directory are there up to some point, as a journalling file system replays them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.power.trace import (
    Create,
    Operation,
    Promise,
    Rename,
    Sync,
    Truncate,
    Unlink,
    Write,
)

SECTOR = 512


@dataclass
class _File:
    """One file, whatever its name is.

    size: as the writer sees it.
    """

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)
    size: int = 0

    def write(self, offset: int | None, data: bytes) -> None:
        at = self.size if offset is None else offset
        self.pending.append((at, data))
        self.size = max(self.size, at + len(data))

    def truncate(self, size: int) -> None:
        self.pending.append(size)
        self.size = size

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def after_cut(self, draws: Random) -> bytes:
        """Return its bytes after a power cut now."""
        if not self.pending:
            return bytes(self.durable)
        content = bytearray(self.durable)
        mode = draws.choice(("none", "all", "some", "torn"))
        for change in self.pending if mode != "none" else ():
            if mode != "all" and draws.random() < 0.5:
                continue
            if mode == "torn" and not isinstance(change, int) and len(change[1]) > SECTOR:
                kept = draws.randrange(0, len(change[1]), SECTOR)
                change = (change[0], change[1][:kept])  # noqa: PLW2901
            _apply(content, change)
        return bytes(content)


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    at, data = change
    if len(content) < at + len(data):
        content.extend(bytes(at + len(data) - len(content)))
    content[at : at + len(data)] = data


_Change = tuple[str, _File | None]


class Disk:
    """The files below one directory while operations happen to them.

    Attributes:
        promised: ids of emails that clients have been promised so far.
    """

    def __init__(self, root: Path) -> None:
        """Begin with the files that are below a directory now, all of them synced."""
        self.promised: list[str] = []
        self._root = str(root)
        self._names = {
            str(path): _File(bytearray(path.read_bytes()), size=path.stat().st_size)
            for path in root.rglob("*")
            if path.is_file()
        }
        self._durable_names = dict(self._names)
        self._renames: dict[str, list[list[_Change]]] = {}

    def happen(self, operation: Operation) -> None:
        """Take one operation."""
        match operation:
            case Promise(email_id):
                self.promised.append(email_id)
            case Create(path):
                if path not in self._names:
                    self._change(path, [(path, _File())])
            case Rename(path, to):
                if path in self._names:
                    self._change(path, [(to, self._names[path]), (path, None)])
            case Unlink(path):
                if path in self._names:
                    self._change(path, [(path, None)])
            case Write(path, offset, data):
                self._names[path].write(offset, data)
            case Truncate(path, size):
                self._names[path].truncate(size)
            case Sync(path) if path in self._names:
                self._names[path].sync()
            case Sync(path):
                self._sync_names(path)

    def after_cut(self, draws: Random) -> dict[str, bytes]:
        """Return what a power cut now may leave: path below the root -> bytes."""
        names = dict(self._durable_names)
        for changes in self._renames.values():
            for change in changes[: draws.randint(0, len(changes))]:
                _rename(names, change)
        cut = len(self._root) + 1
        return {path[cut:]: file.after_cut(draws) for path, file in names.items()}

    def _change(self, path: str, change: list[_Change]) -> None:
        _rename(self._names, change)
        self._renames.setdefault(path.rpartition("/")[0], []).append(change)

    def _sync_names(self, directory: str) -> None:
        for change in self._renames.pop(directory, []):
            _rename(self._durable_names, change)


def _rename(names: dict[str, _File], change: Sequence[_Change]) -> None:
    for path, file in change:
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file


def cuts(
    disk: Disk, operations: Sequence[Operation], count: int, draws: Random
) -> Iterator[tuple[dict[str, bytes], list[str]]]:
    """Yield what `count` power cuts at random moments may leave, and what was promised by then."""
    first = next(at for at, one in enumerate(operations) if isinstance(one, Promise))
    moments = sorted(draws.randrange(first, len(operations) + 1) for _ in range(count))
    done = 0
    for moment in moments:
        for operation in operations[done:moment]:
            disk.happen(operation)
        done = moment
        yield disk.after_cut(draws), list(disk.promised)


def put(files: dict[str, bytes], directory: Path) -> None:
    """Write the files of a disk below a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
