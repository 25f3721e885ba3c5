"""`python -m tests.fuzz.run TARGET SECONDS`: fuzz one target; `... all SECONDS` each in turn.

Inputs that found new paths are kept in .fuzz/TARGET for the next run; one that fails is printed and
written beside them, and the exit code is 1.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CORPUS = Path(".fuzz")
SECONDS_AN_INPUT = 5
MEMORY_MB = 2048


def main() -> int:
    """Read the arguments and run."""
    name, seconds = sys.argv[1], int(sys.argv[2])
    if name == "all":
        return _run_all(seconds)
    _fuzz(name, seconds)
    return 0


def _run_all(seconds: int) -> int:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented in the processes below

    failed = []
    for name in TARGETS:
        print(f"== {name}, {seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz.run", name, str(seconds)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return 1 if failed else 0


def _fuzz(name: str, seconds: int) -> None:
    import atheris  # noqa: PLC0415 - slow to import, and only for this

    with atheris.instrument_imports(include=["mta", "control_api", "config"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={corpus}/failed-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


def _seeds(name: str) -> list[bytes]:
    """Return real inputs to begin with."""
    if name == "report":
        folder = Path(__file__).parent.parent / "data" / "dsn"
        return [path.read_bytes() for path in sorted(folder.rglob("*.eml"))[:200]]
    arf = (
        b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
        b"Original-Rcpt-To: <a@b.test>\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"X-HmXmrOriginalRecipient: a@b.test\r\nTo: a@b.test\r\n\r\nx\r\n--b--\r\n"
    )
    examples = {
        "complaint": [arf],
        "command": [b"MAIL FROM:<ant@a.test> SIZE=10", b"RCPT TO:<bee@b.test> NOTIFY=NEVER"],
        "address": [b"Ant <ant@a.test>", '"a b"@bücher.example'.encode()],
        "header": [b"From: Ant <ant@a.test>\r\nTo: bee@b.test\r\nSubject: =?utf-8?q?x?=\r\n"],
        "message": [b"Subject: x\r\n\r\n..\r\nbody\r\n.\r\nQUIT\r\n"],
        "reply": [b"250-a\r\n250 2.0.0 ok\r\n", b"550 5.1.1 user unknown\r\n"],
        "request": [b'{"from":"a@b.test","to":["c@d.test"],"subject":"s","html":"<p>","tags":{}}'],
        "html": [b"<a href='https://a.test/?b&amp;c'>x</a><!-- <a> --><style>a{}</style></body>"],
        "template": [b"{{#if a}}{{#each a}}{{this.b}}{{/each}}{{else}}{{{c}}}{{/if}}{{c|upcase}}"],
        "suppressions": [b'email,reason,expires_at\r\n"a@b.test",manual,2027-01-01T00:00:00Z\r\n'],
        "form": [b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nz\r\n--b--\r\n'],
    }
    return examples.get(name, [])


if __name__ == "__main__":
    sys.exit(main())
