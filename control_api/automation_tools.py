"""What the parts of the automation runner share: collaborators, and definitions read once.

Not here: the parts themselves (automation_entrance.py, automation_work.py, automation_posts.py).
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime

from control_api.automation_payload import read_definition
from control_api.http_client import HttpClient
from control_api.personal_mail import Composer
from mta.core.automation import Definition, Program, flattened
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage.database import Database

_KEPT = 500
"""Definitions in memory."""


@frozen
class Written:
    """A definition, and its steps as a program."""

    definition: Definition
    program: Program


class Library:
    """Reads versions of automations, and keeps those used last; versions never change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], Written] = OrderedDict()

    def written(self, row: int, version: int, given: Mapping[str, JsonValue]) -> Written:
        """Return a version of the automation with this row number; `given` is what it says.

        Raises:
            ValueError: storage has something else than what the API lets through.
        """
        found = self._kept.pop((row, version), None)
        if found is None:
            definition = read_definition(given)
            found = Written(definition, flattened(definition.steps))
        self._kept[row, version] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


@frozen
class Tools:
    """What the parts work with.

    Attributes:
        client: posts webhooks.
        composer: makes mails.
        kick: called after each commit that gives the engine work, or makes the journal grow.
        now: the current time (aware, UTC).
        rng: for the jitter of retries.
    """

    database: Database
    client: HttpClient
    composer: Composer
    kick: Callable[[], object]
    now: Callable[[], datetime]
    rng: random.Random
    library: Library = field(default_factory=Library)
