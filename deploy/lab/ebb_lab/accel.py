"""Which accelerator really runs the lab's kernel here.

/dev/kvm may be missing, forbidden, or there and still hang a stock kernel, so the question is asked
by booting: the lab's kernel and initramfs print a word and power off. The answer is remembered for
this boot of this machine, for a day.
"""

import asyncio
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ebb_lab import process
from ebb_lab.cache import key_of
from ebb_lab.image import Image
from ebb_lab.progress import Progress

PROBE_ARGUMENT = "ebb.lab=probe"
_PROBE_WORD = b"EBB-LAB-PROBE"
# A working KVM needs about a second; the stuck ones never come back.
_PROBE_TIMEOUT_S = 8.0
_REMEMBERED_S = 24 * 3600.0
_KVM = Path("/dev/kvm")


@dataclass(frozen=True, slots=True)
class Accelerator:
    name: str
    reason: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """QEMU's options.

        Emulated, the plainest CPU is the quickest (a third for Python's start, measured): glibc
        picks its SSE4.2 and AVX2 string functions where it can, and emulation runs those slowly.
        """
        if self.name == "kvm":
            return ("-accel", "kvm", "-cpu", "host")
        return ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", EMULATED_CPU)


EMULATED_CPU = "qemu64,-svm"
EMULATION = "tcg"


async def choose(image: Image, cache_root: Path, progress: Progress) -> Accelerator:
    """KVM where it works, software emulation otherwise; EBB_LAB_ACCEL=kvm|tcg overrides."""
    forced = os.environ.get("EBB_LAB_ACCEL")
    if forced:
        return Accelerator(forced, "asked for by EBB_LAB_ACCEL")
    if obstacle := _obstacle():
        return Accelerator(EMULATION, obstacle)
    note = cache_root / f"kvm-{_machine_key()}.json"
    works = _recall(note, time.time())
    if works is None:
        async with progress.step("trying KVM"):
            works = await _boots_under_kvm(image)
        _remember(note, works=works, now=time.time())
    if works:
        return Accelerator("kvm", "booted the lab's kernel")
    return Accelerator(EMULATION, f"{_KVM} does not boot the lab's kernel here")


def _obstacle() -> str:
    """What speaks against KVM before trying it; empty if nothing does."""
    if os.access(_KVM, os.R_OK | os.W_OK):
        return ""
    why = "may not be opened by this user" if _KVM.exists() else "does not exist"
    return f"{_KVM} {why}"


def _machine_key() -> str:
    device = _KVM.stat()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()
    return key_of([boot_id, str(device.st_rdev), str(os.geteuid())])


def _recall(note: Path, now: float) -> bool | None:
    """What was found, unless it was never, too long ago, or the note is damaged."""
    try:
        found = json.loads(note.read_text())
        fresh = now - float(found["at"]) < _REMEMBERED_S
        return bool(found["works"]) if fresh else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _remember(note: Path, *, works: bool, now: float) -> None:
    fresh = note.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({"works": works, "at": now}))
    fresh.rename(note)


async def _boots_under_kvm(image: Image) -> bool:
    with tempfile.NamedTemporaryFile(prefix="ebb-lab-probe-") as initrd:
        initrd.write(image.initramfs({}))
        initrd.flush()
        return await _says_the_word(image.kernel, Path(initrd.name))


async def _says_the_word(kernel: Path, initrd: Path) -> bool:
    qemu = await process.start(
        [
            *("qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512M"),
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-serial", "stdio", "-kernel", kernel, "-initrd", initrd),
            *("-append", f"console=ttyS0 quiet panic=-1 {PROBE_ARGUMENT}"),
        ]
    )
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            said, _ = await qemu.communicate()
    except TimeoutError:
        return False
    finally:
        await process.end(qemu)
    return _PROBE_WORD in said
