"""Which provider a server belongs to."""

from __future__ import annotations

import pytest

from mta.core.provider import PROVIDERS, provider_of


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("", ""),
        ("gmail-smtp-in.l.google.com", "google"),
        ("ASPMX.L.GOOGLE.COM.", "google"),
        ("example-com.mail.protection.outlook.com", "microsoft"),
        ("example-com.a-v1.mx.microsoft", "microsoft"),
        ("mta7.am0.yahoodns.net", "yahoo"),
        ("mx01.mail.icloud.com", "apple"),
        ("mx.yandex.ru", "yandex"),
        ("google.com.evil.test", "other"),
        ("notgoogle.com", "other"),
        ("localhost", "other"),
        ("192.0.2.1", "other"),
    ],
)
def test_the_end_of_the_name_counts(host: str, provider: str) -> None:
    assert provider_of(host) == provider


def test_the_names_are_few() -> None:
    assert len(set(PROVIDERS)) == len(PROVIDERS) < 30
