import asyncio
import io
import re

import pytest
from ebb_lab import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_log_gets_one_line_with_the_time_a_step_took() -> None:
    log = io.StringIO()
    async with Progress(log).step("packing"):
        await asyncio.sleep(0)
    assert re.fullmatch(r"lab: packing: \d+\.\d s\n", log.getvalue())


async def test_a_terminal_sees_the_step_at_once() -> None:
    terminal = _Terminal()
    async with Progress(terminal).step("packing"):
        await asyncio.sleep(0)
        assert "packing ... 0 s" in terminal.getvalue()
    assert re.search(r"\r\x1b\[Klab: packing: \d+\.\d s\n$", terminal.getvalue())


async def test_a_step_that_failed_is_not_closed_as_done() -> None:
    log = io.StringIO()
    with pytest.raises(ValueError, match="no"):
        async with Progress(log).step("packing"):
            raise ValueError("no")
    assert log.getvalue() == ""
