"""Programs that nobody here wrote and that tests compare with: found, or the test is skipped.

They are looked for in MTA_TEST_TOOLS (a directory that npm or a build installed into), in the
repository's node_modules, in PATH and at the paths that the caller knows. With CI=true a missing
program is a failure, so that a green run cannot be one that compared nothing.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_tool(name: str, *paths: str) -> str:
    """Return the path of a program; skip the running test without it, or fail it when CI=true.

    Args:
        name: of the executable, such as "swaks".
        paths: further places to look at, such as "/usr/sbin/smtp-sink".
    """
    found = shutil.which(name, path=os.pathsep.join(_directories()))
    usable = [path for path in (found, *paths) if path is not None and os.access(path, os.X_OK)]
    if not usable:
        _miss(f"{name} is not installed: not in MTA_TEST_TOOLS, node_modules or PATH")
    return usable[0]


def require_module(name: str) -> None:
    """Do nothing where a Python package is installed; without it, skip or fail like find_tool."""
    if importlib.util.find_spec(name) is None:
        _miss(f"the Python package {name} is not installed")


def _miss(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _directories() -> list[str]:
    tools = os.environ.get("MTA_TEST_TOOLS")
    roots = [Path(tools), ROOT] if tools else [ROOT]
    local = [str(root / sub) for root in roots for sub in ("node_modules/.bin", "bin")]
    return [*local, *([tools] if tools else []), os.environ.get("PATH", os.defpath)]
