"""Who opened or clicked: a person, or a machine on a person's behalf.

Mail programs fetch images before anybody looks, and filters follow links before anybody reads. What
gives them away is their name, the network's shape of their request, or their haste: no person reads
within seconds of delivery. Unknown is a person: a count that is too high misleads less than readers
who are not counted. Not here: counting (storage/tracking.py).

Sources: Apple's Mail Privacy Protection fetches all images with the bare agent "Mozilla/5.0";
Gmail's proxy names itself GoogleImageProxy and fetches when the mail is shown; Yahoo's likewise
YahooMailProxy; the others are how the makers' own documents and access logs name the scanners.
"""

from __future__ import annotations

import enum
import re
from datetime import timedelta

HASTE = timedelta(seconds=2)
"""A hit within this time of delivery is a machine's."""


class Machine(enum.Enum):
    """What fetched it; the value is what events show."""

    NONE = ""
    """A person, as far as can be told."""
    APPLE = "apple_privacy"
    GMAIL = "gmail_proxy"
    YAHOO = "yahoo_proxy"
    SCANNER = "scanner"
    """A filter that looks where links lead, or a program that is no browser."""
    HASTE = "too_soon"
    """Nothing but the time tells."""

    @property
    def is_person(self) -> bool:
        """Whether somebody saw it: the proxies of Gmail and Yahoo fetch when it is shown."""
        return self in {Machine.NONE, Machine.GMAIL, Machine.YAHOO}


_SCANNERS = re.compile(
    r"barracuda|mimecast|proofpoint|symantec|messagelabs|trendmicro|ironport|fireeye|sophos"
    r"|microsoft office (?:existence|protocol) discovery|bitdefender|cloudmark|forcepoint|fortimail"
    r"|bot\b|crawl|spider|scan|preview|headlesschrome|phantomjs"
    r"|^(?:curl|wget|python|java|go-http-client|okhttp|ruby|perl|libwww|node|axios|php)",
    re.IGNORECASE,
)


def machine_of(agent: str, method: str, since_delivery: timedelta | None) -> Machine:
    """Return what made a request.

    Args:
        agent: User-Agent; "" for none.
        method: of the request.
        since_delivery: how long after the mail was delivered; None when that is not known.
    """
    if "GoogleImageProxy" in agent:
        return Machine.GMAIL
    if "YahooMailProxy" in agent:
        return Machine.YAHOO
    if agent == "Mozilla/5.0":
        return Machine.APPLE
    if not agent or method == "HEAD" or _SCANNERS.search(agent[:512]):
        return Machine.SCANNER
    if since_delivery is not None and since_delivery < HASTE:
        return Machine.HASTE
    return Machine.NONE
