"""Sender domains and their DNS records."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    PAGE,
    TOTAL,
    Schema,
    Spec,
    array,
    body,
    deleted,
    flag,
    given,
    identifier,
    listing,
    number,
    one_of,
    or_null,
    ref,
    resource,
    text,
    time,
    wish,
)
from mta.core.domain_check import Status
from mta.core.domain_records import KeyState, RecordKind
from mta.core.domain_standing import DomainStatus

_TAG = "Domains"
_HOSTS: Mapping[str, Schema] = {
    "return_path": text("Host that bounces come back to: a label, or a name below the domain."),
    "tracking_host": text("Host of tracked links: a label, or a name below the domain."),
    "tls": one_of(["opportunistic"]),
}
_SELECTOR = text("DKIM selector; chosen by the server unless given.", maxLength=63)
_FOUND: Mapping[str, Schema] = {
    "record": one_of([one.value for one in RecordKind], "What it is for."),
    "type": one_of(["TXT", "CNAME", "MX"]),
    "name": text(),
    "status": one_of([one.value for one in Status]),
    "found": array(text(), "What the DNS has."),
    "advice": text("What to do, one sentence; empty when all is well."),
}
_SUMMARY: Mapping[str, Schema] = {
    "id": identifier("dom"),
    "name": text(),
    "status": one_of([one.value for one in DomainStatus]),
    "verified": flag(),
    "dkim_configured": flag(),
    "created_at": time(),
    "verified_at": or_null(time()),
    "checked_at": or_null(time("When the DNS was looked at last.")),
    "return_path": or_null(text()),
    "tracking_host": or_null(text()),
    "tls": one_of(["opportunistic"]),
    "dkim": array(
        given(
            {
                "selector": text(),
                "algorithm": one_of(["rsa-sha256", "ed25519-sha256"]),
                "state": one_of([one.value for one in KeyState]),
            }
        )
    ),
}
_EXAMPLE = {
    "id": "dom_01KJMQ0R00000000000000000D",
    "name": "example.com",
    "status": "verified",
    "verified": True,
    "dkim_configured": True,
    "created_at": "2026-03-01T12:00:00.000Z",
    "verified_at": "2026-03-01T12:10:00.000Z",
    "checked_at": "2026-03-02T12:10:00.000Z",
    "return_path": "bounce.example.com",
    "tracking_host": None,
    "tls": "opportunistic",
    "dkim": [{"selector": "mw1", "algorithm": "rsa-sha256", "state": "active"}],
}
_SIDE: Schema = given(
    {"mode": one_of(["strict", "relaxed"]), "aligned": {"type": ["boolean", "null"]}}
)
COMPONENTS: Mapping[str, Schema] = {
    "DomainSummary": resource("domain", _SUMMARY, _EXAMPLE),
    "Domain": resource(
        "domain",
        {
            **_SUMMARY,
            "records": array(ref("DnsRecord")),
            "notes": array(given(_FOUND), "Records of the domain that are not for this server."),
            "alignment": or_null(
                given({"policy": or_null(text("p= of DMARC.")), "dkim": _SIDE, "spf": _SIDE})
            ),
        },
    ),
    "DnsRecord": given(
        {
            **_FOUND,
            "value": text("What should be there."),
            "ttl": number("Seconds."),
            "priority": or_null(number("Of an MX record.")),
            "required": flag("Whether the domain needs it to be verified."),
            "key": one_of([one.value for one in KeyState], "Of a DKIM record."),
            "managed_by": one_of(["operator"], "Who publishes it, where that is not you."),
            "error": text("Why the DNS did not answer."),
        },
        {
            "record": "DKIM",
            "type": "TXT",
            "name": "mw1._domainkey.example.com",
            "value": "v=DKIM1; k=rsa; p=MIIBIjAN...",
            "ttl": 3600,
            "priority": None,
            "required": True,
            "status": "missing",
            "found": [],
            "advice": "Publish this record.",
            "key": "active",
        },
        sometimes=("key", "managed_by", "error"),
    ),
}
_DOMAIN = body(ref("Domain"))
_RATE: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_VERIFY = Spec(
    _TAG, "Looks at the DNS now; every record comes with what was found.", answer=_DOMAIN
)
SPECS: Mapping[str, Spec] = {
    "POST /v1/domains": Spec(
        _TAG,
        "Makes its DKIM keys and shows the records to publish.",
        request=body(
            wish({"name": text("A-labels or Unicode.")}, {"dkim_selector": _SELECTOR, **_HOSTS})
        ),
        answer=_DOMAIN,
        errors=(409,),
        is_idempotent=True,
        examples={
            "A domain": {"name": "example.com"},
            "With hosts": {
                "name": "example.org",
                "dkim_selector": "s1",
                "return_path": "bounce",
                "tracking_host": "links.example.org",
                "tls": "opportunistic",
            },
        },
    ),
    "GET /v1/domains": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, TOTAL),
        answer=listing(ref("DomainSummary"), total=number()),
    ),
    "GET /v1/domains/{id}": Spec(_TAG, "By id or name.", answer=_DOMAIN),
    "PATCH /v1/domains/{id}": Spec(
        _TAG,
        "What is left out stays; null takes a host away.",
        request=body(wish({}, _HOSTS)),
        answer=_DOMAIN,
        examples={"Another host": {"return_path": "bounces"}},
    ),
    "DELETE /v1/domains/{id}": Spec(
        _TAG, "With its keys. Doing it again succeeds too.", answer=deleted("domain")
    ),
    "POST /v1/domains/{id}/verify": _VERIFY,
    "GET /v1/domains/{id}/verify": _VERIFY,
    "GET /v1/domains/{id}/reputation": Spec(
        _TAG,
        "Of the last thirty days. score = 100 - 60 * min(1, bounce_rate / 0.1)"
        " - 40 * min(1, complaint_rate / 0.003); null while nothing was sent.",
        answer=body(
            resource(
                "reputation",
                {
                    "domain": text(),
                    "score": or_null(number("100 is the best.", minimum=0, maximum=100)),
                    "window": given({"since": time(), "until": time()}),
                    "sent": number("Recipients whose mail came to an end."),
                    "delivered": number(),
                    "bounced": number("For good, at once or later."),
                    "complained": number(),
                    "bounce_rate": _RATE,
                    "complaint_rate": _RATE,
                },
            )
        ),
    ),
    "GET /v1/domains/{id}/zonefile": Spec(
        _TAG, "The records as lines of a zone file (RFC 1035 5).", answer={"text/plain": text()}
    ),
    "POST /v1/domains/{id}/dkim/rotate": Spec(
        _TAG,
        "Makes the next keys. They sign once every resolver sees their records; the old ones stay"
        " published as long as mail signed with them may be under way.",
        request=body(wish({}, {"dkim_selector": _SELECTOR})),
        needs_body=False,
        answer=_DOMAIN,
        is_idempotent=True,
        examples={"With a selector": {"dkim_selector": "s2"}},
    ),
}
