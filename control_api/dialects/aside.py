"""Work on large requests, done beside the event loop: what is pure may run in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

WORTH_A_THREAD = 8192
"""Bytes of a body from which a step may hold up the event loop: plain text of so much HTML takes
some 10 ms."""

T = TypeVar("T")


async def aside(request: Request, work: Callable[[], T]) -> T:
    """Return what `work` returns; in a thread when the request's body is large."""
    return await asyncio.to_thread(work) if _is_large(request) else work()


def _is_large(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return not (length.isdigit() and int(length) < WORTH_A_THREAD) and _has_body(request)


def _has_body(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers
