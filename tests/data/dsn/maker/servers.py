"""One class per mail server: which packages, which configuration, how it is started and fed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from maker import submission
from maker.cases import Abilities, Case
from maker.submission import PORT
from maker.world import HOSTNAME, SetupError, add_user, own, run, write

LOG = "/tmp/server.log"


class Server:
    """What all have in common. kind is the sort of report that this run is for."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    package: ClassVar[str]
    can: ClassVar[Abilities]
    patience: ClassVar[float] = 25.0
    """Seconds without a new report after which the run is over."""

    def prepare(self, kind: str) -> None:
        """Write the configuration and make users and folders."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server; returns when it listens."""
        raise NotImplementedError

    def submit(self, cases: Sequence[Case]) -> list[Case]:
        """Hand over the messages; returns the cases that were not taken."""
        return submission.by_smtp(cases)

    def version(self) -> str:
        """Return the version of the Debian package, as unpacked or installed."""
        for path in sorted(Path("/packages").glob(f"{self.package}_*.deb")):
            return run("dpkg-deb", "-f", str(path), "Version").strip()
        return run("dpkg-query", "-W", "-f", "${Version}", self.package).strip()


def spawn(*command: str) -> subprocess.Popen[bytes]:
    """Start a program that stays; it ends with the namespace."""
    with Path(LOG).open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def wait_for_port(port: int = PORT) -> None:
    """Wait until a port of 127.0.0.1 answers (20 seconds at most)."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SetupError(f"nothing listens on port {port}: {Path(LOG).read_text()[-2000:]}")


class Postfix(Server):
    """Postfix: the most verbose of all, RFC 3461 to 3464 and 6533."""

    name = "postfix"
    packages = ("postfix",)
    package = "postfix"
    can = Abilities(shift=0)

    def prepare(self, kind: str) -> None:
        """Lifetime none for bounces, a warning after a second for delays."""
        add_user("postfix")
        add_user("postdrop")
        own("/tmp/postfix", "root:root", 0o755)
        own("/tmp/postfix/spool", "root:root", 0o755)
        own("/tmp/postfix/data", "postfix:postfix", 0o700)
        delay = kind == "delay"
        write("/etc/postfix/main.cf", POSTFIX_MAIN + (POSTFIX_DELAY if delay else POSTFIX_BOUNCE))
        write("/etc/postfix/master.cf", POSTFIX_MASTER)

    def start(self) -> None:
        """Start master in the foreground."""
        run("postfix", "check")
        spawn("/usr/lib/postfix/sbin/master", "-d")
        wait_for_port()


POSTFIX_MAIN = f"""compatibility_level = 3.6
queue_directory = /tmp/postfix/spool
data_directory = /tmp/postfix/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = /dev/stdout
mail_owner = postfix
setgid_group = postdrop
myhostname = {HOSTNAME}
mydomain = origin.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_tls_security_level = none
smtp_connect_timeout = 3s
smtp_helo_timeout = 3s
smtp_data_done_timeout = 3s
smtp_quit_timeout = 1s
biff = no
"""
POSTFIX_BOUNCE = "maximal_queue_lifetime = 0\n"
POSTFIX_DELAY = """delay_warning_time = 1s
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 3s
"""
POSTFIX_MASTER = f"""127.0.0.1:{PORT} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Exim(Server):
    """Exim: prose and an RFC 3464 part whose status is always 5.0.0 for failures."""

    name = "exim"
    packages = ("exim4-daemon-light",)
    package = "exim4-daemon-light"
    can = Abilities(shift=1)

    def prepare(self, kind: str) -> None:
        """Retry for a moment or an hour, warn after a second."""
        add_user("Debian-exim")
        for folder in ("/var/spool/exim4", "/var/log/exim4"):
            own(folder, "Debian-exim:Debian-exim", 0o750)
        retry = "* * F,1h,1s" if kind == "delay" else "* * F,1s,1s"
        warning = "1s:1d" if kind == "delay" else "0s"
        text = EXIM.replace("@RETRY@", retry).replace("@WARNING@", warning)
        write("/etc/exim4/exim4.conf", text, 0o640)
        run("chown", "root:Debian-exim", "/etc/exim4/exim4.conf")

    def start(self) -> None:
        """Start the daemon with a queue run every second."""
        spawn("/usr/sbin/exim4", "-bdf", "-q1s")
        wait_for_port()


