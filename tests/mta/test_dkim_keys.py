"""DKIM keys: formats that are read, files that are written, records that are published."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from mta.dkim_keys import (
    ED25519,
    RSA,
    KeyFileError,
    PrivateKey,
    create_keys,
    key_file,
    selectors_for,
)

BOTH = (RSA, ED25519)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()
WEAK_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
SEED = base64.b64encode(ED25519_KEY.private_bytes_raw())


def pem(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@pytest.mark.parametrize(
    ("data", "algorithm"),
    [
        (pem(RSA_KEY), RSA),
        (pem(RSA_KEY, PrivateFormat.TraditionalOpenSSL), RSA),
        (b"\n" + pem(RSA_KEY).replace(b"\n", b"\r\n") + b"\n", RSA),
        (pem(ED25519_KEY), ED25519),
        (SEED, ED25519),
        (SEED + b"\n", ED25519),
    ],
    ids=["PKCS#8", "PKCS#1", "CRLF and blank lines", "Ed25519 PKCS#8", "seed", "seed and newline"],
)
def test_n05_reads_the_formats_that_tools_write(data: bytes, algorithm: str) -> None:
    key = PrivateKey.parse(data)
    assert key.algorithm == algorithm
    assert PrivateKey.parse(key.to_pem()) == key


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a private key"),
        (b"nonsense", "not a private key"),
        (pem(RSA_KEY)[:200], "not a private key"),
        (
            RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "not a private key",
        ),
        (pem(RSA_KEY, encryption=BestAvailableEncryption(b"secret")), "is encrypted"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
        (pem(WEAK_KEY), "has 1024 bits"),
        (SEED[:-4], "not a private key"),
    ],
    ids=["empty", "nonsense", "cut", "public", "encrypted", "EC", "RSA-1024", "short seed"],
)
def test_n05_says_why_a_key_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(KeyFileError, match=reason):
        PrivateKey.parse(data)


def test_a_private_key_shows_no_secret() -> None:
    key = PrivateKey.parse(pem(ED25519_KEY))
    assert repr(key) == f"PrivateKey(algorithm='{ED25519}', public_key='{key.public_key}')"


def test_public_keys_are_what_the_record_wants() -> None:
    rsa_public = load_der_public_key(base64.b64decode(PrivateKey.parse(pem(RSA_KEY)).public_key))
    assert rsa_public == RSA_KEY.public_key()
    ed25519_public = base64.b64decode(PrivateKey.parse(SEED).public_key)
    assert ed25519_public == ED25519_KEY.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("algorithms", "selectors"),
    [
        ((RSA,), {RSA: "s1"}),
        ((ED25519,), {ED25519: "s1"}),
        ((RSA, ED25519), {RSA: "s1", ED25519: "s1-ed25519"}),
        ((ED25519, RSA), {ED25519: "s1", RSA: "s1-rsa"}),
    ],
)
def test_the_first_key_has_the_selector_itself(
    algorithms: tuple[str, ...], selectors: dict[str, str]
) -> None:
    assert selectors_for("s1", algorithms) == selectors


@pytest.mark.parametrize(
    ("algorithms", "given", "expected"),
    [
        ((RSA, ED25519), None, [("s1", RSA), ("s1-ed25519", ED25519)]),
        ((ED25519, RSA), None, [("s1", RSA), ("s1-ed25519", ED25519)]),
        ((ED25519,), None, [("s1", ED25519)]),
        (BOTH, pem(RSA_KEY), [("s1", RSA), ("s1-ed25519", ED25519)]),
        (BOTH, SEED, [("s1", ED25519), ("s1-rsa", RSA)]),
        ((RSA,), SEED, [("s1", ED25519), ("s1-rsa", RSA)]),
    ],
    ids=["both", "order of the setting", "one", "given RSA", "given Ed25519", "given is added"],
)
def test_create_keys(
    tmp_path: Path,
    algorithms: tuple[str, ...],
    given: bytes | None,
    expected: list[tuple[str, str]],
) -> None:
    records = create_keys(tmp_path, "example.com", "s1", algorithms, given)
    assert [(record.selector, record.algorithm) for record in records] == expected
    for record in records:
        stored = PrivateKey.parse((tmp_path / record.key_file).read_bytes())
        assert (stored.algorithm, stored.public_key) == (record.algorithm, record.public_key)
    if given is not None:
        assert records[0].public_key == PrivateKey.parse(given).public_key


def test_key_files_are_for_their_owner_only(tmp_path: Path) -> None:
    create_keys(tmp_path, "example.com", "s1", BOTH, None)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert modes == {
        "keys": 0o700,
        "keys/example.com": 0o700,
        "keys/example.com/s1.pem": 0o600,
        "keys/example.com/s1-ed25519.pem": 0o600,
    }


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    first = create_keys(tmp_path, "example.com", "s1", BOTH, None)
    assert create_keys(tmp_path, "example.com", "s1", BOTH, None) == first


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    create_keys(tmp_path, "example.com", "s1", (RSA,), pem(RSA_KEY))
    other = PrivateKey.generate(RSA).to_pem()
    with pytest.raises(KeyFileError, match="already holds another key"):
        create_keys(tmp_path, "example.com", "s1", (RSA,), other)
    with pytest.raises(KeyFileError, match="already holds another key"):
        create_keys(tmp_path, "example.com", "s1", (), SEED)


def test_a_draft_that_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    draft = tmp_path / "keys" / "example.com" / "s1.new"
    draft.parent.mkdir(parents=True)
    draft.write_text("half a k")
    create_keys(tmp_path, "example.com", "s1", (ED25519,), None)
    assert not draft.exists()


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(KeyFileError, match=r"cannot store the key in .*s1\.pem: \w+"):
        create_keys(tmp_path, "example.com", "s1", (ED25519,), None)


@pytest.mark.parametrize(
    ("domain", "selector"),
    [
        ("example.com", "../../etc/passwd"),
        ("example.com", "a/b"),
        ("example.com", "."),
        ("example.com", ""),
        ("example.com", "s1\n"),
        ("example.com", "S1"),
        ("example.com", "-s1"),
        ("example.com", "s" * 64),
        ("..", "s1"),
        ("", "s1"),
        ("/example.com", "s1"),
        ("exämple.com", "s1"),
        ("example.com; rm", "s1"),
        (".".join(["a" * 60] * 4), "s1"),
    ],
)
def test_names_that_are_no_dns_names_never_reach_a_path(
    tmp_path: Path, domain: str, selector: str
) -> None:
    with pytest.raises(KeyFileError):
        create_keys(tmp_path, domain, selector, (ED25519,), None)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_when_the_second_name_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="not a DNS name"):
        create_keys(tmp_path, "example.com", "s" * 60, BOTH, None)
    assert not list(tmp_path.iterdir())


def test_selectors_may_have_dots() -> None:
    assert key_file("example.com", "2026.mail") == "keys/example.com/2026.mail.pem"
