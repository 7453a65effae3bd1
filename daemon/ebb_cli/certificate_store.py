"""A site's certificates in one directory: `ca`, `nodes/ID` and `clients/NAME`, .crt and .key each.

A CA is never written over. What a renewal replaces goes file by file through a rename, key first:
who reads between the two finds a pair that does not fit, keeps what it has, and looks again.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from cryptography import x509

from ebb_cli import authority
from ebb_cli.authority import Leaf, Pair
from ebb_cli.failures import CliError, ExitCode

CLIENTS = MappingProxyType({"controller": "change", "reader": "stats"})
KEY_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate on disk: `name` is its path in the directory, without the ending."""

    name: str
    certificate: Path
    key: Path
    ends: datetime


class Store:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(
        self, nodes: Mapping[str, tuple[str, ...]], now: datetime, days: int, ca_days: int
    ) -> list[Issued]:
        """A new CA, and certificates for these nodes and the two clients.

        Raises CliError, before anything is written, where any of the files is there already.
        """
        leaves = {f"nodes/{node}": authority.node(node, hosts) for node, hosts in nodes.items()}
        leaves |= {
            f"clients/{name}": authority.client(name, right) for name, right in CLIENTS.items()
        }
        there = [path for name in ("ca", *leaves) for path in self._files(name) if path.exists()]
        if there:
            raise CliError(
                f"{there[0]} is there already, and nothing is written over it",
                "issue new certificates from the CA that is there with --renew, or name an empty "
                "directory",
                ExitCode.CONFLICT,
            )
        ca = authority.new_authority(now, ca_days)
        issued = [self._write("ca", ca)]
        return issued + self._issue(ca, leaves, now, days)

    def renew(self, nodes: Mapping[str, tuple[str, ...]], now: datetime, days: int) -> list[Issued]:
        """New certificates from the CA that is there: for these nodes, or (none given) for
        everybody who has one, with the names they have.
        """
        ca = self._authority()
        leaves = {f"nodes/{node}": authority.node(node, hosts) for node, hosts in nodes.items()}
        if not leaves:
            leaves = {
                str(path.relative_to(self._directory).with_suffix("")): self._described(path)
                for kind in ("nodes", "clients")
                for path in sorted((self._directory / kind).glob("*.crt"))
            }
        if now + timedelta(days=days) > ca.certificate.not_valid_after_utc:
            raise CliError(
                f"the CA ends on {ca.certificate.not_valid_after_utc:%Y-%m-%d}, before the new "
                "certificates would",
                "give fewer --days, or begin with a new CA in another directory and let both CAs "
                "be trusted while you change over",
            )
        return self._issue(ca, leaves, now, days)

    def _issue(
        self, ca: Pair, leaves: Mapping[str, Leaf], now: datetime, days: int
    ) -> list[Issued]:
        return [
            self._write(name, authority.issue(ca, leaf, now, days)) for name, leaf in leaves.items()
        ]

    def _authority(self) -> Pair:
        certificate, key = self._files("ca")
        try:
            return authority.read(certificate.read_bytes(), key.read_bytes())
        except FileNotFoundError as missing:
            raise CliError(
                f"there is no {missing.filename} to issue from",
                "name the directory that `ebb certs init` made, or leave --renew out to begin",
                ExitCode.NOT_FOUND,
            ) from missing
        except ValueError as wrong:
            raise CliError(
                f"{certificate} and {key} are not a CA of ebb's: {wrong}",
                "restore them from where they are kept",
            ) from wrong

    @staticmethod
    def _described(path: Path) -> Leaf:
        try:
            return authority.described(x509.load_pem_x509_certificate(path.read_bytes()))
        except (ValueError, x509.ExtensionNotFound) as wrong:
            raise CliError(
                f"{path} is not a certificate of ebb's: {wrong}",
                "move it away, or name its node with --node",
            ) from wrong

    def _files(self, name: str) -> tuple[Path, Path]:
        return self._directory / f"{name}.crt", self._directory / f"{name}.key"

    def _write(self, name: str, pair: Pair) -> Issued:
        certificate, key = self._files(name)
        certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(key, pair.key_pem, KEY_MODE)
        _replace(certificate, pair.certificate_pem, 0o644)
        return Issued(name, certificate, key, pair.certificate.not_valid_after_utc)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Never with more rights than `mode`, not even for a moment."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except BaseException:
        hidden.unlink()
        raise
