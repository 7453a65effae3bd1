"""The lab's serial console on this terminal: how the kernel boots, and a way in when ssh is not."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from ebb_lab.lab import Lab

LEAVE = b"\x1d"  # Ctrl-], as in telnet and virsh


def show(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


async def relay(lab: Lab) -> None:
    """Types what is typed here on the console, until Ctrl-], the end of input or of the machine."""
    left = asyncio.Event()
    keyboard = sys.stdin.fileno()

    def pressed() -> None:
        keys = os.read(keyboard, 4096)
        before, leave, _ = keys.partition(LEAVE)
        lab.type(before)
        if leave or not keys:
            left.set()

    loop = asyncio.get_running_loop()
    with _raw(keyboard):
        loop.add_reader(keyboard, pressed)
        try:
            async with asyncio.TaskGroup() as group:
                waiting = [
                    group.create_task(left.wait()),
                    group.create_task(lab.ended()),
                ]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in waiting:
                    task.cancel()
        finally:
            loop.remove_reader(keyboard)


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Every key goes through as it is, if this is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
