"""`ebb certs`: what a small site needs for ebbd over TCP and a controller of many nodes."""

import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from ebb_cli.failures import CliError, ExitCode
from ebb_cli.session import Session, with_session

if TYPE_CHECKING:
    from ebb_cli.certificate_store import Issued

app = typer.Typer(help="Certificates for ebbd over TCP.", no_args_is_help=True)

# What a topology label's value can be: the orchestrator knows the node by it.
_NODE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")

RIGHTS = MappingProxyType(
    {
        "controller": "change everything: --certificate and --key of ebb-csi --role controller",
        "reader": "look: for whoever watches",
    }
)

DIRECTORY = Annotated[Path, typer.Argument(help="Where the certificates are, or will be.")]
NODES = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="ID[=HOST,…]",
        help="A node's id (node.id of its ebbd), and names or addresses by which it is reached. "
        "May be repeated.",
    ),
]
DAYS = Annotated[int, typer.Option(min=1, max=3650, help="How long certificates are good for.")]
CA_DAYS = Annotated[int, typer.Option(min=1, max=36500, help="How long the CA is good for.")]
RENEW = Annotated[
    bool,
    typer.Option(
        "--renew",
        help="Issue new certificates from the CA that is there: for the nodes given, else for all.",
    ),
]


@app.command("init")
@with_session
def init(
    session: Session,
    directory: DIRECTORY,
    node: NODES = None,
    days: DAYS = 365,
    ca_days: CA_DAYS = 3650,
    renew: RENEW = False,
) -> None:
    """Make a CA, a certificate for each node, and two for clients.

    clients/controller may change everything: it is ebb-csi's. clients/reader may look. Nothing that
    exists is written over; with --renew the CA stays and the certificates are new.
    """
    from ebb_cli.certificate_store import Store  # noqa: PLC0415 - cryptography costs start-up time

    nodes = parse(node or ())
    if not renew and not nodes:
        raise CliError("no node is named", "name each with --node ID", ExitCode.USAGE)
    if not renew and days > ca_days:
        raise CliError(
            f"the certificates ({days} days) would outlive their CA ({ca_days} days)",
            "give fewer --days or more --ca-days",
            ExitCode.USAGE,
        )
    store = Store(directory)
    try:
        issued = (
            store.renew(nodes, session.now, days)
            if renew
            else store.begin(nodes, session.now, days, ca_days)
        )
    except OSError as refused:
        raise CliError(
            f"{refused.filename or directory}: {refused.strerror}",
            "name a directory that you may write to",
        ) from refused
    session.fact_sheet(
        told(issued),
        ids=[one.name for one in issued],
        document={
            "certificates": [
                {
                    "name": one.name,
                    "certificate": str(one.certificate),
                    "key": str(one.key),
                    "ends": f"{one.ends:%Y-%m-%dT%H:%M:%SZ}",
                }
                for one in issued
            ]
        },
    )


def parse(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`ID=HOST,…` as node ids with their hosts; CliError for what no certificate can say."""
    nodes: dict[str, tuple[str, ...]] = {}
    for text in given:
        node_id, _, rest = text.partition("=")
        hosts = tuple(filter(None, rest.split(",")))
        if not _NODE.fullmatch(node_id):
            raise CliError(
                f"{node_id!r} is not a node id that a certificate can have",
                "use at most 63 letters, digits, dots, dashes and underscores, as node.id has it",
                ExitCode.USAGE,
            )
        if wrong := [host for host in hosts if not _HOST.fullmatch(host)]:
            raise CliError(
                f"{wrong[0]!r} is not a host name or address",
                "write --node ID=HOST,HOST, without ports",
                ExitCode.USAGE,
            )
        if node_id in nodes:
            raise CliError(f"node {node_id} is named twice", "name it once", ExitCode.USAGE)
        nodes[node_id] = hosts
    return nodes


def told(issued: "Iterable[Issued]") -> list[tuple[str, str]]:
    """What was made, until when it is good, and where it belongs."""
    lines = []
    for one in issued:
        kind, _, owner = one.name.rpartition("/")
        ends = f"until {one.ends:%Y-%m-%d}"
        if kind == "nodes":
            lines.append((one.name, f"{ends}; certificate and key of api.listen on node {owner}"))
        elif kind == "clients":
            lines.append((one.name, f"{ends}; may {RIGHTS.get(owner, 'do what its URI says')}"))
        else:
            lines.append((f"{one.name}.crt", f"{ends}; client_ca of every node, --ca of ebb-csi"))
            lines.append((f"{one.name}.key", "stays here: whoever has it makes certificates"))
    return lines
