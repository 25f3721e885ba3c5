"""mta.toml as frozen settings: one dataclass a table, one field a key, defaults included.

Meaning, unit and default of every key stand in mta.toml at the root of the project; a test keeps
the two equal. Reading single values is units.py, filling the dataclasses loader.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Literal
from urllib.parse import urlsplit

from config import suppression_rules, units
from config.api import LOOPBACK, Api, ApiLimits, Networks
from config.campaigns import Campaigns
from config.channels import Channels
from config.compat import Compat
from config.credits import Credits
from config.loader import Entries, Overrides, Place, SettingsError, parse_toml, read_table
from config.units import Endpoint
from mta.core.bounce import BounceClass
from mta.core.domain_records import Instance
from mta.core.frozen import frozen
from mta.core.pin import Pin
from mta.core.quota import Quota
from mta.core.retry import RetrySchedule
from mta.core.suppression import PolicyError, SuppressionPolicy

__all__ = ["Api", "ApiLimits", "Endpoint", "Settings", "SettingsError", "find", "load", "parse"]

Count = Annotated[int, units.integer(1, 1_000_000)]
Port = Annotated[int, units.integer(1, 65_535)]
Size = Annotated[int, units.size]
Endpoints = Annotated[tuple[Endpoint, ...], units.several(units.endpoint)]
OptionalDomain = Annotated[str, units.optional_domain]
SuppressionRule = Annotated[str, suppression_rules.reader]
OptionalPath = Annotated[Path | None, units.optional_path]

PLACES = (Path("mta.toml"), Path("/etc/mta/mta.toml"))
"""Where the configuration is looked for when no --config names it, in this order."""


@frozen
class Server:
    """[server]: who and where we are."""

    hostname: Annotated[str, units.hostname] = field(default_factory=units.system_hostname)
    data_dir: Annotated[Path, units.path] = Path("/var/lib/mta")
    disk_reserve: Size = 64 * 2**20


@frozen
class Engine:
    """[engine]: processes of `mta serve`."""

    processes: Annotated[int | Literal["auto"], units.processes] = "auto"
    shutdown_timeout: timedelta = timedelta(seconds=30)


@frozen
class Submission:
    """[smtp.submission]: the SMTP door for apps."""

    listen: Endpoints = (Endpoint("127.0.0.1", 2525),)
    tls_listen: Endpoints = ()
    trusted_networks: Networks = LOOPBACK
    require_tls_for_auth: bool = True
    max_message_size: Size = 25 * 2**20
    max_recipients: Count = 1000
    max_connections: Count = 1000
    max_connections_per_address: Count = 100
    max_junk_commands: Count = 100
    max_errors: Count = 20
    max_auth_failures: Count = 3
    command_timeout: timedelta = timedelta(minutes=5)
    crowded_timeout: timedelta = timedelta(seconds=10)
    min_data_rate: Size = 500
    session_timeout: timedelta = timedelta(days=1)


@frozen
class Reports:
    """[smtp.reports]: the SMTP door for bounce and complaint reports."""

    listen: Endpoints = ()
    domain: OptionalDomain = ""
    rewrite: Annotated[Literal["all", "api"], units.choice("all", "api")] = "all"
    valid_for: timedelta = timedelta(days=45)
    max_message_size: Size = 2**20
    max_connections: Count = 100
    max_connections_per_address: Count = 10
    max_per_minute: Count = 300


@frozen
class Smtp:
    """[smtp]: both doors."""

    submission: Submission = Submission()
    reports: Reports = Reports()


@frozen
class Tls:
    """[tls]: our certificate for the SMTP doors, PEM files; both or neither."""

    certificate: OptionalPath = None
    key: OptionalPath = None


@frozen
class Dns:
    """[dns]: whom to ask; no nameservers means those of /etc/resolv.conf."""

    nameservers: Annotated[tuple[Endpoint, ...], units.several(units.nameserver)] = ()
    timeout: timedelta = timedelta(seconds=5)
    max_queries: Count = 100


@frozen
class Delivery:
    """[delivery]: how mail goes out. Timeouts follow RFC 5321 4.5.3.2."""

    port: Port = 25
    allow_private_destinations: bool = False
    ehlo_name: OptionalDomain = ""
    prefer: Annotated[Literal["ipv6", "ipv4"], units.choice("ipv6", "ipv4")] = "ipv6"
    max_connections: Count = 200
    max_connections_per_site: Count = 20
    max_messages_per_connection: Count = 100
    max_recipients_per_transaction: Count = 100
    max_ready_per_site: Count = 1000
    connect_timeout: timedelta = timedelta(seconds=30)
    greeting_timeout: timedelta = timedelta(minutes=5)
    command_timeout: timedelta = timedelta(minutes=5)
    data_timeout: timedelta = timedelta(minutes=3)
    final_timeout: timedelta = timedelta(minutes=10)
    idle_timeout: timedelta = timedelta(seconds=5)
    retry: Annotated[
        RetrySchedule,
        Overrides({"factor": units.number(1, 10), "jitter": units.number(0, 1)}),
    ] = field(default_factory=RetrySchedule)


@frozen
class Dkim:
    """[dkim]: which signatures go on; no algorithms signs nothing."""

    algorithms: Annotated[
        tuple[str, ...], units.several(units.choice("rsa-sha256", "ed25519-sha256"))
    ] = ("rsa-sha256", "ed25519-sha256")


@frozen
class Domains:
    """[domains]: the DNS records of sender domains."""

    egress_addresses: Annotated[tuple[str, ...], units.several(units.address)] = ()
    spf_include: Annotated[str, units.optional_dns_name] = ""
    check_interval: timedelta = timedelta(days=1)


@frozen
class Policy:
    """[policy]: what is accepted from our own clients."""

    require_verified_domain: bool = True


@frozen
class SendingQuota:
    """[quota]: emails that each tenant may send; 0 is as many as it likes."""

    per_hour: Annotated[int, units.integer(0, 1_000_000_000)] = 0
    per_day: Annotated[int, units.integer(0, 1_000_000_000)] = 0

    @property
    def core(self) -> Quota:
        """The quota as decisions take it."""
        return Quota(self.per_hour or None, self.per_day or None)


@frozen
class Suppression:
    """[suppression]: which failures stop further mail to an address, one rule for each class."""

    bad_mailbox: SuppressionRule = "at once"
    bad_domain: SuppressionRule = "2 within 30d apart 20h for 90d"
    inactive_mailbox: SuppressionRule = "2 within 30d apart 20h for 180d"
    mailbox_full: SuppressionRule = "3 within 30d apart 20h for 30d"
    relay_denied: SuppressionRule = "never"

    @property
    def policy(self) -> SuppressionPolicy:
        """The rules as decisions take them."""
        return suppression_rules.policy(
            {
                BounceClass.BAD_MAILBOX: self.bad_mailbox,
                BounceClass.BAD_DOMAIN: self.bad_domain,
                BounceClass.INACTIVE_MAILBOX: self.inactive_mailbox,
                BounceClass.MAILBOX_FULL: self.mailbox_full,
                BounceClass.RELAY_DENIED: self.relay_denied,
            }
        )


@frozen
class Dsn:
    """[dsn]: delivery reports to whoever submits by SMTP."""

    enabled: bool = True
    delay_after: timedelta = timedelta(hours=4)
    max_returned: Size = 64 * 2**10


@frozen
class Retention:
    """[retention]: how long finished mail stays readable."""

    bodies: Annotated[timedelta, units.duration_or_zero] = timedelta(days=1)
    events: timedelta = timedelta(days=30)
    statistics: timedelta = timedelta(days=400)
    requests: timedelta = timedelta(days=7)


@frozen
class Webhooks:
    """[webhooks]: how events are posted to the app."""

    allow_private_targets: Networks = ()
    allow_ports: Annotated[tuple[int, ...], units.several(units.integer(1, 65_535))] = ()
    timeout: timedelta = timedelta(seconds=15)
    concurrency: Count = 10
    max_backlog: Count = 1_000_000


@frozen
class Log:
    """[log]: lines on standard error."""

    format: Annotated[Literal["plain", "json"], units.choice("plain", "json")] = "plain"
    level: Annotated[str, units.choice("debug", "info", "warning", "error")] = "info"


@frozen
class Bounces:
    """[bounces]: how refusals and reports are read."""

    rules: OptionalPath = None


@frozen
class Settings:
    """Every table of mta.toml."""

    server: Server = field(default_factory=Server)
    engine: Engine = Engine()
    api: Api = field(default_factory=Api)
    smtp: Smtp = Smtp()
    tls: Tls = Tls()
    dns: Dns = Dns()
    delivery: Delivery = Delivery()
    dkim: Dkim = Dkim()
    routing: Annotated[Mapping[str, Pin], Entries(key=units.route_domain, value=units.pin)] = field(
        default_factory=dict
    )
    domains: Domains = Domains()
    policy: Policy = Policy()
    quota: SendingQuota = SendingQuota()
    credits: Credits = field(default_factory=Credits)
    bounces: Bounces = Bounces()
    suppression: Suppression = Suppression()
    dsn: Dsn = Dsn()
    campaigns: Campaigns = field(default_factory=Campaigns)
    retention: Retention = Retention()
    webhooks: Webhooks = Webhooks()
    compat: Compat = field(default_factory=Compat)
    channels: Channels = field(default_factory=Channels)
    log: Log = Log()

    @property
    def submission(self) -> Submission:
        """[smtp.submission]."""
        return self.smtp.submission

    @property
    def reports(self) -> Reports:
        """[smtp.reports]."""
        return self.smtp.reports

    @property
    def suppression_policy(self) -> SuppressionPolicy:
        """Which failures suppress; those in the sandbox do not."""
        return replace(self.suppression.policy, sandbox_domain=self.api.sandbox_domain)

    @property
    def instance(self) -> Instance:
        """What the DNS records of all sender domains depend on."""
        return Instance(
            hostname=self.server.hostname,
            egress=self.domains.egress_addresses,
            spf_include=self.domains.spf_include,
            reports_domain=self.reports.domain,
            tracking_target=urlsplit(self.api.public_url).hostname or self.server.hostname,
        )


def find(explicit: Path | None) -> Path:
    """Return the configuration file: the one named, else the first that exists of PLACES.

    Raises:
        SettingsError: none is there; names the places looked at.
    """
    candidates = PLACES if explicit is None else (explicit,)
    hidden: list[Path] = []
    for candidate in candidates:
        match is_there(candidate):
            case True:
                return candidate
            case None:
                hidden.append(candidate)
    if hidden:
        return hidden[0]  # load() then says that it cannot be read
    places = " and ".join(str(candidate.absolute()) for candidate in candidates)
    raise SettingsError(f"no configuration file: looked for {places}; name one with --config FILE")


def is_there(path: Path) -> bool | None:
    """Tell whether there is a file; None: nobody lets us look, as with root's home for others."""
    try:
        mode = path.stat().st_mode  # not is_file(): from Python 3.14 on, that tells nothing apart
    except PermissionError:
        return None
    except OSError:
        return False
    return S_ISREG(mode)


