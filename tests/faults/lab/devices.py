"""Disks that misbehave: device-mapper under a PV."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.volumes.running import run

SECTOR_BYTES = 512


def sectors(device: str) -> int:
    return int(run("blockdev", "--getsz", device))


@dataclass(frozen=True, slots=True)
class Mapped:
    """/dev/mapper/`name`, its table changed under whoever uses it."""

    name: str

    @property
    def path(self) -> str:
        return f"/dev/mapper/{self.name}"

    def become(self, table: str, *, flush: bool = True) -> None:
        """Another table from now on. Without `flush` nothing that is under way is waited for."""
        how = () if flush else ("--noflush", "--nolockfs")
        run("dmsetup", "suspend", *how, self.name)
        run("dmsetup", "reload", self.name, "--table", table)
        run("dmsetup", "resume", self.name)

    def suspend(self) -> None:
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)

    def resume(self) -> None:
        run("dmsetup", "resume", self.name)

    def mark(self, text: str) -> None:
        """In the log of dm-log-writes: what comes before it has been told."""
        run("dmsetup", "message", self.name, "0", f"mark {text}")


@contextmanager
def mapped(name: str, table: str) -> Iterator[Mapped]:
    run("dmsetup", "create", name, "--table", table)
    try:
        yield Mapped(name)
    finally:
        run("dmsetup", "remove", "--retry", name)


def linear(device: str) -> str:
    return f"0 {sectors(device)} linear {device} 0"


def failing_writes(device: str, first_bytes: int = 0) -> str:
    """Every write is an error, in the first bytes only if a number is given; reads work."""
    whole = sectors(device)
    upto = first_bytes // SECTOR_BYTES or whole
    bad = f"0 {upto} flakey {device} 0 0 3600 1 error_writes"
    return bad if upto == whole else f"{bad}\n{upto} {whole - upto} linear {device} {upto}"


def deactivate(vg: str, device: str) -> None:
    """All of a VG, seen on this device only: another one may bear the same PV."""
    only = f'devices {{ global_filter = [ "a|^{Path(device).resolve()}$|", "r|.*|" ] }}'
    run("lvm", "vgchange", "--activate", "n", "--config", only, vg)
