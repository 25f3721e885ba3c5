from __future__ import annotations

import ssl

from mta.core.route import TlsMode
from mta.tls_policy import BROKEN_FOR, TlsPolicy
from tests.support.sessions import Clock


def test_contexts() -> None:
    policy = TlsPolicy(clock=Clock())
    opportunistic = policy.context(TlsMode.OPPORTUNISTIC)
    assert opportunistic.verify_mode is ssl.CERT_NONE
    assert not opportunistic.check_hostname
    assert opportunistic.minimum_version == ssl.TLSVersion.TLSv1_2
    for mode in (TlsMode.VERIFIED, TlsMode.IMPLICIT):
        context = policy.context(mode)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_another_trust_can_be_given() -> None:
    mine = ssl.create_default_context()
    assert TlsPolicy(clock=Clock(), verified=mine).context(TlsMode.IMPLICIT) is mine


def test_broken_hosts_are_remembered_for_a_day() -> None:
    clock = Clock()
    policy = TlsPolicy(clock=clock)
    policy.remember_broken("192.0.2.1")
    assert policy.is_broken("192.0.2.1")
    assert not policy.is_broken("192.0.2.2")
    clock.now += BROKEN_FOR
    assert not policy.is_broken("192.0.2.1")
