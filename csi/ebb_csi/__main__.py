"""`ebb-csi`: reads its command line, serves until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from ebb_csi import logs, validate
from ebb_csi.app import EndpointError, Nodes, Role, Settings, endpoint_path, serve
from ebb_csi.credentials import CredentialsError, TlsFiles
from ebb_csi.places import FromDns, FromFile, PlacesError

DEFAULT_DRIVER_NAME = "csi.ebb.internal"
DEFAULT_EBBD = "unix:///run/ebb/ebbd.sock"
DEFAULT_ENDPOINT = "unix:///csi/csi.sock"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="ebb-csi",
        description="The CSI plugin of ebb: validates, translates and routes calls to ebbd.",
    )
    made.add_argument(
        "--role",
        choices=[role.value for role in Role],
        default=Role.ALL.value,
        help="which services to offer: node (Identity, Node), controller (Identity, Controller, "
        "GroupController) or all (default)",
    )
    made.add_argument(
        "--endpoint",
        default=os.environ.get("CSI_ENDPOINT", DEFAULT_ENDPOINT),
        help=f"unix socket to serve CSI on (default: $CSI_ENDPOINT, or {DEFAULT_ENDPOINT})",
    )
    where = made.add_mutually_exclusive_group()
    where.add_argument("--ebbd", help=f"the one ebbd's address (default: {DEFAULT_EBBD})")
    where.add_argument(
        "--nodes",
        type=Path,
        metavar="FILE",
        help="a controller for many nodes: a file with a line `ID: HOST:PORT` for each; it is "
        "read again when it changes",
    )
    where.add_argument(
        "--nodes-dns",
        metavar="NAME:PORT",
        help="the same for all addresses of a name, such as that of a headless Service",
    )
    for option, what in (
        ("--certificate", "this plugin's certificate"),
        ("--key", "its key"),
        ("--ca", "the CA of the nodes' certificates"),
    ):
        made.add_argument(
            option, type=Path, metavar="FILE", help=f"{what}, in PEM, with --nodes or --nodes-dns"
        )
    made.add_argument(
        "--driver-name",
        default=DEFAULT_DRIVER_NAME,
        help=f"name of the CSIDriver object (default: {DEFAULT_DRIVER_NAME})",
    )
    made.add_argument(
        "--grace-s",
        type=float,
        default=20.0,
        help="seconds that calls under way have to finish after SIGTERM (default: 20)",
    )
    made.add_argument("--log-level", choices=logs.LEVELS, default="info", help="default: info")
    made.add_argument("--version", action="version", version=version())
    return made


def version() -> str:
    try:
        return metadata.version("ebb")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a source tree that was never installed


def settings(arguments: argparse.Namespace) -> Settings:
    """Raises ValueError or EndpointError, naming the bad argument."""
    return Settings(
        role=Role(arguments.role),
        endpoint=endpoint_path(arguments.endpoint),
        ebbd=nodes(arguments) or arguments.ebbd or DEFAULT_EBBD,
        driver_name=validate.driver_name(arguments.driver_name),
        version=version(),
        grace_s=arguments.grace_s,
    )


def nodes(arguments: argparse.Namespace) -> Nodes | None:
    """The many nodes, where the arguments name them; ValueError for what does not go together."""
    files = {name: getattr(arguments, name) for name in ("certificate", "key", "ca")}
    if not arguments.nodes and not arguments.nodes_dns:
        if given := [f"--{name}" for name, file in files.items() if file]:
            raise ValueError(f"{given[0]} goes with --nodes or --nodes-dns only; name the nodes")
        return None
    if arguments.role != Role.CONTROLLER:
        raise ValueError("many nodes need --role controller; the other roles serve their own node")
    if missing := [f"--{name}" for name, file in files.items() if not file]:
        raise ValueError(
            f"{' and '.join(missing)} is missing; nodes are called with a certificate only "
            "('ebb certs init' makes them)"
        )
    places = FromFile(arguments.nodes) if arguments.nodes else FromDns(arguments.nodes_dns)
    return Nodes(places, TlsFiles(**files))


async def run(arguments: argparse.Namespace) -> None:
    log = logs.logger(arguments.log_level)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await serve(settings(arguments), log, stopping)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    try:
        asyncio.run(run(arguments))
    except (EndpointError, CredentialsError, PlacesError, ValueError) as error:
        sys.exit(f"ebb-csi: {error}")


if __name__ == "__main__":
    main()
