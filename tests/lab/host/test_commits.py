"""What each mutation costs: command lines, and commits of the VG as its seqno counts them."""

import functools
from collections.abc import Awaitable, Callable

from ebbd.host import commits
from lab.host.ground import MIB, POOL, Ground


async def cost(ground: Ground, mutation: Callable[[], Awaitable[int]]) -> tuple[int, int, int]:
    """(commits it says, commits made, command lines)."""
    lvm = ground.host.lvm
    seqno, lines = await lvm.seqno(ground.vg), lvm.command_lines
    said = await mutation()
    return said, await lvm.seqno(ground.vg) - seqno, lvm.command_lines - lines


async def test_every_mutation_makes_the_commits_it_returns_in_one_line(ground: Ground) -> None:
    lvm, vg = ground.host.lvm, ground.vg
    await ground.thin("active", active=True)
    await ground.thin("idle")

    def snapshot(origin: str, name: str) -> Callable[[], Awaitable[int]]:
        return lambda: lvm.create_snapshot(vg, origin, name, tags=["t"], read_only=True)

    def extend(name: str) -> Callable[[], Awaitable[int]]:
        return lambda: lvm.extend(vg, name, size_bytes=128 * MIB)

    steps: list[tuple[str, Callable[[], Awaitable[int]], int]] = [
        (
            "create",
            lambda: lvm.create_thin(vg, POOL, "new", size_bytes=MIB, tags=["a", "b"]),
            commits.CREATE_THIN,
        ),
        ("snapshot of an idle one", snapshot("idle", "s1"), commits.CREATE_SNAPSHOT),
        ("snapshot of an active one", snapshot("active", "s2"), commits.CREATE_SNAPSHOT),
        ("extend an idle one", extend("idle"), commits.EXTEND),
        ("extend an active one", extend("active"), commits.EXTEND),
        (
            "tags of an LV",
            lambda: lvm.change_tags(vg, "idle", add=["x", "y"], remove=["z"]),
            commits.CHANGE_TAGS,
        ),
        (
            "tags of the VG",
            lambda: lvm.change_tags(vg, None, add=["x", "y"], remove=["ours"]),
            commits.CHANGE_TAGS,
        ),
        ("remove one", lambda: lvm.remove(vg, ["s1"]), commits.REMOVE_EACH),
        (
            "remove three, one active",
            lambda: lvm.remove(vg, ["s2", "new", "active"]),
            3 * commits.REMOVE_EACH,
        ),
    ]
    measured = {name: await cost(ground, mutation) for name, mutation, _expected in steps}
    assert measured == {name: (expected, expected, 1) for name, _mutation, expected in steps}


async def test_what_is_done_already_costs_nothing(ground: Ground) -> None:
    await ground.thin("a")
    lvm = ground.host.lvm
    for size_bytes in (MIB, 64 * MIB):
        extend = functools.partial(lvm.extend, ground.vg, "a", size_bytes=size_bytes)
        assert await cost(ground, extend) == (0, 0, 0)


async def test_activation_is_no_commit(ground: Ground) -> None:
    await ground.thin("a")
    seqno = await ground.host.lvm.seqno(ground.vg)
    await ground.host.lvm.activate(ground.vg, "a")
    await ground.host.lvm.deactivate(ground.vg, "a")
    assert await ground.host.lvm.seqno(ground.vg) == seqno
