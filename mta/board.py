"""Figures that the processes of one server show each other, in memory that all of them share.

Each process writes its own and reads everybody's. Made before the processes are; what a process
showed stays until its successor shows something else.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence

FIGURES = ("smtp_connections", "submission_sessions", "errors_logged")
_ROW = struct.Struct(f"<{len(FIGURES)}q")


class Board:
    """One row of FIGURES for each process."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of the processes."""
        self._rows = {name: number * _ROW.size for number, name in enumerate(names)}
        self._memory = mmap.mmap(-1, max(1, len(names)) * _ROW.size)

    def show(self, name: str, figures: Mapping[str, int]) -> None:
        """Write the row of a process; figures that it does not have are 0."""
        row = [figures.get(figure, 0) for figure in FIGURES]
        _ROW.pack_into(self._memory, self._rows[name], *row)

    def totals(self) -> dict[str, int]:
        """Return the sum of each figure over all processes."""
        rows = [_ROW.unpack_from(self._memory, at) for at in self._rows.values()]
        return {figure: sum(row[index] for row in rows) for index, figure in enumerate(FIGURES)}
