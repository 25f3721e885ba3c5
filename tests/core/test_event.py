from mta.core.event import EventKind


def test_every_kind_has_its_own_webhook_type() -> None:
    """But for a bounce, which is one whether we hear of it at once or weeks later."""
    types = [kind.webhook_type for kind in EventKind if kind is not EventKind.REPORTED]
    assert len(set(types)) == len(types)
    assert EventKind.REPORTED.webhook_type == EventKind.BOUNCED.webhook_type
    assert {name.partition(".")[0] for name in types} == {
        "email",
        "campaign",
        "domain",
        "contact",
        "import",
        "suppression",
        "webhook",
    }


def test_names_that_webhook_consumers_know() -> None:
    assert EventKind.DEFERRED.webhook_type == "email.delayed"
    assert EventKind.EXPIRED.webhook_type == "email.failed"
    assert EventKind.DELIVERED.webhook_type == "email.delivered"
