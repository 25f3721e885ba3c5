"""Being somebody with fewer rights than whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user without rights while the context lasts, where root runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


@contextmanager
def kept_out_of(directory: Path) -> Iterator[None]:
    """Be somebody who may not look into a directory."""
    mode = directory.stat().st_mode
    directory.chmod(0)
    try:
        with nobody():
            yield
    finally:
        directory.chmod(mode)
