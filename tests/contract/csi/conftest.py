"""CSI calls against the real pair of processes: ebb-csi in front of ebbd.

`--host=simulated` (the default) or `--host=real`: a pool on a file of its own, on this machine's
LVM. One pair serves all tests; each test's things are deleted after it.
"""

import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from conformance import stack
from contract.csi.cleaning import remove_everything
from contract.csi.client import ATTACH_LIMIT, Csi
from contract.host.suitability import missing


@pytest.fixture(scope="session")
def pool(pytestconfig: pytest.Config) -> Iterator[stack.Pool]:
    if pytestconfig.getoption("--host") != "real":
        yield stack.Pool()
        return
    if lacking := missing():
        pytest.fail(f"--host=real cannot run on this machine: {'; '.join(lacking)}")
    name = f"ebbcsi{uuid.uuid4().hex[:8]}"
    file = Path("/var/tmp") / f"{name}.img"  # not /tmp, which may be the machine's memory
    try:
        yield stack.Pool(vg=name, file=str(file))
    finally:
        remove_pool(name, file)


def remove_pool(vg: str, file: Path) -> None:
    """What ebbd rightly leaves when it stops: the VG, its loop device and the file."""
    run("lvm", "vgremove", "--yes", "--force", vg)
    for line in run("losetup", "--associated", str(file)).splitlines():
        run("losetup", "--detach", line.partition(":")[0])
    file.unlink()


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(pool: stack.Pool) -> AsyncIterator[stack.Stack]:
    with tempfile.TemporaryDirectory(prefix="ebb-contract-") as made:
        async with stack.running(Path(made), pool, max_volumes=ATTACH_LIMIT) as started:
            yield started


@pytest_asyncio.fixture(loop_scope="session")
async def csi(pair: stack.Stack) -> AsyncIterator[Csi]:
    async with (
        grpc.aio.insecure_channel(pair.csi_target) as channel,
        grpc.aio.insecure_channel(f"unix:{pair.ebbd_socket}") as ebbd,
    ):
        client = Csi(channel, ebbd, pair.mounts)
        yield client
        await remove_everything(client)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests here share one loop, because they share the pair's connections."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            # The first one waits for ebbd to start, minutes under emulation.
            item.add_marker(pytest.mark.timeout(600))
