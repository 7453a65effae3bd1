"""Somebody swaps a directory of the target path for a link to elsewhere while ebbd works there.

The swap is one renameat2(RENAME_EXCHANGE), so at every instant the name is either the directory or
the link. Where the link leads has the same names below it, so that a step which follows it works.
"""

import ctypes
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ebbd.errors import InvalidInput, NotFound, WrongState
from ebbd.host.real import mountinfo
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.mounts import RealMounts
from ebbd.host.real.programs import Program, locate
from ebbd.host.real.run import Runner
from ebbd.host.values import Mount
from lab.host.ground import run

ROUNDS = 150
_EXCHANGE = 2
_HERE = -100


def exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


def own_table() -> tuple[Mount, ...]:
    return mountinfo.parse(Path("/proc/self/mountinfo").read_bytes().decode())


@dataclass(frozen=True, slots=True)
class Scene:
    """`allowed`/way is the directory that is swapped with the link `allowed`/trap → `outside`."""

    allowed: Path
    outside: Path
    mounts: RealMounts

    @property
    def way(self) -> Path:
        return self.allowed / "way"

    @contextmanager
    def swapping(self) -> Iterator[None]:
        stop = threading.Event()
        failures: list[OSError] = []

        def swap() -> None:
            try:
                while not stop.is_set():
                    exchange(self.way, self.allowed / "trap")
                    stop.wait(0.0005)
            except OSError as failure:
                failures.append(failure)

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            if self.way.is_symlink():
                exchange(self.way, self.allowed / "trap")
        assert failures == []

    def outside_is_untouched(self) -> None:
        assert [mount for mount in own_table() if mount.target.startswith(str(self.outside))] == []
        found = sorted(
            path.relative_to(self.outside).as_posix() for path in self.outside.rglob("*")
        )
        assert found == ["source", "source/secret", "target"]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    (allowed / "way").mkdir(parents=True)
    for name in ("source", "target"):
        (outside / name).mkdir(parents=True)
    (outside / "source" / "secret").write_text("not for them")
    (allowed / "trap").symlink_to(outside)
    runner = Runner(locate([Program("mount", "mount")]), timeout_s=60)
    yield Scene(allowed, outside, RealMounts(runner, MachineRoot()))
    await runner.close()
    for mount in reversed([each for each in own_table() if each.target.startswith(str(tmp_path))]):
        await run("umount", "--lazy", mount.target)


async def attempt(done: Counter[str], what: str, step: object) -> bool:
    """Only a refusal in words is an answer here; anything else is the test's failure."""
    try:
        await step  # type: ignore[misc] # a coroutine of any kind
    except (InvalidInput, NotFound, WrongState):
        done[f"{what} refused"] += 1
        return False
    done[what] += 1
    return True


async def test_nothing_is_made_mounted_or_removed_outside(scene: Scene) -> None:
    target = f"{scene.way}/target"
    done: Counter[str] = Counter()
    with scene.swapping():
        for _ in range(ROUNDS):
            await attempt(done, "make", scene.mounts.make_directory(target))
            await attempt(done, "mount", scene.mounts.mount("tmpfs", target, "tmpfs", ["size=64k"]))
            scene.outside_is_untouched()
            await attempt(done, "unmount", scene.mounts.unmount(target))
            await attempt(done, "remove", scene.mounts.remove_path(target))
            scene.outside_is_untouched()
    for what in ("make", "mount", "mount refused", "remove"):
        assert done[what], f"{what} never happened: {done}"


async def test_a_bind_never_shows_what_is_outside(scene: Scene) -> None:
    source, target = f"{scene.way}/source", f"{scene.allowed}/target"
    await scene.mounts.make_directory(source)
    await scene.mounts.make_directory(target)
    done: Counter[str] = Counter()
    with scene.swapping():
        for _ in range(ROUNDS):
            if await attempt(done, "bind", scene.mounts.bind(source, target, read_only=False)):
                assert not (Path(target) / "secret").exists()
                await scene.mounts.unmount(target)
    assert done["bind"], done
    assert done["bind refused"], done


async def test_unmounting_takes_nothing_off_outside(scene: Scene) -> None:
    """The path of a mount inside comes to lead to a mount outside."""
    elsewhere = scene.outside / "target"
    await run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(elsewhere))
    target = f"{scene.way}/target"
    await scene.mounts.make_directory(target)
    done: Counter[str] = Counter()
    with scene.swapping():
        for _ in range(ROUNDS):
            await attempt(done, "mount", scene.mounts.mount("tmpfs", target, "tmpfs", ["size=64k"]))
            await attempt(done, "unmount", scene.mounts.unmount(target))
            assert any(mount.target == str(elsewhere) for mount in own_table())
    assert done["unmount"], done


async def test_a_mount_whose_directory_was_moved_meanwhile_is_taken_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"{scene.way}/target"
    await scene.mounts.make_directory(target)
    runner_run = Runner.run

    async def moving(self: Runner, program: str, *arguments: str, **more: object) -> object:
        exchange(scene.way, scene.allowed / "trap")
        return await runner_run(self, program, *arguments, **more)  # type: ignore[arg-type] # as given

    monkeypatch.setattr(Runner, "run", moving)
    with pytest.raises(WrongState, match="was moved while"):
        await scene.mounts.mount("tmpfs", target, "tmpfs", [])
    monkeypatch.undo()
    scene.outside_is_untouched()
    table = await scene.mounts.table()
    assert [mount for mount in table if mount.target.startswith(str(scene.allowed))] == []


async def test_a_name_with_blanks_and_line_separators(scene: Scene) -> None:
    target = f"{scene.way}/a b\r\n\u2028ä'\"\\"
    await scene.mounts.make_directory(target)
    await scene.mounts.mount("tmpfs", target, "tmpfs", [])
    await scene.mounts.unmount(target)
    await scene.mounts.remove_path(target)
    assert list(scene.way.iterdir()) == []


_FROM_A_CONTAINER = """
import asyncio, sys
from pathlib import Path
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.mounts import RealMounts
from ebbd.host.real.programs import Program, locate
from ebbd.host.real.run import Runner

async def main(directory):
    first = Path("/proc/1")
    root = MachineRoot(first / "root", Path("/proc"), first / "mountinfo", first / "ns/mnt")
    prefix = ("/usr/bin/nsenter", "--target", "1", "--mount", "--")
    runner = Runner(locate([Program("mount", "mount")]), prefix=prefix, timeout_s=60)
    mounts = RealMounts(runner, root)
    def seen(where):
        return [w for w in ("m", "b") if f" {directory}/{w} " in Path(where).read_text()]
    for name in ("m", "b"):
        await mounts.make_directory(f"{directory}/{name}")
    await mounts.mount("tmpfs", f"{directory}/m", "tmpfs", [])
    await mounts.bind(f"{directory}/m", f"{directory}/b", read_only=True)
    print("there", *seen("/proc/1/mountinfo"), "here", *seen("/proc/self/mountinfo"))
    for name in ("b", "m"):
        await mounts.unmount(f"{directory}/{name}")
    print("left", *seen("/proc/1/mountinfo"))

asyncio.run(main(sys.argv[1]))
"""


async def test_mounts_of_another_namespace_through_a_prefix(tmp_path: Path) -> None:
    """As ebbd in a container works on the machine: its own namespace sees none of it."""
    said = await run(
        *("unshare", "--mount", "--propagation", "private"),
        *(sys.executable, "-c", _FROM_A_CONTAINER, str(tmp_path)),
    )
    assert said.splitlines() == ["there m b here", "left"]
