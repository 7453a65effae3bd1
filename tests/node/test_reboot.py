"""A node that loses its power: the embedded loop pool comes back with everything acknowledged."""

import json

import pytest
from ebb_lab import Lab

MIB = 1024 * 1024
WRITE = (
    "import os, random, sys; source = random.Random(7)\n"
    "with open(sys.argv[1], 'wb') as file:\n"
    "    file.write(source.randbytes(8 << 20)); file.flush(); os.fsync(file.fileno())\n"
)


async def _start_ebbd(lab: Lab) -> None:
    """ebbd with its built-in defaults: the loop pool at /var/lib/ebb/pool.img."""
    await lab.run(["sh", "-c", "nohup ebbd >> /var/log/ebbd.log 2>&1 &"], timeout_s=30, check=True)
    waiting = "until ebb --timeout 5 pool list; do pgrep -x ebbd || exit 1; done"
    await lab.run(["sh", "-c", waiting], timeout_s=120, check=True)


async def _ebb(lab: Lab, *arguments: str) -> object:
    told = await lab.run(["ebb", "--output", "json", *arguments], timeout_s=120, check=True)
    answer: object = json.loads(told.stdout)
    return answer


async def _digest(lab: Lab, path: str) -> str:
    told = await lab.run(["sha256sum", path], timeout_s=60, check=True)
    return told.stdout.split()[0]


@pytest.mark.timeout(900)
async def test_the_loop_pool_and_its_volumes_survive_a_power_cut() -> None:
    async with Lab() as lab:
        await _start_ebbd(lab)
        await _ebb(lab, "volume", "create", "orders", "--size", "64Mi")
        await lab.run(["mkdir", "/run/ebb/mounts/orders"], timeout_s=30, check=True)
        await _ebb(lab, "volume", "mount", "orders", "/run/ebb/mounts/orders")
        file = "/run/ebb/mounts/orders/file"
        await lab.run(["python3", "-c", WRITE, file], timeout_s=60, check=True)
        before = await _digest(lab, file)
        await _ebb(lab, "snapshot", "create", "orders", "kept")

        await lab.power_cut()
        await lab.boot()
        await _start_ebbd(lab)
        assert await _digest_after(lab, "orders", file) == before
        await _ebb(lab, "snapshot", "restore", "kept", "from-snapshot")
        copy = "/run/ebb/mounts/copy/file"
        assert await _digest_after(lab, "from-snapshot", copy) == before


async def _digest_after(lab: Lab, volume: str, file: str) -> str:
    folder = file.rpartition("/")[0]
    await lab.run(["mkdir", "-p", folder], timeout_s=30, check=True)
    await _ebb(lab, "volume", "mount", volume, folder)
    return await _digest(lab, file)
