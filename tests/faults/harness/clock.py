"""A wall clock that is set while a process runs, by libfaketime of Debian's package faketime."""

from __future__ import annotations

from pathlib import Path

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def faked(file: Path, offset: str = "+0") -> dict[str, str]:
    """Return the environment of a process whose wall clock is off by what `file` says.

    Monotonic clocks are left alone, as they are when an operator sets the clock.
    """
    file.write_text(offset)
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
