"""Blocking calls leave the event loop here, and nowhere else."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ebbd.errors import DeadlineExceeded, HostFailure

P = ParamSpec("P")
T = TypeVar("T")
DEADLINE_S = 30.0


async def offload(what: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread and give it `DEADLINE_S`.

    `what` names it for errors. An OSError becomes HostFailure; a call that the kernel does not
    finish in time becomes DeadlineExceeded (its thread stays behind: nothing can end it).
    """
    call = asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    call.add_done_callback(_retrieve)
    done, _pending = await asyncio.wait({call}, timeout=DEADLINE_S)
    if not done:
        raise DeadlineExceeded(
            f"{what} took longer than {DEADLINE_S:g} s",
            "look at the kernel log and the health of the disk",
        )
    try:
        return call.result()
    except OSError as error:
        raise HostFailure(f"{what}: {error}", "look at the kernel log") from error


def _retrieve(call: "asyncio.Task[T]") -> None:
    """When nobody waits any more, asyncio would complain about an exception nobody looked at."""
    if not call.cancelled():
        call.exception()
