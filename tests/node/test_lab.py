"""One lab, booted once for this module: what it gives to those who use it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from ebb_lab import CommandFailed, Disk, Forward, Lab, LabError

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

THIS_FILE = Path(__file__).read_text()
MIB = 2**20
WEB_PORT = 8080
FREE, FEW, NARROW = (
    Disk("free", 256 * MIB),
    Disk("few", 256 * MIB, iops=50),
    Disk("narrow", 256 * MIB, bps=2 * MIB),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(disks=[FREE, FEW, NARROW], forwards=[Forward(0, WEB_PORT)]) as lab:
        yield lab


async def test_a_commands_exit_code_and_both_outputs_come_back(lab: Lab) -> None:
    script = 'cat; echo "$WHO in $PWD" >&2; exit 7'
    result = await lab.run(
        ["sh", "-c", script], input=b"in", env={"WHO": "me & you"}, cwd="/var", check=False
    )
    assert (result.exit_code, result.stdout, result.stderr) == (7, "in", "me & you in /var\n")


async def test_255_is_the_commands_own_exit_code_too(lab: Lab) -> None:
    assert (await lab.run(["sh", "-c", "exit 255"], check=False)).exit_code == 255


async def test_a_command_ended_by_a_signal_says_which(lab: Lab) -> None:
    assert (await lab.run(["sh", "-c", "kill -KILL $$"], check=False)).exit_code == 128 + 9


async def test_a_failed_command_is_an_error_unless_told_otherwise(lab: Lab) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)vgs nothing ended with exit code 5:.*nothing"):
        await lab.run(["vgs", "nothing"])


async def test_the_project_runs_in_it_as_it_is(lab: Lab) -> None:
    version = (await lab.run(["ebbd", "--version"])).stdout
    stated = "import ebbd; print('ebbd', ebbd.__version__)"
    assert version == (await lab.run(["python3", "-c", stated])).stdout
    assert (await lab.run(["pytest", "--version"])).exit_code == 0
    assert (await lab.run(["cat", "/ebb/tests/node/test_lab.py"])).stdout == THIS_FILE


async def test_files_and_folders_are_copied_byte_by_byte(lab: Lab, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    (there / "sub").mkdir(parents=True)
    (there / "sub" / "noise").write_bytes(bytes(range(256)) * 1000)
    (there / "run me").write_text("#!/bin/sh\necho ran\n")
    (there / "run me").chmod(0o755)
    await lab.put(there, "/root/copied")
    assert (await lab.run(["/root/copied/run me"])).stdout == "ran\n"
    await lab.get("/root/copied", back)
    assert (back / "sub" / "noise").read_bytes() == (there / "sub" / "noise").read_bytes()
    await lab.put(there / "run me", "/root/new folder/alone")
    assert (await lab.run(["/root/new folder/alone"])).stdout == "ran\n"
    await lab.get("/root/new folder/alone", back / "alone")
    assert (back / "alone").read_bytes() == (there / "run me").read_bytes()


async def test_a_stream_is_read_while_it_runs_and_ended_when_left(lab: Lab) -> None:
    script = "echo $$; while read line; do echo got $line; done; sleep 600"
    async with lab.stream(["sh", "-c", script], stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pid = (await process.stdout.readline()).decode().strip()
        process.stdin.write(b"one\n")
        assert await process.stdout.readline() == b"got one\n"
    gone = await lab.run(
        ["sh", "-c", f"timeout 20 sh -c 'while [ -d /proc/{pid} ]; do sleep 0.1; done'"],
        check=False,
    )
    assert gone.exit_code == 0


async def test_a_port_of_the_guest_is_reached_from_the_host(lab: Lab) -> None:
    listen = f"TCP-LISTEN:{WEB_PORT},reuseaddr"
    async with lab.stream(["socat", "-d", "-d", listen, "EXEC:'echo from the lab'"]) as server:
        assert server.stderr is not None
        assert b"listening" in await server.stderr.readline()
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port(WEB_PORT))
        assert await reader.read() == b"from the lab\n"
        writer.close()
        await writer.wait_closed()


async def test_a_unix_socket_of_the_guest_is_reached_from_the_host(lab: Lab) -> None:
    listen = "UNIX-LISTEN:/run/test.sock"
    async with lab.stream(["socat", "-d", "-d", listen, "EXEC:'echo from the lab'"]) as server:
        assert server.stderr is not None
        assert b"listening" in await server.stderr.readline()
        path = await lab.forward_socket("/run/test.sock")
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b"from the lab\n"
        writer.close()
        await writer.wait_closed()


async def test_the_kernel_has_what_ebb_drives(lab: Lab) -> None:
    await lab.run(["modprobe", "-a", "dm-thin-pool", "dm-log-writes", "dm-flakey", "xfs", "btrfs"])
    targets = (await lab.run(["dmsetup", "targets"])).stdout
    assert {"thin", "thin-pool", "log-writes", "flakey"} <= {
        line.split()[0] for line in targets.splitlines()
    }
    known = (await lab.run(["cat", "/proc/filesystems"])).stdout.split()
    assert {"ext4", "xfs", "btrfs"} <= set(known)


async def test_groups_can_be_made_with_all_controllers(lab: Lab) -> None:
    script = """
    mkdir /sys/fs/cgroup/test
    for file in cpu.max io.max memory.max pids.max io.pressure; do
        test -e /sys/fs/cgroup/test/$file || echo $file is missing
    done
    rmdir /sys/fs/cgroup/test
    """
    assert (await lab.run(["sh", "-c", script])).stdout == ""


async def _direct_writes_a_second(lab: Lab, device: str, block_bytes: int, count: int) -> float:
    job = [
        *("fio", "--name=x", f"--filename={device}", "--rw=write", "--direct=1", "--iodepth=1"),
        *("--ioengine=psync", f"--bs={block_bytes}", f"--number_ios={count}", "--size=64m"),
        *("--thread", "--output-format=json"),
    ]
    told = await lab.run(job, timeout_s=120)
    rate: float = json.loads(told.stdout)["jobs"][0]["write"]["iops"]
    return rate


async def test_a_disk_with_a_limit_on_operations_keeps_it(lab: Lab) -> None:
    free = await _direct_writes_a_second(lab, FREE.device, 4096, 400)
    few = await _direct_writes_a_second(lab, FEW.device, 4096, 200)
    assert 40 < few < 60, f"{few} writes a second, limit 50"
    assert free > 3 * few, f"{free} against {few} writes a second"


async def test_a_disk_with_a_limit_on_bytes_keeps_it(lab: Lab) -> None:
    free = await _direct_writes_a_second(lab, FREE.device, MIB // 4, 64)
    narrow = await _direct_writes_a_second(lab, NARROW.device, MIB // 4, 32)
    assert 6 < narrow < 10, f"{narrow} writes of 256 KiB a second, limit 8"
    assert free > 3 * narrow, f"{free} against {narrow} writes a second"


async def test_null_blk_has_the_speed_asked_for(lab: Lab) -> None:
    made = await lab.run(["ebb-lab-nullblk", "slow", "size_mib=64", "mbps=4"])
    assert made.stdout == "/dev/slow\n"
    slow = await _direct_writes_a_second(lab, "/dev/slow", MIB // 4, 64)
    await lab.run(["ebb-lab-nullblk", "--remove", "slow"])
    assert 8 < slow < 24, f"{slow} writes of 256 KiB a second, limit 16"
    refused = await lab.run(["ebb-lab-nullblk", "odd", "mbps=many"], check=False)
    assert refused.exit_code != 0
    assert "refused mbps=many" in refused.stderr


async def test_a_lab_that_runs_is_not_booted_again(lab: Lab) -> None:
    with pytest.raises(LabError, match="is running"):
        await lab.boot()
