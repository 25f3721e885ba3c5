"""Webhook requests out: one guarded POST. Owner of aiohttp.

The guard against reaching inside the network (SSRF) stands where it cannot be walked around: a name
is resolved once, all its addresses must be public, and each socket is made for an address that has
been checked, whatever form the URL wrote it in. Redirects are answers, not instructions; the whole
exchange has one deadline; little of the reply is read. What to send when: webhook_sender.py.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mta.core.frozen import frozen
from mta.core.network import IpNetwork, in_networks, is_public

MAX_URL = 2048
"""Characters of a URL."""
MAX_REPLY = 4096
"""Bytes of a reply that are read."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Turns a host name into IP addresses; raises OSError when there are none."""

_LOOKUP_TIMEOUT = 5.0
_LOOKUP_THREADS = 16  # a name whose servers do not answer holds one of them for half a minute
_KEEP_ALIVE = (
    2.0  # seconds; many servers close idle connections after 5, and a POST is not repeated
)
_MAX_ERROR = 200
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")
_WEB_PORTS = frozenset({80, 443})
_OTHER_SERVICES = frozenset(
    {1433, 2375, 2379, 2525, 3306, 5432, 5672, 6379, 6443, 9200, 11211, 27017}
)  # mail, databases, caches, queues, what manages containers


class UrlError(ValueError):
    """Nothing may be posted to this URL; the message is a sentence that says why."""


class _AddressError(OSError):
    """The host is, or resolves to, an address inside the network."""


@frozen
class Answered:
    """The endpoint answered.

    Attributes:
        status: of HTTP.
        text: the first MAX_REPLY bytes of its reply as printable text: what is not is escaped.
        retry_after: how long it asks to be left alone (RFC 9110 10.2.3); None: it does not, or it
            names a date.
    """

    status: int
    text: str
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        """True for 2xx only: a redirect is not followed, so it is a failure."""
        return 200 <= self.status <= 299


@frozen
class Unanswered:
    """No answer: name, connection, TLS or deadline; `error` is one line that hides the URL."""

    error: str

    @property
    def is_success(self) -> bool:
        """Always False."""
        return False


Posted = Answered | Unanswered


