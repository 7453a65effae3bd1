"""An ebbd that dies where it is told to: `python3 -m faults.mortal --orders FILE --config FILE`.

It is the daemon as anywhere, put together with a host that watches each call. What an ebbd changes
outside itself it changes by calls of the host's protocols, so these are all the points at which its
death can make a difference: before a call, while it runs, and after it. Calls that only read change
nothing and are passed over: dying after one is dying before the next.

FILE holds the orders, and is looked at before each call: absent, nothing happens;
`{"trace": PATH}` writes each point down; `{"die_at": N}` is SIGKILL at the N-th point since then;
`{"die_on_error": true}` is SIGKILL when a call fails, before anything is done about it.
"""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from ebbd.__main__ import _log, _only_one, _real_host
from ebbd.app import run
from ebbd.config import load_config
from ebbd.errors import EbbError
from ebbd.host.protocols import Host
from ebbd.notify import ServiceManager

P = TypeVar("P")
# By then a call that runs a command has started it: LVM's fastest takes ten times as long.
WHILE_S = 0.02
READING = frozenset(
    {
        *("seqno", "read", "command_lines", "info", "active", "pool_status", "mapped_bytes"),
        *("pool_has", "signature", "usage", "table", "exists", "consumers", "size_bytes"),
        *("tools", "kernel", "cgroup"),
    }
)
PURE = frozenset({"lv_device", "command_lines", "close"})
HOLDING = frozenset({"frozen"})  # an async context: it has two calls, its entry and its exit


class Fate:
    """Counts the points since the orders came, and carries the orders out."""

    def __init__(self, orders: Path) -> None:
        self._file = orders
        self._given = ""
        self._passed = 0

    def point(self, what: str) -> None:
        orders = self._orders()
        self._passed += 1
        if trace := orders.get("trace"):
            with Path(trace).open("a") as file:
                file.write(f"{what}\n")
        if orders.get("die_at") == self._passed:
            die()

    def failed(self) -> None:
        if self._orders().get("die_on_error"):
            die()

    def _orders(self) -> dict[str, Any]:
        given = self._file.read_text() if self._file.exists() else "{}"
        if given != self._given:
            self._given, self._passed = given, 0
        orders: dict[str, Any] = json.loads(given)
        return orders


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """One part of the host, its calls passed on."""

    def __init__(self, name: str, part: object, fate: Fate) -> None:
        self._name = name
        self._part = part
        self._fate = fate

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - whatever the part has
        found = getattr(self._part, method)
        if method in READING or method in PURE:
            return found
        told = f"{self._name}.{method}"
        if method in HOLDING:
            return lambda *args, **named: self._hold(told, found(*args, **named))
        return lambda *args, **named: self._call(told, found, *args, **named)

    async def _call(
        self, told: str, call: Callable[..., Awaitable[object]], *args: object, **named: object
    ) -> object:
        self._fate.point(f"{told} before")
        running = asyncio.ensure_future(call(*args, **named))
        try:
            # One that has ended by then passes this point too: their number must not depend on
            # how fast the machine is today.
            await asyncio.wait({running}, timeout=WHILE_S)
            self._fate.point(f"{told} while")
            result = await running
        except asyncio.CancelledError:
            running.cancel()
            raise
        except EbbError:
            self._fate.failed()
            raise
        self._fate.point(f"{told} after")
        return result

    @asynccontextmanager
    async def _hold(
        self, told: str, holding: AbstractAsyncContextManager[None]
    ) -> AsyncIterator[None]:
        self._fate.point(f"{told} before")
        async with holding:
            self._fate.point(f"{told} begun")
            yield
            self._fate.point(f"{told} ending")
        self._fate.point(f"{told} after")


def mortal(host: Host, fate: Fate) -> Host:
    """The same machine, watched."""

    def watch(name: str, part: P) -> P:
        return cast("P", Watched(name, part, fate))

    return replace(
        host,
        lvm=watch("lvm", host.lvm),
        dm=watch("dm", host.dm),
        filesystems=watch("filesystems", host.filesystems),
        mounts=watch("mounts", host.mounts),
        cgroups=watch("cgroups", host.cgroups),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args()
    config = load_config(given.config)
    with _only_one(config.run_directory):
        host = mortal(_real_host(config), Fate(given.orders))
        asyncio.run(run(config, host, _log(config), ServiceManager.of(os.environ)))


if __name__ == "__main__":
    main()
