"""The certificate by which ebb-csi is known to the nodes, and the CA by which it knows them."""

from dataclasses import dataclass
from pathlib import Path

import grpc


class CredentialsError(Exception):
    """The files cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True)
class Material:
    """Their contents, checked to be whole: the same contents are the same material."""

    certificate: bytes
    key: bytes
    ca: bytes

    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


def read(files: TlsFiles) -> Material:
    """Raises CredentialsError, also for a certificate whose key is not there yet (a rotation that
    is half done).
    """
    # Time and memory that only a controller for many nodes shall pay.
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above

    try:
        found = Material(
            files.certificate.read_bytes(), files.key.read_bytes(), files.ca.read_bytes()
        )
    except OSError as error:
        raise CredentialsError(
            f"{error.filename} cannot be read: {error.strerror}; 'ebb certs init' makes "
            "certificates, --certificate, --key and --ca say where they are"
        ) from error
    try:
        certificate = x509.load_pem_x509_certificate(found.certificate)
        key = serialization.load_pem_private_key(found.key, password=None)
        x509.load_pem_x509_certificates(found.ca)
    except (ValueError, TypeError) as error:
        raise CredentialsError(
            f"{files.certificate}, {files.key} and {files.ca} are not a certificate, a key without "
            f"a password and a CA, in PEM: {error}"
        ) from error
    encoding = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*encoding) != certificate.public_key().public_bytes(*encoding):
        raise CredentialsError(
            f"{files.certificate} and {files.key} do not belong together; give the two files of "
            "one pair"
        )
    return found