def load(path: Path) -> Settings:
    """Read a configuration file.

    Raises:
        SettingsError: unreadable, or its text is refused by parse.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{path}: cannot be read: {reason}") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Settings:
    """Return the settings in TOML text.

    Args:
        text: the text; what it leaves out has its default.
        source: the file's name, for messages; relative paths in the text start at its folder.

    Raises:
        SettingsError: not TOML, an unknown key, a bad value, or values that contradict each other.
    """
    place = Place(source, Path(source).absolute().parent)
    settings = read_table(Settings, parse_toml(text, source), place)
    for key, problem in _contradictions(settings):
        raise SettingsError(f"{source}: {key}: {problem}")
    return settings


def _contradictions(settings: Settings) -> list[tuple[str, str]]:
    """Return keys whose values, each legal alone, cannot be served together."""
    tls, retry = settings.tls, settings.delivery.retry
    found = []
    if tls.certificate and not tls.key:
        found.append(("tls.key", "must name the private key of tls.certificate"))
    if tls.key and not tls.certificate:
        found.append(("tls.certificate", "must name the certificate of tls.key"))
    if settings.submission.tls_listen and not tls.certificate:
        found.append(("smtp.submission.tls_listen", "needs tls.certificate and tls.key"))
    if settings.reports.listen and not settings.reports.domain:
        found.append(("smtp.reports.domain", "must be set where smtp.reports.listen is"))
    try:
        _ = settings.suppression.policy
    except PolicyError as error:
        found.append(("suppression", str(error)))
    if retry.ceiling < retry.first:
        found.append(("delivery.retry.ceiling", "must not be shorter than delivery.retry.first"))
    return found
