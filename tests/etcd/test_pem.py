"""PEM files: certificates, keys, and the reasons why a file is refused."""

from __future__ import annotations

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming.etcd.pem import check_key, read_certificates, wrong_time

_LEAF = trustme.CA().issue_cert("localhost")
CERTIFICATE = _LEAF.cert_chain_pems[0].bytes()
KEY = _LEAF.private_key_pem.bytes()
DER = read_certificates(CERTIFICATE)[0]
_KEY = load_pem_private_key(KEY, None)
PASSPHRASE = BestAvailableEncryption(b"passphrase")
TRADITIONAL = PrivateFormat.TraditionalOpenSSL

NEITHER = [
    (b"", "empty"),
    (b" \r\n\t", "empty"),
    (b"garbage", "not PEM: no {} in it"),
    (b"\0\0\0\0", "not PEM: no {} in it"),
    (b"0 not DER", "not PEM: no {} in it"),
    (CERTIFICATE.decode().encode("utf-16"), "not PEM: no {} in it"),
    (b"\0" + CERTIFICATE + KEY, "not PEM: no {} in it"),
    (DER, "binary (DER), not PEM: convert it"),
    (
        _KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "binary (DER), not PEM: convert it",
    ),
]


def named(parameter: object) -> str | None:
    """Return a fixed ID, because each worker generates other contents."""
    return "content" if isinstance(parameter, bytes) else None


def damaged(pem: bytes) -> bytes:
    """Return *pem* without the second line of its content."""
    lines = pem.splitlines(keepends=True)
    return b"".join(lines[:2] + lines[3:])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *NEITHER,
        (KEY, "no certificate in it, but EC PRIVATE KEY"),
        (CERTIFICATE[:200], "a certificate in it is cut off"),
        (CERTIFICATE + CERTIFICATE[:200], "a certificate in it is cut off"),
        (CERTIFICATE[:200] + b"\n" + CERTIFICATE, "a certificate in it is cut off"),
        (damaged(CERTIFICATE), "a certificate in it is damaged"),
        (CERTIFICATE + damaged(CERTIFICATE), "a certificate in it is damaged"),
    ],
    ids=named,
)
def test_file_without_certificates_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    """The reason is written to follow the file's name in an error."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the words are compared
        read_certificates(content)
    assert str(refused.value) == reason.format("certificate")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *NEITHER,
        (CERTIFICATE, "no private key in it, but CERTIFICATE"),
        (KEY[:100], "a private key in it is cut off"),
        (damaged(KEY), "a private key in it is damaged"),
        *(
            (
                _KEY.private_bytes(Encoding.PEM, form, PASSPHRASE),
                "an encrypted key, and gRPC takes no passphrase: decrypt it",
            )
            for form in (PrivateFormat.PKCS8, TRADITIONAL)
        ),
    ],
    ids=named,
)
def test_file_without_a_usable_key_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    """The reason is written to follow the file's name in an error."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the words are compared
        check_key(content)
    assert str(refused.value) == reason.format("private key")


@pytest.mark.parametrize(
    "content",
    [
        CERTIFICATE,
        CERTIFICATE.replace(b"\n", b"\r\n"),
        b"subject=CN = \xc3\xa9\n\n" + CERTIFICATE + b"\n\n",
        KEY + CERTIFICATE,
        CERTIFICATE.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    ],
    ids=named,
)
def test_certificate_is_found_in_every_format_that_grpc_accepts(content: bytes) -> None:
    """The file may have comments, Windows line endings and blocks of other types."""
    assert read_certificates(content) == [DER]


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        KEY.replace(b"\n", b"\r\n"),
        CERTIFICATE + KEY,
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + KEY,
        _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
    ids=named,
)
def test_key_is_found_in_every_format_that_grpc_accepts(content: bytes) -> None:
    """The file may contain a certificate, too."""
    check_key(content)


@given(st.binary(max_size=200), st.integers(0, len(DER)))
def test_validity_check_accepts_any_bytes(data: bytes, cut: int) -> None:
    """A server may send any bytes as its certificate, and the check must not crash."""
    for certificate in (data, DER[:cut] + data, DER[:cut] + data + DER[cut + len(data) :]):
        assert isinstance(wrong_time(certificate), str)
