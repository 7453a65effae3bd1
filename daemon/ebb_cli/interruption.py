"""Ctrl-C held back while gRPC's own code runs on this thread.

Python raises KeyboardInterrupt between any two bytecodes. Inside of gRPC's that leaves its locks
and its counts of calls half-changed, and the program then hangs at its end: a SIGINT before a call
has given its handle back did so. So the signal is only noted, and looked at between two waits.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Has Ctrl-C been pressed since? Where nobody acts on it, KeyboardInterrupt ends the block.

    Nothing is changed where SIGINT is ignored, or on another thread than the main one, which no
    signal interrupts.
    """
    former = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(former):
        yield lambda: False
        return
    noted = False

    def note(_number: int, _frame: object) -> None:
        nonlocal noted
        noted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, former)
    if noted:
        raise KeyboardInterrupt
