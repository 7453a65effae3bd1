"""A site's certificates for tests, made by the code that `ebb certs` uses, and ways to use them."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from ebb_cli import authority
from ebb_cli.authority import Leaf, Pair
from ebb_pb.identities import ANY_NODE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Files:
    """Where a pair lies."""

    certificate: Path
    key: Path


@dataclass
class Site:
    """One CA, and certificates written below `folder` as they are asked for."""

    folder: Path
    ca: Pair = field(default_factory=lambda: authority.new_authority(datetime.now(UTC), 30))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file.write_bytes(self.ca.certificate_pem)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    def node(self, node_id: str, hosts: Sequence[str] = ("127.0.0.1",), days: int = 1) -> Files:
        return self.issue(node_id, authority.node(node_id, tuple(hosts)), days)

    def client(self, right: str, days: int = 1) -> Files:
        return self.issue(f"client-{right}", authority.client(f"client-{right}", right), days)

    def issue(self, name: str, leaf: Leaf, days: int = 1) -> Files:
        """`days` below 0: it has ended already. Written over what is there."""
        now = datetime.now(UTC)
        began = now if days > 0 else now + timedelta(days=days - 1)
        pair = authority.issue(self.ca, leaf, began, abs(days))
        files = Files(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files.key.write_bytes(pair.key_pem)
        files.certificate.write_bytes(pair.certificate_pem)
        return files

    def channel(self, port: int, client: Files | None, name: str = ANY_NODE) -> grpc.aio.Channel:
        """To a node that has to answer to `name`."""
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.ca_file.read_bytes(),
            private_key=client.key.read_bytes() if client else None,
            certificate_chain=client.certificate.read_bytes() if client else None,
        )
        options = (("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1))
        return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
