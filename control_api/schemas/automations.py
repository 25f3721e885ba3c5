"""Automations and their runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_api.schemas.base import (
    PAGE,
    TOTAL,
    Schema,
    Spec,
    array,
    body,
    counts,
    deleted,
    flag,
    free_form,
    given,
    identifier,
    listing,
    number,
    one_of,
    or_null,
    query,
    ref,
    resource,
    text,
    time,
    wish,
)

_TAG = "Automations"
_STATUSES = ("active", "paused")
_RUN_STATES = ("active", "completed", "failed", "canceled")
_TRIGGERS = (
    *("api", "contact.created", "contact.subscribed", "contact.unsubscribed", "contact.tagged"),
    "date",
)
_REENTRIES = ("never", "after_end", "always")
_STEPS = ("send", "wait", "tag", "webhook", "move", "copy", "condition", "stop", "branch")
_STATUS_OF_MEMBERS = (
    *("unconfirmed", "subscribed", "unsubscribed", "bounced", "complained", "blocked", "any"),
)
_OPERATORS = (
    *("eq", "ne", "lt", "lte", "gt", "gte", "contains", "starts_with", "ends_with", "in", "exists"),
)
_CLOCK = text("A time of the day in UTC, such as `09:00`.", pattern="^[0-2][0-9]:[0-5][0-9]$")
_AUDIENCE = identifier("aud")
_CONDITION = wish(
    {},
    {
        "property": text("Of the contact: compare it.", maxLength=100),
        "field": text("Of the member: compare it.", maxLength=100),
        "data": text("Of the request that set off the run: compare it.", maxLength=100),
        "contact": one_of(["email", "name"], "Compare it."),
        "op": one_of(_OPERATORS, "How; `eq` unless given."),
        "value": {"description": "With what; not with `exists`."},
        "audience_id": identifier("aud", "Whose field; that of the run unless given."),
        "tag": text("The contact has it.", maxLength=100),
        "member": identifier("aud", "The contact is in this audience."),
        "status": one_of(_STATUS_OF_MEMBERS, "As what; `subscribed` unless given."),
        "engaged": one_of(["opened", "clicked"], "Mail, since the run began."),
        "all": array({"type": "object"}, "Conditions that all hold."),
        "any": array({"type": "object"}, "Conditions of which one holds."),
        "not": {"type": "object", "description": "A condition that does not hold."},
    },
)
_CONDITIONS = array(_CONDITION, "All of them are to hold.", maxItems=50)
_TRIGGER = wish(
    {"type": one_of(_TRIGGERS)},
    {
        "audience_id": identifier("aud", "Only in this audience; runs begin in it."),
        "tag": text("Of `contact.tagged`.", maxLength=100),
        "property": text("Of `date`: the contact's property that has it.", maxLength=64),
        "field": text("Of `date`: the field of the audience that has it.", maxLength=64),
        "offset_days": number(
            "So long after the date; negative: before.", minimum=-366, maximum=366
        ),
        "time": _CLOCK,
        "yearly": flag("Every year on that day."),
    },
)
_STEP = wish(
    {"type": one_of(_STEPS)},
    {
        "template_id": identifier("tpl", "Of `send`."),
        "from": text("The audience's sender unless given.", maxLength=998),
        "reply_to": text(maxLength=998),
        "subject": text("In the place of the template's.", maxLength=998),
        "audience_id": identifier("aud", "Who is not subscribed there is left out."),
        "tracking": {
            "anyOf": [flag(), wish({}, {"opens": flag(), "clicks": flag()})],
            "description": "What is noted of the reader.",
        },
        "variables": free_form("For the template, besides what is known of the contact."),
        "marketing": flag("Offers to unsubscribe, and yields to other mail; true unless given."),
        "seconds": number("Of `wait`; all that are given are added.", minimum=0),
        "minutes": number(minimum=0),
        "hours": number(minimum=0),
        "days": number(minimum=0, maximum=730),
        "until": time("Of `wait`, instead."),
        "time": _CLOCK,
        "add": array(text(maxLength=100), "Of `tag`.", maxItems=50),
        "remove": array(text(maxLength=100), "Of `tag`.", maxItems=50),
        "url": text("Of `webhook`.", maxLength=2048),
        "to_audience_id": identifier("aud", "Of `move` and `copy`."),
        "from_audience_id": identifier("aud", "Of `move`."),
        "conditions": array({"type": "object"}, "Of `condition` and `branch`.", maxItems=50),
        "then": array({"type": "object"}, "Of `branch`: steps where all conditions hold."),
        "else": array({"type": "object"}, "Of `branch`: steps where not."),
    },
)
_NAME = text("For people.", maxLength=256)
_OPTIONAL: Mapping[str, Schema] = {
    "status": one_of(_STATUSES, "`active` unless given."),
    "conditions": _CONDITIONS,
    "reentry": one_of(
        _REENTRIES, "Whether a contact may be in it again; `after_end` unless given."
    ),
}
_REQUIRED: Mapping[str, Schema] = {
    "name": _NAME,
    "trigger": _TRIGGER,
    "steps": array(_STEP, "One after the other; 100 at most.", maxItems=100),
}
_SHOWN: Mapping[str, Schema] = {
    "id": identifier("aut"),
    "name": text(),
    "status": one_of(_STATUSES),
    "trigger": free_form("As given."),
    "conditions": array(free_form("As given.")),
    "steps": array(free_form("As given.")),
    "reentry": one_of(_REENTRIES),
    "version": number("Of what it says; runs under way keep theirs."),
    "counts": counts("`runs` that have begun, and how many of them are or were in each state."),
    "created_at": time(),
    "updated_at": time(),
}
_RUN: Mapping[str, Schema] = {
    "id": identifier("run"),
    "automation_id": identifier("aut"),
    "version": number("Of the automation when it began."),
    "contact_id": identifier("ct"),
    "email": text(),
    "audience_id": or_null(identifier("aud", "In which it began.")),
    "data": free_form("As the request gave it."),
    "status": one_of(_RUN_STATES),
    "reason": or_null(text("Why it has failed.")),
    "next_at": or_null(time("When it goes on.")),
    "created_at": time(),
    "ended_at": or_null(time()),
}
_STEP_DONE = given(
    {
        "path": text("Which step, such as `steps[2].then[0]`."),
        "type": one_of(_STEPS),
        "result": one_of(["done", "skipped", "failed", "retrying"]),
        "detail": or_null(text("Why, or what came of it.")),
        "email_id": or_null(identifier("em")),
        "at": time(),
    }
)
_SECRET = text("Signs its webhooks; told only here.")
COMPONENTS: Mapping[str, Schema] = {
    "Automation": resource("automation", _SHOWN),
    "AutomationWithSecret": resource("automation", {**_SHOWN, "webhook_secret": _SECRET}),
    "AutomationRun": resource("automation_run", _RUN),
    "AutomationRunInFull": resource("automation_run", {**_RUN, "steps": array(_STEP_DONE)}),
}
_TEMPLATE_ID = "tpl_01KJMQ0R000000000000000001"
_AUDIENCE_ID = "aud_01KJMQ0R00000000000000000A"
_WELCOME: Mapping[str, Any] = {
    "name": "Welcome",
    "trigger": {"type": "contact.subscribed", "audience_id": _AUDIENCE_ID},
    "steps": [
        {
            "type": "send",
            "template_id": _TEMPLATE_ID,
            "from": "Shop <shop@sender.example>",
            "variables": {"number": 1007},
            "marketing": False,
        },
        {"type": "wait", "days": 2},
        {"type": "tag", "add": ["welcomed"]},
    ],
}
_WHOLE: Mapping[str, Any] = {
    "name": "Everything",
    "status": "active",
    "reentry": "never",
    "trigger": {
        "type": "date",
        "audience_id": _AUDIENCE_ID,
        "property": "birthday",
        "offset_days": -7,
        "time": "09:00",
        "yearly": True,
    },
    "conditions": [
        {"property": "plan", "op": "in", "value": ["pro", "team"]},
        {"field": "FNAME", "audience_id": _AUDIENCE_ID, "op": "exists"},
        {"any": [{"tag": "vip"}, {"not": {"member": _AUDIENCE_ID, "status": "any"}}]},
        {"member": _AUDIENCE_ID, "status": "any"},
        {"not": {"engaged": "opened"}},
        {"all": [{"data": "n", "op": "gt", "value": 1}, {"contact": "email", "value": "a"}]},
        {"tag": "shop"},
        {"contact": "name", "op": "exists"},
        {"data": "n", "op": "exists"},
        {"engaged": "clicked"},
    ],
    "steps": [
        {
            "type": "send",
            "template_id": _TEMPLATE_ID,
            "from": "shop@sender.example",
            "reply_to": "help@sender.example",
            "subject": "Soon",
            "audience_id": _AUDIENCE_ID,
            "tracking": False,
            "variables": {"number": 1},
            "marketing": False,
        },
        {"type": "wait", "days": 1, "hours": 1, "minutes": 1, "seconds": 1, "time": "10:30"},
        {"type": "wait", "until": "2030-01-01T00:00:00Z"},
        {
            "type": "branch",
            "conditions": [{"tag": "vip"}],
            "then": [{"type": "webhook", "url": "https://shop.example.com/hooks"}],
            "else": [{"type": "stop"}],
        },
        {"type": "webhook", "url": "https://shop.example.com/hooks"},
        {"type": "condition", "conditions": [{"tag": "vip"}]},
        {"type": "tag", "add": ["a"], "remove": ["b"]},
        {"type": "copy", "to_audience_id": _AUDIENCE_ID},
        {"type": "move", "from_audience_id": _AUDIENCE_ID, "to_audience_id": _AUDIENCE_ID},
        {"type": "stop"},
    ],
}
_TRIGGER_OF_OTHERS: Mapping[str, Any] = {
    "name": "Tagged",
    "status": "paused",
    "trigger": {"type": "contact.tagged", "tag": "vip"},
    "steps": [{"type": "stop"}],
}
_RUNS_OF = query("contact_id", "Only of this contact.")
_ANSWER, _WITH_SECRET = body(ref("Automation")), body(ref("AutomationWithSecret"))
SPECS: Mapping[str, Spec] = {
    "POST /v1/automations": Spec(
        _TAG,
        "What it says is read at once: templates must be published, audiences there. Inside"
        " `then`, `else`, `all`, `any` and `not` are the same steps and conditions.",
        request=body(wish(_REQUIRED, _OPTIONAL)),
        answer=_WITH_SECRET,
        errors=(409,),
        examples={"Welcome": _WELCOME, "Everything": _WHOLE, "Tagged": _TRIGGER_OF_OTHERS},
        is_idempotent=True,
    ),
    "GET /v1/automations": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, TOTAL, query("status", "Only with this status.", one_of(_STATUSES))),
        answer=listing(ref("Automation"), total=number()),
    ),
    "GET /v1/automations/{id}": Spec(_TAG, answer=_ANSWER),
    "PATCH /v1/automations/{id}": Spec(
        _TAG,
        "What is given changes; a list as a whole. Runs under way keep the steps with which they"
        " began; trigger and conditions count for whoever enters from now on.",
        request=body(wish({}, {**_REQUIRED, **_OPTIONAL})),
        answer=_ANSWER,
        examples={
            "Another name": {"name": "Welcome!"},
            "Everything": _WHOLE,
            "Tagged": _TRIGGER_OF_OTHERS,
        },
    ),
    "DELETE /v1/automations/{id}": Spec(
        _TAG,
        "Its runs end, and what is kept of them goes. Doing it again succeeds too.",
        answer=deleted("automation"),
    ),
    "POST /v1/automations/{id}/pause": Spec(
        _TAG, "Nobody enters, and runs stay where they are.", answer=_ANSWER
    ),
    "POST /v1/automations/{id}/resume": Spec(
        _TAG, "Runs go on, those at once that were due meanwhile.", answer=_ANSWER
    ),
    "POST /v1/automations/{id}/rotate-secret": Spec(
        _TAG,
        "The old one signs nothing any more.",
        answer=_WITH_SECRET,
        is_idempotent=True,
    ),
    "POST /v1/automations/{id}/execute": Spec(
        _TAG,
        "Whatever its trigger is; its conditions are asked. `data` is there in templates, as"
        " `data`, and in conditions.",
        request=body(
            wish(
                {},
                {
                    "email": text("Of a contact.", maxLength=320),
                    "contact_id": text("Instead of `email`.", maxLength=64),
                    "data": free_form("16 KiB at most."),
                },
            )
        ),
        answer=body(ref("AutomationRun")),
        errors=(409,),
        examples={"An order": {"email": "x@example.net", "data": {"order": 1007}}},
        is_idempotent=True,
    ),
    "GET /v1/automations/{id}/runs": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, _RUNS_OF, query("status", "Only these.", one_of(_RUN_STATES))),
        answer=listing(ref("AutomationRun")),
    ),
    "GET /v1/automations/{id}/runs/{run_id}": Spec(
        _TAG, "With what it has done so far.", answer=body(ref("AutomationRunInFull"))
    ),
    "POST /v1/automations/{id}/runs/{run_id}/cancel": Spec(
        _TAG,
        "It ends where it is.",
        answer=body(ref("AutomationRunInFull")),
        errors=(409,),
    ),
    "GET /v1/contacts/{id}/automation-runs": Spec(
        _TAG, "Newest first.", parameters=PAGE, answer=listing(ref("AutomationRun"))
    ),
}
