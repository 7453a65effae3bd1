"""The files by which ebbd is known over TLS, read again for every new connection.

What is on disk is used once it is whole: a certificate without its key yet, or one that names
another node, changes nothing and is told in the log. Connections that exist stay as they are.
"""

import threading
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from ebb_pb.identities import ANY_NODE

from ebbd.config import ListenConfig
from ebbd.errors import EbbError, InvalidInput


@dataclass(frozen=True, slots=True)
class Material:
    """The contents of the three files, in PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes


def read(listen: ListenConfig) -> Material:
    """Raises InvalidInput for a file that cannot be read."""
    return Material(_content(listen.certificate), _content(listen.key), _content(listen.client_ca))


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}",
            "'ebb certs init' makes certificates, api.listen says where they are",
        ) from error


def check(material: Material, node_id: str) -> datetime:
    """When the certificate ends. InvalidInput: not PEM, not one pair, or not this node's."""
    try:
        certificate = x509.load_pem_x509_certificate(material.certificate)
        key = serialization.load_pem_private_key(material.key, password=None)
        x509.load_pem_x509_certificates(material.client_ca)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"the files of api.listen are not a certificate, a key and a CA in PEM: {error}",
            "give the key without a password, and the CA's certificate as client_ca",
        ) from error
    if _public(key.public_key()) != _public(certificate.public_key()):
        raise InvalidInput(
            "the certificate and the key of api.listen do not belong together",
            "give the two files of one pair",
        )
    if missing := {node_id, ANY_NODE} - names(certificate):
        raise InvalidInput(
            f"the certificate of api.listen does not name node {node_id!r}: it lacks "
            f"{' and '.join(sorted(missing))}, without which the controller refuses it",
            f"make one with 'ebb certs init DIR --node {node_id}'",
        )
    return certificate.not_valid_after_utc


def _public(key: object) -> bytes:
    # The stubs name every algorithm's class apart; each of them has this method.
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def names(certificate: x509.Certificate) -> set[str]:
    """DNS and IP names, as text."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(ip_address(str(ip))) for ip in found.get_values_for_type(x509.IPAddress)}
    return {*found.get_values_for_type(x509.DNSName), *addresses}


class Rotation:
    """What gRPC asks at each handshake, in threads of its own."""

    def __init__(
        self, listen: ListenConfig, node_id: str, log: structlog.stdlib.BoundLogger
    ) -> None:
        """Raises InvalidInput when the files are not right from the start."""
        self._listen = listen
        self._node_id = node_id
        self._log = log
        self._lock = threading.Lock()
        self._used = read(listen)
        self._told = ""
        log.info("certificate", ends=check(self._used, node_id).isoformat())

    def credentials(self) -> grpc.ServerCredentials:
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._used),
            self._fetch,  # type: ignore[arg-type]  # None is documented, the stubs lack it
            require_client_authentication=True,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The new files' contents when they are whole; None: go on with those in use."""
        with self._lock:
            try:
                found = read(self._listen)
                if found == self._used:
                    return None
                ends = check(found, self._node_id)
            except EbbError as wrong:
                if str(wrong) != self._told:
                    self._log.error("certificate not taken", why=str(wrong))
                self._told = str(wrong)
                return None
            self._used, self._told = found, ""
            self._log.info("certificate", ends=ends.isoformat())
            return _configuration(found)


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificate)], root_certificates=material.client_ca
    )
