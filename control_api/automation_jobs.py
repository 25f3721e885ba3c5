"""A run of an automation that is due, with all that is known: whom it is for, and what is next.

Not here: doing it (automation_work.py, automation_posts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from control_api.automation_tools import Tools
from mta.core.automation import Post, Send
from mta.core.automation_condition import Facts
from mta.core.automation_plan import Place, next_place
from mta.core.frozen import frozen
from storage import automation_people, automations
from storage.automation_people import Person
from storage.automation_runs import RunRecord
from storage.automations import AutomationRecord
from storage.database import Connection


@frozen
class Job:
    """What is next for a run; None: it is at its end."""

    run: RunRecord
    person: Person
    place: Place | None

    @property
    def send(self) -> Send | None:
        """The mail that is next; None: none is."""
        effect = self.place.effect if self.place else None
        return effect if isinstance(effect, Send) else None

    @property
    def post(self) -> Post | None:
        """The webhook that is next; None: none is."""
        effect = self.place.effect if self.place else None
        return effect if isinstance(effect, Post) else None


def read_jobs(
    connection: Connection, tools: Tools, automation: AutomationRecord, runs: Sequence[RunRecord]
) -> list[Job]:
    """Return what is next for runs of an automation."""
    versions = automations.versions(
        connection, automation.row, sorted({run.version for run in runs})
    )
    people = automation_people.people(
        connection, automation.tenant_id, [run.contact_row for run in runs]
    )
    found = []
    for run in runs:
        person = people[run.contact_row]
        written = tools.library.written(automation.row, run.version, versions[run.version])
        place = next_place(written.program, run.position, facts_of(run, person))
        found.append(Job(run, person, place))
    return found


def facts_of(run: RunRecord, person: Person) -> Facts:
    """Return what conditions of a run can ask."""
    return replace(
        person.facts(), audience_id=run.audience_id, data=run.data, began_at=run.created_at
    )
