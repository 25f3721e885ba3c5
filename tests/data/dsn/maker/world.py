"""A throw-away copy of this machine for one mail server: nothing that happens in it leaves it.

The root is an overlay whose writes go to memory; network, mounts, processes and the host name are
namespaces of their own, which end with the process that made them. Packages are unpacked there,
never installed: no service starts and no maintainer script runs.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HOSTNAME = "mail.origin.test"
HOSTS = f"127.0.0.1 {HOSTNAME} mail localhost\n"
RESOLV = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"
FILES = ("stdin", "stdout", "stderr")
MARK = "DSN_MAKER_WORLD"
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child")


class SetupError(Exception):
    """Something the generator needs is missing; the text says what to do."""


def run(*command: str, stdin: str = "") -> str:
    """Run a command to its end (a minute at most) and return what it printed."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise SetupError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def fetch(packages: Sequence[str], cache: Path) -> list[Path]:
    """Download packages and what they need beyond this machine; already fetched ones are kept."""
    folder = cache / packages[0]
    complete = folder / "complete"
    if complete.exists():
        return sorted(folder.glob("*.deb"))
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    run(
        "apt-get",
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
        "--download-only",
        "-o",
        "APT::Sandbox::User=root",
        "-o",
        "Debug::NoLocking=true",
        "-o",
        f"Dir::Cache::archives={folder}",
        *packages,
    )
    complete.touch()
    return sorted(folder.glob("*.deb"))


def enter(arguments: Sequence[str], timeout: float) -> None:
    """Run this program again in new namespaces; raises SetupError when it fails there."""
    command = (*UNSHARE, "--propagation", "private", sys.executable, *sys.argv[:1], *arguments)
    try:
        done = subprocess.run(
            command,
            env=os.environ | {MARK: "1"},
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"the run inside the namespaces took over {timeout:.0f} s") from error
    if done.returncode:
        raise SetupError(f"the run inside the namespaces ended with {done.returncode}")


def furnish(packages: Sequence[Path], out: Path) -> Path:
    """Build the root and move into it; returns where out is to be found from there."""
    if os.environ.get(MARK) != "1":
        raise SetupError("furnish() must run in the namespaces that enter() makes")
    run("mount", "-t", "tmpfs", "dsn", "/mnt")
    upper, work, root = Path("/mnt/upper"), Path("/mnt/work"), Path("/mnt/root")
    for folder in (upper, work, root):
        folder.mkdir()
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "-o", layers, "overlay", str(root))
    for package in packages:
        unpack = f"dpkg-deb --fsys-tarfile '{package}' | tar -x --keep-directory-symlink -C {root}"
        run("sh", "-c", unpack)
    inside = Path("/out")
    (root / "out").mkdir(exist_ok=True)
    run("mount", "--bind", str(out), str(root / "out"))
    _make_devices(root / "dev")
    os.chroot(root)
    os.chdir("/")
    run("mount", "-t", "proc", "proc", "/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "run", "/tmp")
    run("hostname", HOSTNAME)
    run("ip", "link", "set", "lo", "up")
    # OpenSMTPD asks for addresses only if the machine has one that is not 127/8.
    run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    _write_names()
    return inside


def _make_devices(folder: Path) -> None:
    """Make a /dev of its own, so that a socket for the system log can stand in it."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "dev", str(folder))
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        os.mknod(folder / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        (folder / name).chmod(0o666)
    for name in ("fd", "stdin", "stdout", "stderr"):
        target = "/proc/self/fd" if name == "fd" else f"/proc/self/fd/{FILES.index(name)}"
        (folder / name).symlink_to(target)
    (folder / "shm").mkdir(mode=0o1777)


def _write_names() -> None:
    write("/etc/hosts", HOSTS)
    write("/etc/resolv.conf", RESOLV)
    write("/etc/mailname", f"{HOSTNAME}\n")
    write("/etc/hostname", f"{HOSTNAME}\n")
    write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file of the throw-away root, folders and all."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)  # may be a link to a file elsewhere
    place.write_text(text, encoding="utf-8")
    place.chmod(mode)


def add_user(name: str, group: str = "") -> None:
    """Make sure that a system user and its group exist."""
    for kind, entry in (("group", group or name), ("passwd", name)):
        known = subprocess.run(["getent", kind, entry], capture_output=True, check=False)
        if known.returncode == 0:
            continue
        if kind == "group":
            run("groupadd", "--system", entry)
        else:
            run("useradd", "--system", "--gid", group or name, "--no-create-home", name)


def own(path: str, owner: str, mode: int) -> None:
    """Make a folder with an owner ("user:group") and a mode."""
    Path(path).mkdir(parents=True, exist_ok=True)
    run("chown", owner, path)
    Path(path).chmod(mode)
