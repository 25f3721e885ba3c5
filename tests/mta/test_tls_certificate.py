from __future__ import annotations

import logging
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from mta.tls_certificate import COMPATIBLE, MODERN, ServerTls, TlsCertificateError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Files:
    """A certificate and its key, replaced as tools for renewal do: new file, then rename."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.certificate = directory / "certificate.pem"
        self.key = directory / "key.pem"
        self.install(self.authority.issue_cert("mx.test"))

    def install(self, pair: trustme.LeafCert, *, key: bool = True) -> None:
        self._replace(self.certificate, pair.cert_chain_pems[0].bytes())
        if key:
            self._replace(self.key, pair.private_key_pem.bytes())

    def _replace(self, path: Path, content: bytes) -> None:
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def served_serial(tls: ServerTls, authority: trustme.CA, name: str | None = "mx.test") -> str:
    """Return the serial number of the certificate that a handshake shows."""
    trust = ssl.create_default_context()
    trust.check_hostname = False
    authority.configure_trust(trust)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with tls.context.wrap_socket(theirs, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with trust.wrap_socket(ours, server_hostname=name) as connection:
        shown = connection.getpeercert()
        connection.sendall(b"x")
    thread.join()
    assert shown
    return str(shown["serialNumber"])


@pytest.mark.parametrize("name", ["mx.test", None])
def test_a_new_pair_is_served_after_a_second(files: Files, name: str | None) -> None:
    clock = Clock()
    tls = ServerTls(files.certificate, files.key, monotonic=clock)
    first = served_serial(tls, files.authority, name)
    files.install(files.authority.issue_cert("mx.test"))
    assert served_serial(tls, files.authority, name) == first
    clock.now = 1.0
    second = served_serial(tls, files.authority, name)
    assert second != first
    clock.now = 2.0
    assert served_serial(tls, files.authority, name) == second


def test_a_bad_pair_leaves_the_old_one_and_is_told_once(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    tls = ServerTls(files.certificate, files.key, monotonic=clock)
    first = served_serial(tls, files.authority)
    renewed = files.authority.issue_cert("mx.test")
    files.install(renewed, key=False)  # the old key does not fit
    for _ in range(3):
        clock.now += 1.0
        assert served_serial(tls, files.authority) == first
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert str(files.certificate) in errors[0].message
    files.install(renewed)
    clock.now += 1.0
    assert served_serial(tls, files.authority) != first


def test_a_missing_file_leaves_the_old_pair(files: Files) -> None:
    clock = Clock()
    tls = ServerTls(files.certificate, files.key, monotonic=clock)
    first = served_serial(tls, files.authority)
    files.key.unlink()
    clock.now = 1.0
    assert served_serial(tls, files.authority) == first


def test_what_cannot_be_loaded_at_the_start(files: Files) -> None:
    files.certificate.write_text("not a certificate")
    with pytest.raises(TlsCertificateError, match=r"certificate\.pem"):
        ServerTls(files.certificate, files.key)
    files.certificate.unlink()
    with pytest.raises(TlsCertificateError, match="No such file"):
        ServerTls(files.certificate, files.key)


def test_old_protocols_are_refused(files: Files) -> None:
    tls = ServerTls(files.certificate, files.key)
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("offered", "cipher", "is_served"),
    [
        (MODERN, "ECDHE-RSA-AES128-GCM-SHA256", True),
        (MODERN, "ECDHE-RSA-CHACHA20-POLY1305", True),
        (MODERN, "ECDHE-RSA-AES128-SHA256", False),
        (COMPATIBLE, "ECDHE-RSA-AES128-SHA256", True),
    ],
)
def test_clients_of_ours_get_no_cbc(
    files: Files, offered: str, cipher: str, is_served: bool
) -> None:
    files.install(files.authority.issue_cert("mx.test", key_type=trustme.KeyType.RSA))
    tls = ServerTls(files.certificate, files.key, ciphers=offered)
    client = ssl.create_default_context()
    files.authority.configure_trust(client)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(cipher)
    assert _meets(tls.context, client) is is_served


def _meets(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Tell whether a handshake of the two succeeds, in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname="mx.test")
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(10):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return asking.cipher() is not None and answering.cipher() is not None
