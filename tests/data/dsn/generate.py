"""Make delivery status notifications with the mail servers of Debian, their truth known.

    python tests/data/dsn/generate.py --out DIR [--only postfix] [--cache DIR]

Needs root on Debian 12 or later and a package mirror; everything runs in namespaces on loopback
and nothing on the machine is changed (maker/world.py). What is made: README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

from maker import fates, world  # noqa: E402
from maker.cases import Case, build  # noqa: E402
from maker.receiver import Caught, Receiver, lay_out  # noqa: E402
from maker.servers import LOG, Exim, OpenSmtpd, Postfix, Sendmail, Server  # noqa: E402
from maker.small_servers import Chasquid, Dma, Nullmailer  # noqa: E402
from maker.truth import Report, harvest  # noqa: E402

SERVERS: dict[str, type[Server]] = {
    server.name: server
    for server in (Postfix, Exim, OpenSmtpd, Sendmail, Dma, Nullmailer, Chasquid)
}
TIME_LIMIT = 240.0
"""Seconds for one run of one server; the namespace ends with it."""


def main() -> int:
    """Run the servers one after the other and write what came back."""
    options = _options()
    if options.inside:
        asyncio.run(_inside(SERVERS[options.inside[0]](), options.inside[1], options.out))
        return 0
    try:
        _check()
        for name in options.only or SERVERS:
            _make(SERVERS[name], options.out, options.cache)
    except world.SetupError as error:
        sys.stderr.write(f"generate.py: {error}\n")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--only", action="append", choices=SERVERS, help="one server; repeatable")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/mailwright-dsn")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _check() -> None:
    if os.geteuid() != 0:
        raise world.SetupError("it has to run as root, to make namespaces")
    tools = ("unshare", "apt-get", "dpkg-deb", "mount", "ip", "hostname", "setpriv", "openssl")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        packages = "util-linux apt dpkg mount iproute2 hostname openssl"
        raise world.SetupError(f"not found: {' '.join(missing)}; apt-get install {packages}")


def _make(server: type[Server], out: Path, cache: Path) -> None:
    """Make the files of one server anew and put them into the manifest."""
    cases = build(fates.load(HERE / "replies.toml"), server.can)
    reports: list[Report] = []
    version = ""
    kinds = sorted({_run_of(case) for case in cases})
    for kind in kinds:
        version, caught, refused, log = _run(server, kind, cache)
        mine = [case for case in cases if _run_of(case) == kind]
        found, left_out = harvest([case for case in mine if case.number not in refused], caught)
        reports += found
        notes = [*left_out, *(f"case {number}: not taken" for number in refused)]
        _say(f"{server.name} {version}, {kind}: {len(found)} reports\n")
        _say("".join(f"  left out: {note}\n" for note in notes))
        (cache / f"{server.name}-{kind}.log").write_text(log, encoding="utf-8")
    reports.sort(key=lambda report: report.case.number)
    _write(server.name, version, reports, out)


def _run_of(case: Case) -> str:
    return "delay" if case.kind == "delay" else "bounce"


def _run(server: type[Server], kind: str, cache: Path) -> tuple[str, list[Caught], list[int], str]:
    """Run a server once; returns its version, the reports, refused cases and its log."""
    packages = world.fetch(server.packages, cache)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "packages").mkdir()
        for package in packages:
            shutil.copy(package, folder / "packages")
        world.enter(["--out", name, "--inside", server.name, kind], TIME_LIMIT)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    caught = [Caught(path, base64.b64decode(data)) for path, data in result["caught"]]
    return result["version"], caught, result["refused"], result["log"]


async def _inside(server: Server, kind: str, out: Path) -> None:
    """Run a server within the namespaces and leave the result in out."""
    packages = sorted((out / "packages").glob("*.deb"))
    everything = build(fates.load(HERE / "replies.toml"), server.can)
    cases = [case for case in everything if _run_of(case) == kind]
    place = world.furnish(packages, out)
    Path("/packages").symlink_to(place / "packages")
    receiver = Receiver(lay_out(cases))
    await receiver.start()
    await receiver.keep_log(Path(LOG))
    server.prepare(kind)
    server.start()
    refused = await asyncio.to_thread(server.submit, cases)
    await _reap(receiver, cases, refused, server.patience)
    log = Path(LOG)
    result = {
        "version": server.version(),
        "caught": [
            [item.return_path, base64.b64encode(item.data).decode()] for item in receiver.caught
        ],
        "refused": [case.number for case in refused],
        "log": log.read_text(encoding="utf-8", errors="replace") if log.exists() else "",
    }
    (place / "result.json").write_text(json.dumps(result), encoding="utf-8")


async def _reap(
    receiver: Receiver, cases: Sequence[Case], refused: Sequence[Case], patience: float
) -> None:
    """Wait until every case has a report and no more come, or none has come for a while."""
    wanted = {case.return_path.lower() for case in cases}
    wanted -= {case.return_path.lower() for case in refused}
    while missing := wanted - receiver.seen:
        try:
            async with asyncio.timeout(patience):
                while wanted - receiver.seen == missing:
                    receiver.grown.clear()
                    await receiver.grown.wait()
        except TimeoutError:
            return
    await asyncio.sleep(4)  # a message may have a second report


def _write(server: str, version: str, reports: Sequence[Report], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else []
    entries = [entry for entry in entries if entry["server"] != server]
    for old in out.glob(f"{server}-*.eml"):
        old.unlink()
    for number, report in enumerate(reports, 1):
        name = f"{server}-{number:03}.eml"
        (out / name).write_bytes(report.data)
        entries.append({"file": name, "server": server, "version": version, **report.entry})
    entries.sort(key=lambda entry: entry["file"])
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    manifest.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
