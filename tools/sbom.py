"""A bill of materials (CycloneDX 1.6, JSON) of what `requirements.lock` deploys.

    python -m tools.sbom > sbom.json

Names, versions, digests and licences; nothing about the machine it is made on, so that the same
lock gives the same bill. Licences are those that installed packages declare, left out for packages
that are not installed here (they are of other platforms or Python versions).
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")


def locked(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return name -> version and SHA-256 digests of a lock file.

    Raises:
        ValueError: a line that is neither a pin nor a digest.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in text.splitlines():
        if pin := _PIN.match(line):
            name = pin["name"].lower()
            found[name] = (pin["version"], [])
        elif digest := _HASH.search(line):
            found[name][1].append(digest["digest"])
        elif line.strip():
            raise ValueError(f"not a pin: {line!r}")
    return found


def bill(root: Path) -> dict[str, Any]:
    """Return the whole document for the project below `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = locked((root / "requirements.lock").read_text())
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    parts = [_component(name, *pin) for name, pin in sorted(pins.items())]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "purl": own,
            }
        },
        "components": parts,
        "dependencies": [{"ref": own, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _component(name: str, version: str, digests: list[str]) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        # One for each file that may be installed, depending on platform and Python version.
        "properties": [{"name": "pip:hash:sha256", "value": digest} for digest in digests],
    }
    if licence := _licence(name):
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def _licence(name: str) -> str:
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    declared = about.get("License-Expression") or about.get("License") or ""
    classified = [
        one.rpartition(" :: ")[2]
        for one in about.get_all("Classifier", [])
        if one.startswith("License ::")
    ]
    short = declared if 0 < len(declared) < 60 else ""
    return short or ", ".join(classified)


if __name__ == "__main__":
    json.dump(bill(ROOT), sys.stdout, indent=2)
    sys.stdout.write("\n")
