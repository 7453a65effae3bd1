"""Put a simulated host together."""

from collections.abc import Sequence

from ebbd.host.protocols import Host
from ebbd.host.simulated.blockdev import SimulatedBlockdev
from ebbd.host.simulated.cgroups import SimulatedCgroups
from ebbd.host.simulated.dm import SimulatedDeviceMapper
from ebbd.host.simulated.filesystems import SimulatedFilesystems
from ebbd.host.simulated.lvm import SimulatedLvm
from ebbd.host.simulated.machine import Machine
from ebbd.host.simulated.mounts import SimulatedMounts
from ebbd.host.simulated.probe import SimulatedProbe
from ebbd.host.simulated.thin_metadata import SimulatedThinMetadata


def make_host(machine: Machine | None = None, *, allowed_directories: Sequence[str] = ()) -> Host:
    """A host on this machine (None: a new one, blank).

    Two hosts on one machine are a daemon and the one started after it. Mount targets are really
    made, below `allowed_directories` only.
    """
    machine = machine or Machine()
    return Host(
        lvm=SimulatedLvm(machine, machine.faults),
        dm=SimulatedDeviceMapper(machine),
        thin=SimulatedThinMetadata(machine),
        filesystems=SimulatedFilesystems(machine),
        mounts=SimulatedMounts(machine, allowed_directories),
        cgroups=SimulatedCgroups(machine),
        blockdev=SimulatedBlockdev(machine),
        probe=SimulatedProbe(),
        simulated=True,
    )
