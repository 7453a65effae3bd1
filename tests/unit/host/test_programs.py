from pathlib import Path

import pytest
from ebbd.errors import Unavailable
from ebbd.host.real.programs import Program, locate

PROGRAMS = (
    Program("lvm", "lvm2", essential=True),
    Program("blkid", "util-linux", essential=True),
    Program("mkfs.xfs", "xfsprogs"),
)


def install(root: Path, path: str, mode: int = 0o755) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode)


def test_programs_are_found_below_the_machines_root(tmp_path: Path) -> None:
    install(tmp_path, "usr/sbin/lvm")
    install(tmp_path, "sbin/lvm")
    install(tmp_path, "bin/blkid")
    assert locate(PROGRAMS, tmp_path) == {"lvm": "/usr/sbin/lvm", "blkid": "/bin/blkid"}


def test_what_is_missing_is_told_with_its_packages(tmp_path: Path) -> None:
    install(tmp_path, "usr/sbin/lvm", 0o644)  # not executable
    with pytest.raises(Unavailable, match=r"lvm, blkid; apt-get install lvm2 util-linux$"):
        locate(PROGRAMS, tmp_path)
