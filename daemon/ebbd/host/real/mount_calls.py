"""The mount system calls that take descriptors: what was opened is what is bound and unmounted.

A path can be made to lead elsewhere between its check and its use; a descriptor cannot. Each call
runs in a thread of its own, so that it may have a working directory and a mount namespace of its
own: mounts of another namespace can only be changed from inside it (fs/namespace.c, check_mnt).
Everything here blocks.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

_UNMOUNT_NOFOLLOW = 8  # umount2(2)
_CLONE_FS = 0x200
_CLONE_NEWNS = 0x20000
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_EMPTY_PATHS = 0x04 | 0x40  # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
_MOUNT_ATTR_RDONLY = 1
# Linux has given a new system call one number on every architecture since 5.1 (but alpha).
_NUMBERS = MappingProxyType({"open_tree": 428, "move_mount": 429, "mount_setattr": 442})


class _MountAttributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class MountCalls:
    """Calls in the mount namespace that `namespace` names (/proc/PID/ns/mnt); None: our own."""

    def __init__(self, namespace: Path | None) -> None:
        self._namespace = namespace
        self._libc = ctypes.CDLL(None, use_errno=True)

    def bind(self, source: int, target: int, *, read_only: bool) -> None:
        """The mount of one open place on another; read-only before anybody can see it."""

        def call() -> None:
            tree = self._call(
                "open_tree",
                *(source, b"", _AT_EMPTY_PATH | _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC),
            )
            try:
                if read_only:
                    wanted = _MountAttributes(attr_set=_MOUNT_ATTR_RDONLY)
                    size = ctypes.sizeof(wanted)
                    self._call(
                        "mount_setattr", tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size
                    )
                self._call("move_mount", tree, b"", target, b"", _MOVE_EMPTY_PATHS)
            finally:
                os.close(tree)

        self._apart(call)

    def unmount(self, parent: int, name: str) -> None:
        """What lies on top at `name` below the open directory. OSError: EINVAL when nothing does,
        EBUSY when it is used.
        """

        def call() -> None:
            os.fchdir(parent)
            if self._libc.umount2(os.fsencode(name), _UNMOUNT_NOFOLLOW):
                raise _failure("umount2")

        self._apart(call)

    def _call(self, name: str, *arguments: object) -> int:
        result: int = self._libc.syscall(ctypes.c_long(_NUMBERS[name]), *arguments)
        if result < 0:
            raise _failure(name)
        return result

    def _apart(self, call: Callable[[], None]) -> None:
        """Run the call in a thread with a working directory, root and namespace of its own."""
        failures: list[OSError] = []

        def run() -> None:
            try:
                if self._libc.unshare(_CLONE_FS):
                    raise _failure("unshare")
                if self._namespace is not None:
                    self._enter(self._namespace)
                call()
            except OSError as error:
                failures.append(error)

        thread = threading.Thread(target=run, name="mount-call")
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    def _enter(self, namespace: Path) -> None:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._libc.setns(descriptor, _CLONE_NEWNS):
                raise _failure("setns")
        finally:
            os.close(descriptor)


def _failure(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")