class HttpClient:
    """Posts to URLs that tenants choose. Build it on the running event loop, and close it."""

    def __init__(
        self,
        *,
        timeout: timedelta,
        allowed: Sequence[IpNetwork] = (),
        allowed_ports: Collection[int] = (),
        resolve: Resolve | None = None,
    ) -> None:
        """Make a client.

        Args:
            timeout: for a whole exchange, from the name lookup to the last byte read.
            allowed: networks that are not public and may be reached all the same.
            allowed_ports: ports of other services that may be reached all the same.
            resolve: looks names up; None asks the operating system, in threads of its own.
        """
        self._timeout = timeout.total_seconds()
        self._allowed = tuple(allowed)
        self._allowed_ports = frozenset(allowed_ports)
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="webhook-dns")
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}
        self._resolve = resolve or self._ask_system
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Resolver(self._checked_addresses),
                use_dns_cache=False,
                socket_factory=self._checked_socket,
                keepalive_timeout=_KEEP_ALIVE,
                limit=0,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            auto_decompress=False,
            headers={"User-Agent": "Mailwright", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, url: str) -> None:
        """Refuse a URL that could never be posted to; a name that does not resolve now may later.

        Raises:
            UrlError: its form, its port, or an address of its host that is not public.
        """
        host = self._parsed(url).raw_host or ""
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT):
                await self._checked_addresses(host)
        except _AddressError as error:
            raise UrlError(error.strerror) from None
        except OSError:  # no such name, or no answer in time: the check at each request decides
            return

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Answered | Unanswered:
        """Send one POST with a JSON body; never raises for what the endpoint does."""
        try:
            async with self._session.post(
                self._parsed(url),
                data=body,
                headers={"Content-Type": "application/json", **headers},
                allow_redirects=False,
            ) as response:
                wish = _seconds(response.headers.get("Retry-After", ""))
                return Answered(response.status, await _beginning(response), wish)
        except TimeoutError:
            return Unanswered(f"no answer within {self._timeout:g} s")
        except (aiohttp.ClientError, UrlError, OSError) as error:
            return Unanswered(_one_line(_reason(error)))

    def _parsed(self, url: str) -> URL:
        parsed = _parsed(url)
        port = parsed.port or 0
        is_other = port in _OTHER_SERVICES or (port < 1024 and port not in _WEB_PORTS)
        if is_other and port not in self._allowed_ports:
            raise UrlError(f"Port {port} is not for webhooks.")
        return parsed

    async def _ask_system(self, host: str) -> list[str]:
        """Look a name up in a thread; all forms of numbers that inet_aton reads are names too.

        Posts to one host share a lookup that is under way, so that no host takes all threads.
        """
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            self._lookups[host] = lookup
            lookup.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(lookup)  # others may wait for it too

    def _forget(self, host: str, lookup: asyncio.Future[list[str]]) -> None:
        del self._lookups[host]
        if not lookup.cancelled():
            lookup.exception()  # whoever asked may have given up since; nobody else is to be told

    async def _checked_addresses(self, host: str) -> Sequence[str]:
        addresses = await self._resolve(host.rstrip("."))
        for address in addresses:
            self._check_address(address)
        return addresses

    def _check_address(self, address: str) -> None:
        if not (is_public(address) or in_networks(address, self._allowed)):
            raise _AddressError(errno.EACCES, f"The address {address} is not public.")

    def _checked_socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket for a connection: the last look at the address that is connected to."""
        family, kind, protocol, _, address = addr_info
        self._check_address(str(address[0]))
        return socket.socket(family, kind, protocol)


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class _Resolver(AbstractResolver):
    """Lets aiohttp resolve names through a function of ours."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in dict.fromkeys(await self._resolve(host))
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _parsed(url: str) -> URL:
    if len(url) > MAX_URL:
        raise UrlError(f"The URL is longer than {MAX_URL} characters.")
    if _NOT_IN_URLS.search(url):
        raise UrlError("The URL has spaces, backslashes or control characters.")
    try:
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.port
    except ValueError:
        raise UrlError("This is not a URL.") from None
    if parsed.scheme not in ("http", "https") or not host or port is None:
        raise UrlError("The URL must begin with https:// or http:// and name a host.")
    if "%" in host:
        raise UrlError("The URL must not name a zone of an IPv6 address.")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise UrlError("The URL must not hold a user name or password.")
    if parsed.raw_fragment:
        raise UrlError("The URL must not have a fragment.")
    return parsed


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Return the first MAX_REPLY bytes as printable text, or what came of it until the deadline.

    The status is known by then, so a body that does not end does not change the result; leaving the
    response unread makes aiohttp close the connection.
    """
    text = b""
    try:
        while len(text) < MAX_REPLY:
            chunk = await response.content.read(MAX_REPLY - len(text))
            if not chunk:
                break
            text += chunk
    except (TimeoutError, aiohttp.ClientError):
        response.close()
    return _escaped(text.decode("utf-8", "backslashreplace"))


def _seconds(text: str) -> timedelta | None:
    return timedelta(seconds=int(text)) if re.fullmatch(r"[0-9]{1,7}", text) else None


def _reason(error: Exception) -> str:
    """Return what went wrong, without the URL, which may hold the endpoint's secrets."""
    match error:
        case aiohttp.ClientResponseError():
            return f"not HTTP: {error.message}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {error.os_error.strerror or error.os_error}"
        case _:
            return str(error) or type(error).__name__


def _escaped(text: str) -> str:
    """Return text in which nothing can steer a terminal or break a line."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _one_line(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_MAX_ERROR]
