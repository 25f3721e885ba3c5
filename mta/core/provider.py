"""Which large mailbox provider a server belongs to, by its name: a label with few values.

For figures whose number must stay bounded (monitoring), where a domain or host would not. A host
that merely has such a name in it is not meant: only the end of the name counts.
"""

from __future__ import annotations

from collections.abc import Mapping

OTHER = "other"

_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "google": ("google.com", "googlemail.com", "smtp.goog"),
    "microsoft": ("outlook.com", "hotmail.com", "office365.us", "mx.microsoft"),
    "yahoo": ("yahoodns.net",),
    "apple": ("icloud.com", "apple.com"),
    "comcast": ("comcast.net",),
    "gmx": ("gmx.net", "web.de", "kundenserver.de", "1and1.com", "ionos.com"),
    "telekom": ("t-online.de",),
    "orange": ("orange.fr", "wanadoo.fr"),
    "free": ("free.fr",),
    "qq": ("qq.com",),
    "netease": ("netease.com", "163.com"),
    "mail_ru": ("mail.ru",),
    "yandex": ("yandex.ru", "yandex.net"),
    "proton": ("protonmail.ch",),
    "fastmail": ("messagingengine.com",),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in"),
    "proofpoint": ("pphosted.com", "ppe-hosted.com"),
    "mimecast": ("mimecast.com",),
    "barracuda": ("barracudanetworks.com",),
}
_PROVIDERS = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes}

PROVIDERS = (*_SUFFIXES, OTHER)
"""Every name that provider_of may give, "" aside."""


def provider_of(host: str) -> str:
    """Return the provider that runs a mail server, OTHER for all the rest, "" for no server."""
    if not host:
        return ""
    labels = host.lower().rstrip(".").split(".")
    for start in (-3, -2):
        name = _PROVIDERS.get(".".join(labels[start:]))
        if name is not None:
            return name
    return OTHER
