import asyncio

import pytest
from ebb_csi.together import together


async def test_answers_come_in_the_order_of_the_questions() -> None:
    async def later(number: int) -> int:
        await asyncio.sleep(0.01 * (3 - number))
        return number

    assert await together(later(number) for number in range(3)) == [0, 1, 2]
    assert await together(()) == []


async def test_the_first_failure_is_raised_as_it_is_and_ends_the_others() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await together((slow(), failing()))
    assert ended.is_set()
