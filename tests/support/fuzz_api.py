"""Schemathesis against a live server: python -m tests.support.fuzz_api [SECONDS]

Everything that the OpenAPI document describes is asked, with data that fits it and data that does
not: no answer may be a server error or differ from what is described. Mail goes to a closed port.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.support.engine import Engine, configuration, running
from tests.support.fuzz_things import prepare, settings

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "use_after_free",
    "ensure_resource_availability",
)
DEFAULT_TIME = 240
"""Seconds; one pass of every operation, value by value, takes 50 to 120 of them."""
EXTRA = """
[api.limits]
wrong_keys = []
pages = []
[api.login]
enabled = true
attempts = []
[credits]
enabled = true
[webhooks]
allow_private_targets = ["127.0.0.0/8"]
[channels]
sms = "sandbox"
mail = "sandbox"
"""
"""What is off unless somebody wants it, and would be refused as a whole."""


async def fuzz(engine: Engine, seconds: int) -> int:
    """Run schemathesis on a running engine; return its exit code."""
    code, output, errors = await engine.mta(
        "key", "create", "--name", "fuzz", "--scope", "admin", "--json"
    )
    assert code == 0, errors
    key = json.loads(output)["key"]
    things = await prepare(engine, key)
    document = (await engine.call("GET", "/v1/openapi.json")).body
    (engine.directory / "schemathesis.toml").write_text(settings(things, document))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{engine.api}/v1/openapi.json", "--url", engine.api),
        *("--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(seconds)),
        *("--request-timeout", "70", "--suppress-health-check", "all", "--warnings", "off"),
        *("--continue-on-failure", "--no-color"),
        cwd=engine.directory,
    )
    return await process.wait()


async def main(seconds: int) -> int:
    """Start an engine, fuzz it, and see that it is well afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        config = configuration(routing={"*": "smtp://127.0.0.1:1"}, extra=EXTRA)
        config = config.replace("[api]\n", '[api]\npublic_url = "https://mail.sender.test"\n', 1)
        async with running(Path(directory), config) as engine:
            code = await fuzz(engine, seconds)
            assert (await engine.call("GET", "/readyz")).body == {"status": "ok"}
            if "Traceback" in engine.log():
                print(engine.log()[-20_000:], file=sys.stderr)  # noqa: T201
                return 1
            return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TIME)))
