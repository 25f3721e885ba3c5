"""Contacts, audiences, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping

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

_CONTACTS, _AUDIENCES = "Contacts", "Audiences"
STATUSES = ("unconfirmed", "subscribed", "unsubscribed", "bounced", "complained", "blocked")
FIELD_TYPES = ("text", "number", "datetime")
_EMAIL = text("The address.", maxLength=320)
_TAGS = array(text(maxLength=100), "Words of yours.", maxItems=50)
_PERSON: Mapping[str, Schema] = {
    "name": text(maxLength=256),
    "properties": free_form("Anything; merged into what is there, null removes (RFC 7396)."),
    "tags": _TAGS,
}
_MEMBER: Mapping[str, Schema] = {
    "status": one_of(STATUSES, "Of members, `unconfirmed` becomes `subscribed`; others stay."),
    "fields": free_form("Values of the audience's fields, by tag."),
}
_TOLD = {"type": text(), "timestamp": time(), "data": free_form("As webhooks have it.")}
_RUN = given(
    {
        "id": identifier("run"),
        "automation_id": identifier("aut"),
        "status": text(),
        "data": free_form("Of the request that set it off."),
        "created_at": time(),
    }
)
_EVENT = given({"id": identifier("ev"), **_TOLD})
_IDENTITY: Mapping[str, Schema] = {
    "from_email": text("Sender unless a mail says otherwise."),
    "from_name": text(maxLength=256),
    "reply_to": text("Where answers go."),
    "default_subject": text(maxLength=998),
}
_OPT_IN: Mapping[str, Schema] = {
    "double_opt_in": flag("Whether who joins is asked by mail first; needs `from_email`."),
    "confirmation_template_id": text("Of that mail, with `{{ confirm_url }}` in it; else ours."),
}
_METADATA = free_form("What you note of it; nothing depends on it.")
_AUDIENCE_ID = identifier("aud")
_SHOWN_AUDIENCE: Mapping[str, Schema] = {
    "id": _AUDIENCE_ID,
    "reference": or_null(text("What it is called elsewhere; names it like its id.")),
    "name": text(),
    **{name: or_null(one) for name, one in _IDENTITY.items()},
    "double_opt_in": _OPT_IN["double_opt_in"],
    "confirmation_template_id": or_null(_OPT_IN["confirmation_template_id"]),
    "metadata": _METADATA,
    "fields": array(ref("AudienceField")),
    "counts": counts("Members by status; what there is none of is absent."),
    "total": number("All members."),
    "created_at": time(),
    "updated_at": time(),
}
COMPONENTS: Mapping[str, Schema] = {
    "Contact": resource(
        "contact",
        {
            "id": identifier("ct"),
            "email": _EMAIL,
            "name": or_null(text()),
            "properties": free_form("As given."),
            "tags": array(text()),
            "created_at": time(),
            "updated_at": time(),
            "last_opened_at": or_null(time("When it last opened tracked mail; null: never.")),
            "last_clicked_at": or_null(time("When it last followed a link; null: never.")),
        },
    ),
    "AudienceField": resource(
        "audience_field",
        {
            "tag": text("Its name in templates, such as `FNAME`."),
            "label": text("For people."),
            "type": one_of(FIELD_TYPES),
            "default_value": or_null(text()),
            "required": flag(),
        },
    ),
    "Audience": resource("audience", _SHOWN_AUDIENCE),
    "Membership": resource(
        "membership",
        {
            "id": identifier("mem"),
            "audience_id": _AUDIENCE_ID,
            "contact_id": identifier("ct"),
            "email": _EMAIL,
            "name": or_null(text()),
            "properties": free_form("Of the contact."),
            "status": one_of(STATUSES),
            "fields": free_form("Values by tag."),
            "created_at": time("When the contact joined."),
            "status_at": time("Since when the status holds."),
        },
    ),
}
_NEW = wish({"email": _EMAIL}, {**_PERSON, "audience_id": text("Joins this audience too.")})
JOINER = wish({"email": _EMAIL}, {**_PERSON, **_MEMBER})
_ANT = {"email": "ant@example.net", "name": "Ant", "tags": ["shop"], "properties": {"vip": True}}
_CONTACT = body(ref("Contact"))
_MEMBERSHIP = body(ref("Membership"))
SPECS: Mapping[str, Spec] = {
    "POST /v1/contacts": Spec(
        _CONTACTS,
        "Addresses are compared with the domain in lower case. One that is there is a 409, unless"
        " `upsert` is true.",
        request=body(
            wish(
                {"email": _EMAIL},
                {**_PERSON, "audience_id": text("Joins this audience too."), "upsert": flag()},
            )
        ),
        answer=_CONTACT,
        errors=(409,),
        examples={"One": _ANT},
        is_idempotent=True,
    ),
    "PUT /v1/contacts": Spec(
        _CONTACTS,
        "Properties are merged and tags are added.",
        request=body(_NEW),
        answer=_CONTACT,
        examples={"One": _ANT},
    ),
    "GET /v1/contacts": Spec(
        _CONTACTS,
        "Newest first. With `q`, contacts are looked at one after the other.",
        parameters=(
            *PAGE,
            TOTAL,
            query("q", "Only addresses with this in them."),
            query("tag", "Only with this tag."),
            query("audience_id", "Only members of this audience."),
        ),
        answer=listing(ref("Contact"), total=number()),
    ),
    "POST /v1/contacts/batch": Spec(
        _CONTACTS,
        "Up to 1000. What is wrong with one is told in `errors` and does not stop the others.",
        request=body(
            wish(
                {"contacts": array(wish({"email": _EMAIL}, _PERSON), maxItems=1000)},
                {
                    "audience_id": text("They join this audience too."),
                    "mode": one_of(("overwrite", "skip"), "What becomes of known contacts."),
                },
            )
        ),
        answer=body(
            resource(
                "contact_batch",
                {
                    "imported": number("New contacts."),
                    "updated": number("Known contacts that were brought up to date."),
                    "duplicates": number("Readable rows that made no new contact."),
                    "errors": array(
                        given(
                            {
                                "index": number("Of the row, from 0."),
                                "field": text(),
                                "code": text(),
                                "message": text(),
                            }
                        )
                    ),
                },
            )
        ),
        examples={"Two": {"contacts": [_ANT, {"email": "bee@example.net"}]}},
        is_idempotent=True,
    ),
    "GET /v1/contacts/{id}": Spec(_CONTACTS, "By id or address.", answer=_CONTACT),
    "PATCH /v1/contacts/{id}": Spec(
        _CONTACTS,
        "By id or address.",
        request=body(wish({}, {key: _PERSON[key] for key in ("name", "properties")})),
        answer=_CONTACT,
        examples={"Name": {"name": "Bee"}},
    ),
    "DELETE /v1/contacts/{id}": Spec(
        _CONTACTS,
        "With its tags and memberships. A suppression of the address stays, so that nobody writes"
        " to it again. Doing it again succeeds too.",
        answer=deleted("contact"),
    ),
    "POST /v1/contacts/{id}/tags": Spec(
        _CONTACTS,
        request=body(wish({"tags": _TAGS})),
        answer=_CONTACT,
        examples={"One": {"tags": ["vip"]}},
        is_idempotent=True,
    ),
    "DELETE /v1/contacts/{id}/tags": Spec(
        _CONTACTS,
        parameters=(query("tag", "Which, with commas between them.", text(maxLength=1000)),),
        answer=_CONTACT,
    ),
    "GET /v1/contacts/{id}/export": Spec(
        _CONTACTS,
        "For a person who asks what is kept. What the mails said is under /v1/emails.",
        answer=body(
            resource(
                "contact_export",
                {
                    "contact": ref("Contact"),
                    "memberships": array(ref("Membership")),
                    "suppression": or_null(text("Why the address is suppressed.")),
                    "events": array(_EVENT, "The newest thousand about the contact, oldest first."),
                    "emails": array(
                        given(
                            {
                                "id": identifier("em"),
                                "subject": text(),
                                "status": text("Of the person's copy, such as `delivered`."),
                                "created_at": time(),
                                "events": array(_EVENT, "Openings and clicks that are told."),
                            }
                        ),
                        "The newest thousand to the address, newest first.",
                    ),
                    "automation_runs": array(_RUN, "The newest thousand, newest first."),
                },
            )
        ),
    ),
    "POST /v1/audiences": Spec(
        _AUDIENCES,
        request=body(
            wish(
                {"name": text(maxLength=256)},
                {
                    **_IDENTITY,
                    **_OPT_IN,
                    "metadata": _METADATA,
                    "reference": text(
                        "A name of your own for it, good in place of its id; 409 when an audience"
                        " has it.",
                        maxLength=100,
                    ),
                },
            )
        ),
        answer=body(ref("Audience")),
        errors=(409,),
        examples={"One": {"name": "News", "from_email": "shop@sender.example"}},
        is_idempotent=True,
    ),
    "GET /v1/audiences": Spec(
        _AUDIENCES,
        "Newest first.",
        parameters=(*PAGE, TOTAL),
        answer=listing(ref("Audience"), total=number()),
    ),
    "GET /v1/audiences/{id}": Spec(
        _AUDIENCES,
        answer=body(ref("Audience")),
    ),
    "PATCH /v1/audiences/{id}": Spec(
        _AUDIENCES,
        request=body(
            wish(
                {},
                {"name": text(maxLength=256), **_IDENTITY, **_OPT_IN, "metadata": _METADATA},
            )
        ),
        answer=body(ref("Audience")),
        examples={"Name": {"name": "Weekly news"}},
    ),
    "DELETE /v1/audiences/{id}": Spec(
        _AUDIENCES,
        "With its memberships; the contacts stay. Doing it again succeeds too.",
        answer=deleted("audience"),
    ),
    "GET /v1/audiences/{id}/fields": Spec(_AUDIENCES, answer=listing(ref("AudienceField"))),
    "POST /v1/audiences/{id}/fields": Spec(
        _AUDIENCES,
        request=body(
            wish(
                {"tag": text("Letters, digits and _, a letter first.", maxLength=64)},
                {
                    "label": text(maxLength=256),
                    "type": one_of(FIELD_TYPES),
                    "default_value": text(maxLength=1000),
                    "required": flag("Whether new members must have a value."),
                },
            )
        ),
        answer=body(ref("AudienceField")),
        errors=(409,),
        examples={"One": {"tag": "FNAME", "label": "First name", "default_value": "you"}},
        is_idempotent=True,
    ),
    "DELETE /v1/audiences/{id}/fields/{tag}": Spec(
        _AUDIENCES,
        "Members keep their values. Doing it again succeeds too.",
        answer=deleted("audience_field", "tag"),
        errors=(404,),
    ),
    "POST /v1/audiences/{id}/contacts": Spec(
        _AUDIENCES,
        "One, or up to 1000 in `contacts`. Contacts that there are not are added. Whoever is"
        " suppressed joins with the status that says so.",
        request=body(
            {"anyOf": [JOINER, wish({"contacts": array(JOINER, minItems=1, maxItems=1000)})]}
        ),
        answer=body(
            {
                "anyOf": [
                    ref("Membership"),
                    given({"object": {"const": "list"}, "data": array(ref("Membership"))}),
                ]
            }
        ),
        examples={
            "One": {**_ANT, "status": "unconfirmed"},
            "Several": {"contacts": [{"email": "bee@example.net"}, {"email": "elk@example.net"}]},
        },
        is_idempotent=True,
    ),
    "GET /v1/audiences/{id}/contacts": Spec(
        _AUDIENCES,
        "Who joined last comes first.",
        parameters=(
            *PAGE,
            TOTAL,
            query("status", "Only with this status.", one_of(STATUSES)),
            query("tag", "Only contacts with this tag."),
            query("opened", "Whether they have ever opened tracked mail.", flag()),
            query("clicked", "Whether they have ever followed a link of it.", flag()),
        ),
        answer=listing(ref("Membership")),
    ),
    "GET /v1/audiences/{id}/contacts/{contact}": Spec(
        _AUDIENCES, "By the contact's id or address.", answer=_MEMBERSHIP
    ),
    "GET /v1/contacts/{id}/memberships": Spec(
        _CONTACTS, "All of them, the oldest first.", answer=listing(ref("Membership"))
    ),
    "GET /v1/memberships/{id}": Spec(
        _AUDIENCES, "By the membership's own id, in whatever audience.", answer=_MEMBERSHIP
    ),
    "PATCH /v1/audiences/{id}/contacts/{contact}": Spec(
        _AUDIENCES,
        "Any change of status is possible here; `subscribed` is a 409 while the address is"
        " suppressed in all mail.",
        request=body(wish({}, _MEMBER)),
        answer=_MEMBERSHIP,
        errors=(409,),
        examples={"Blocked": {"status": "blocked"}},
    ),
    "DELETE /v1/audiences/{id}/contacts/{contact}": Spec(
        _AUDIENCES,
        "The contact stays. Doing it again succeeds too.",
        answer=body(resource("membership", {"id": or_null(text()), "deleted": {"const": True}})),
    ),
    "POST /v1/audiences/{id}/contacts/{contact}/subscribe": Spec(
        _AUDIENCES,
        "Whatever the status was, and an opt-out from this audience is taken back.",
        answer=_MEMBERSHIP,
        errors=(409,),
    ),
    "POST /v1/audiences/{id}/contacts/{contact}/unsubscribe": Spec(
        _AUDIENCES, "From this audience; other mail goes on.", answer=_MEMBERSHIP
    ),
    "POST /v1/audiences/{id}/contacts/{contact}/resend-confirmation": Spec(
        _AUDIENCES,
        "Where the audience has double opt-in: the mail with the link again, one an hour at most"
        " and five in all (409 `already_asked`).",
        answer=_MEMBERSHIP,
        errors=(409,),
    ),
}
