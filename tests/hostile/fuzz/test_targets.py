"""What was once found stays mended, and the seeds mutated by chance find nothing new."""

import random

import pytest
from hostile.fuzz.targets import TARGETS, Target

MUTATIONS = 1500


def mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                del data[at : at + chance.randint(1, 8)]
            case 1:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            case 2:
                data[at:at] = data[: chance.randint(1, 16)]
            case _:
                data[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_and_what_chance_makes_of_them(target: Target) -> None:
    for seed in target.seeds:
        target.feed(seed)
    chance = random.Random(target.name)  # noqa: S311 - the same every time, on purpose
    for number in range(MUTATIONS):
        target.feed(mutated(target.seeds[number % len(target.seeds)], chance))


def test_seeds_are_read_and_not_refused() -> None:
    """A target whose seeds are all refused would search in vain."""
    for target in TARGETS:
        if target.name == "area":
            continue  # its seed has the label only; test_metadata_area has whole ones
        read = 0
        for seed in target.seeds:
            try:
                target.read(seed)
            except target.refusals:
                continue
            read += 1
        assert read, target.name
