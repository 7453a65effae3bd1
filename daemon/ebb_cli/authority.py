"""A small certificate authority: one for the site, a certificate for each node and client.

Values in, values out: the time is an argument and nothing is written. Keys are ECDSA P-256.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from ebb_pb.identities import ANY_NODE, RIGHTS_URI

# A node whose clock lags a little must not find a new certificate to be of the future.
SKEW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a certificate says of its owner."""

    common_name: str
    names: tuple[x509.GeneralName, ...]
    usage: x509.ObjectIdentifier


def new_authority(now: datetime, days: int) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ebb CA {now:%Y-%m-%d}")])
    certificate = (
        _started(name, name, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def node(node_id: str, hosts: tuple[str, ...]) -> Leaf:
    """A node answers to its id, to the name that all nodes have, and to where it is reached."""
    names = dict.fromkeys((node_id, ANY_NODE, *hosts))
    return Leaf(node_id, tuple(_name(name) for name in names), ExtendedKeyUsageOID.SERVER_AUTH)


def client(name: str, right: str) -> Leaf:
    uri = x509.UniformResourceIdentifier(f"{RIGHTS_URI}{right}")
    return Leaf(name, (uri,), ExtendedKeyUsageOID.CLIENT_AUTH)


def described(certificate: x509.Certificate) -> Leaf:
    """What a certificate that this module made says, to make it again."""
    extensions = certificate.extensions
    [common_name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    [usage] = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Leaf(str(common_name.value), tuple(names), usage)


def issue(authority: Pair, leaf: Leaf, now: datetime, days: int) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)])
    issuer = authority.certificate
    certificate = (
        _started(subject, issuer.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([leaf.usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(leaf.names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def read(certificate_pem: bytes, key_pem: bytes) -> Pair:
    """Raises ValueError when these are not a pair of this module's kind."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError as locked:
        raise ValueError("the key has a password") from locked
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not an ECDSA key")  # noqa: TRY004 - a content, not a type
    if key.public_key() != certificate.public_key():
        raise ValueError("certificate and key do not belong together")
    return Pair(certificate, key)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _started(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
