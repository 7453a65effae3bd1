from ebbd.host.protocols import Host


async def test_the_tools_that_ebb_starts_are_looked_for(host: Host) -> None:
    tools = {tool.name: tool for tool in await host.probe.tools()}
    assert {"lvm", "blkid", "mount", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs"} <= set(tools)
    for tool in tools.values():
        assert tool.package, f"{tool.name}: no package to install it from"
        assert (tool.path is None) or tool.version
    assert tools["lvm"].path


async def test_what_the_kernel_can_do(host: Host) -> None:
    kernel = await host.probe.kernel()
    assert kernel["release"]
    assert kernel["dm thin-pool"]
    assert kernel["dm thin"]
    assert {"ext4", "xfs", "btrfs"} <= set(kernel["filesystems"].split())


async def test_what_the_cgroups_can_do(host: Host) -> None:
    cgroup = await host.probe.cgroup()
    assert cgroup["mount"].startswith("/")
    assert cgroup["io.max"] in {"yes", "no"}
    assert cgroup["controllers"]