EXIM = f"""primary_hostname = {HOSTNAME}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {PORT}
disable_ipv6 = true
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
smtp_accept_max = 50
keep_environment =
delay_warning = @WARNING@
delay_warning_condition = yes
queue_run_max = 4
acl_smtp_rcpt = acl_rcpt
acl_smtp_mail = acl_mail
begin acl
acl_mail:
  accept control = dkim_disable_verify
acl_rcpt:
  accept hosts = 127.0.0.0/8
begin routers
outside:
  driver = dnslookup
  transport = remote_smtp
  self = send
  no_more
begin transports
remote_smtp:
  driver = smtp
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_dane =
  dnssec_request_domains =
  hosts_try_fastopen =
  command_timeout = 3s
  connect_timeout = 3s
  final_timeout = 3s
begin retry
@RETRY@
"""


class OpenSmtpd(Server):
    """OpenSMTPD: a short text, an RFC 3464 part and the header or the message."""

    name = "opensmtpd"
    packages = ("opensmtpd",)
    package = "opensmtpd"
    can = Abilities(shift=0, timeouts=False, utf8=False)

    def prepare(self, kind: str) -> None:
        """A lifetime of seconds (the reports live by it too), or a warning after a second."""
        add_user("opensmtpd")
        add_user("opensmtpq")
        own("/var/lib/opensmtpd/empty", "root:root", 0o755)
        own("/var/spool/smtpd", "root:root", 0o711)
        own("/var/spool/smtpd/offline", "root:opensmtpq", 0o770)
        for folder in ("purge", "temporary", "incoming", "queue", "corrupt"):
            own(f"/var/spool/smtpd/{folder}", "opensmtpq:root", 0o700)
        wait = (
            "bounce warn-interval 1s"
            if kind == "delay"
            else "bounce warn-interval 1d\nqueue ttl 10s"
        )
        write("/etc/smtpd.conf", OPENSMTPD.replace("@WAIT@", wait))

    def start(self) -> None:
        """Start smtpd in the foreground."""
        run("smtpd", "-n", "-f", "/etc/smtpd.conf")
        spawn("smtpd", "-d", "-v", "-f", "/etc/smtpd.conf")
        wait_for_port()


OPENSMTPD = f"""@WAIT@
listen on 127.0.0.1 port {PORT} hostname {HOSTNAME}
action "out" relay helo {HOSTNAME}
match from local for any action "out"
match from src {{ 127.0.0.0/8 }} for any action "out"
"""


class Sendmail(Server):
    """Sendmail: a transcript of the session in prose and RFC 3464."""

    name = "sendmail"
    packages = ("sendmail-bin", "m4")
    package = "sendmail-bin"
    can = Abilities(shift=1, utf8=False)

    def prepare(self, kind: str) -> None:
        """Build sendmail.cf with m4."""
        add_user("smmta")
        add_user("smmsp")
        own("/var/spool/mqueue", "root:root", 0o700)
        own("/etc/mail", "root:root", 0o755)
        write("/etc/mail/local-host-names", "")
        lifetime, warning = ("1h", "1s") if kind == "delay" else ("1s", "0s")
        source = SENDMAIL.replace("@LIFETIME@", lifetime).replace("@WARNING@", warning)
        write("/etc/mail/sendmail.cf", run("m4", "-I/usr/share/sendmail/cf/", "-", stdin=source))

    def start(self) -> None:
        """Start the daemon with a queue run every second."""
        spawn("/usr/libexec/sendmail/sendmail", "-bD", "-q1s")
        wait_for_port()


SENDMAIL = f"""include(`/usr/share/sendmail/cf/m4/cf.m4')
OSTYPE(`linux')
undefine(`ALIAS_FILE')
define(`confDOMAIN_NAME', `{HOSTNAME}')
define(`confDONT_PROBE_INTERFACES', `True')
define(`confTO_QUEUERETURN', `@LIFETIME@')
define(`confTO_QUEUEWARN', `@WARNING@')
define(`confTO_INITIAL', `3s')
define(`confTO_CONNECT', `3s')
define(`confTO_ICONNECT', `3s')
define(`confTO_COMMAND', `3s')
define(`confTO_DATAFINAL', `3s')
define(`confTO_IDENT', `0')
define(`confTO_HOSTSTATUS', `1s')
define(`confMIN_QUEUE_AGE', `0')
define(`confQUEUE_LA', `1000')
define(`confREFUSE_LA', `1000')
define(`confDELAY_LA', `1000')
define(`confDELIVERY_MODE', `background')
define(`confQUEUE_SORT_ORDER', `random')
FEATURE(`nocanonify')
FEATURE(`accept_unresolvable_domains')
FEATURE(`no_default_msa')
DAEMON_OPTIONS(`Port={PORT}, Addr=127.0.0.1, Name=MTA')
MAILER(`local')
MAILER(`smtp')
"""
