"""Where the nodes are: from a file that the administrator keeps, or from a name in DNS.

Whichever it is, it is looked at again and again. A place is an address, and the id of the node
that should be there where that is known beforehand.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Place:
    """`node_id` empty: whoever is there tells."""

    address: str
    node_id: str = ""


class PlacesError(Exception):
    """The places cannot be told now; the message says why."""


class Places(Protocol):
    # Whether the places are all there are: a node that is in none of them does not exist.
    complete: bool

    async def look(self) -> tuple[Place, ...]:
        """The places now; PlacesError."""


class FromFile:
    """`ID: HOST:PORT` a line. A node that is taken out of the file is gone for good."""

    complete = True

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: str | None = None
        self._places: tuple[Place, ...] | None = None

    def __str__(self) -> str:
        return str(self._file)

    async def look(self) -> tuple[Place, ...]:
        """A change counts once it was seen twice: a file that is being written may lack nodes."""
        text = read(self._file)
        if self._places is None or text == self._seen:
            self._places = parse(text, str(self._file))
        self._seen = text
        return self._places


def read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlacesError(f"{file} cannot be read: {error}") from error


def parse(text: str, file: str) -> tuple[Place, ...]:
    """The places in a nodes file; PlacesError."""
    # Time and memory that only a controller for many nodes shall pay.
    from ruamel.yaml import YAML  # noqa: PLC0415 - see above
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - see above

    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise PlacesError(f"{file} is not YAML: {error}") from error
    if not isinstance(found, dict) or not found:
        raise PlacesError(f"{file} names no node; write a line `ID: HOST:PORT` for each")
    places = []
    for node_id, address in found.items():
        if not isinstance(node_id, str) or not node_id:
            raise PlacesError(f"{file}: {node_id!r} is not a node id; put it in quotes")
        if not isinstance(address, str) or not is_address(address):
            raise PlacesError(f"{file}: {node_id}: {address!r} is not HOST:PORT")
        places.append(Place(address, node_id))
    if len({place.address for place in places}) < len(places):
        raise PlacesError(f"{file} has an address twice; each node has its own")
    return tuple(places)


def is_address(text: str) -> bool:
    found = ADDRESS.fullmatch(text)
    return found is not None and int(found[2]) in PORTS


class FromDns:
    """Every address of one name, such as that of a headless Service. Never complete: a node that
    is down, or about to start, may be left out.
    """

    complete = False

    def __init__(self, name_and_port: str) -> None:
        """Raises ValueError for what is not NAME:PORT."""
        if not is_address(name_and_port):
            raise ValueError(f"{name_and_port!r} is not NAME:PORT")
        host, _, port = name_and_port.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)

    def __str__(self) -> str:
        return f"dns:{self._host}:{self._port}"

    async def look(self) -> tuple[Place, ...]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise PlacesError(f"{self._host} cannot be resolved: {error}") from error
        addresses = {
            f"[{where[0]}]:{self._port}"
            if family is socket.AF_INET6
            else f"{where[0]}:{self._port}"
            for family, _, _, _, where in found
        }
        return tuple(Place(address) for address in sorted(addresses))
