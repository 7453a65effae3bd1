"""Says what is being done and for how long, on a terminal or in a log.

On a terminal one line counts the seconds while a step runs; in a log a step that takes longer than
a moment is announced once and closed with its time, so that a CI log never stands still
unexplained.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

_TICK_S = 0.5
_ANNOUNCE_AFTER_S = 2.0


class Progress:
    """`stream` None keeps quiet."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._live = stream is not None and stream.isatty()

    @classmethod
    def on_stderr(cls) -> "Progress":
        return cls(sys.stderr)

    def say(self, text: str) -> None:
        """One line of its own."""
        if self._stream is not None:
            self._write(f"lab: {text}\n")

    @asynccontextmanager
    async def step(self, text: str) -> AsyncIterator[None]:
        """Shows `text` with the seconds it takes, as long as the block runs."""
        started = time.monotonic()
        ticker = asyncio.create_task(self._tick(text, started))
        try:
            yield
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        self._close(text, time.monotonic() - started)

    async def _tick(self, text: str, started: float) -> None:
        if self._stream is None:
            return
        if not self._live:
            await asyncio.sleep(_ANNOUNCE_AFTER_S)
            self.say(f"{text} ...")
            return
        while True:
            self._write(f"\r\x1b[Klab: {text} ... {time.monotonic() - started:.0f} s")
            await asyncio.sleep(_TICK_S)

    def _close(self, text: str, took_s: float) -> None:
        if self._stream is None:
            return
        start_of_line = "\r\x1b[K" if self._live else ""
        self._write(f"{start_of_line}lab: {text}: {took_s:.1f} s\n")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
