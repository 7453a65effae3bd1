"""Commands in the guest, over one ssh connection that is kept open.

The connection (ControlMaster) is made once; each command is then a channel on it, which costs a
fork in the guest and no handshake. Exit codes, streams and terminals are ssh's own.
"""

import asyncio
import os
import shlex
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ebb_lab import process
from ebb_lab.errors import LabLost
from ebb_lab.model import Result

HOST = "lab"
_CONNECTED = b"connected"
# What ssh itself answers when the connection is the problem (a command may answer it too).
_SSH_FAILED = 255
_GRACE_S = 5  # from SIGTERM to SIGKILL
_TERMINATE_TIMEOUT_S = 3.0 * _GRACE_S
_REAP_TIMEOUT_S = 5.0


class Keys:
    """The lab's own keys, made for it and gone with it."""

    def __init__(self, folder: Path) -> None:
        self.client = folder / "client_key"
        self.host = folder / "host_key"
        self.known_hosts = folder / "known_hosts"

    @classmethod
    async def make(cls, folder: Path) -> "Keys":
        keys = cls(folder)
        for path in (keys.client, keys.host):
            await process.build(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path]
            )
        public = keys.host.with_suffix(".pub").read_text().rsplit(maxsplit=1)[0]
        keys.known_hosts.write_text(f"{HOST} {public}\n")
        return keys

    def guest_files(self) -> dict[str, bytes]:
        """What the guest must find in /run/lab."""
        return {
            "host_key": self.host.read_bytes(),
            "authorized_keys": self.client.with_suffix(".pub").read_bytes(),
        }


class Guest:
    """The way in. `connect()` first."""

    def __init__(self, folder: Path, keys: Keys, port: int) -> None:
        self._socket = folder / "ssh"
        self._ssh = [
            *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={keys.known_hosts}"),
            *("-o", f"HostKeyAlias={HOST}", "-o", "IdentitiesOnly=yes", "-i", str(keys.client)),
            *("-o", f"ControlPath={self._socket}", "-o", "Compression=no", "-o", "User=root"),
            # The default, a hybrid with a post-quantum key exchange, is slow under emulation.
            *("-o", "KexAlgorithms=curve25519-sha256"),
            *("-o", "HostName=127.0.0.1", "-o", f"Port={port}", "-o", "ServerAliveInterval=0"),
        ]
        self._master: Process | None = None
        self._commands = 0

    async def connect(self) -> None:
        """Opens the connection; LabLost with ssh's words when that fails."""
        self._socket.unlink(missing_ok=True)
        master = await process.start(
            [
                *self._ssh,
                *("-M", "-N", "-o", "PermitLocalCommand=yes"),
                *("-o", f"LocalCommand=echo {_CONNECTED.decode()}", HOST),
            ]
        )
        self._master = master
        if master.stdout is None or master.stderr is None:
            raise LabLost("ssh was started without its pipes")
        if _CONNECTED not in await master.stdout.readline():
            said = (await master.stderr.read()).decode(errors="replace").strip()
            await self.close()
            raise LabLost(f"the guest is up but ssh cannot get in: {said}")

    async def close(self) -> None:
        if self._master is not None:
            await process.end(self._master)
            self._master = None
        self._socket.unlink(missing_ok=True)

    @asynccontextmanager
    async def open(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/ebb",
        stdin: int | None = DEVNULL,
        stdout: int | None = PIPE,
        stderr: int | None = PIPE,
    ) -> AsyncIterator[Process]:
        """A running command, as the ssh process that stands for it.

        Left before it ended, the command and its children get SIGTERM in the guest, and SIGKILL
        if that does not end them.
        """
        self._commands += 1
        note = f"/run/lab/command-{self._commands}"
        child = await process.start(
            [*self._ssh, HOST, command_text(argv, env=env, cwd=cwd, note=note)],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                # A guest that hangs is its owner's to end. The connection holds the command's
                # pipes too, and asyncio waits for those, so waiting for the child is limited too.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TERMINATE_TIMEOUT_S):
                        await self._terminate(note)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REAP_TIMEOUT_S):
                        await process.end(child)

    async def _terminate(self, note: str) -> None:
        if self._master is not None and self._master.returncode is None:
            await process.run([*self._ssh, HOST, termination_text(note)])

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002 - the name asyncio's own communicate() uses
        env: Mapping[str, str] | None = None,
        cwd: str = "/ebb",
    ) -> tuple[int, bytes, bytes]:
        """Exit code, standard output, standard error."""
        stdin = DEVNULL if input is None else PIPE
        async with self.open(argv, env=env, cwd=cwd, stdin=stdin) as child:
            stdout, stderr = await child.communicate(input)
            return await self.exit_code(child, argv, stderr), stdout, stderr

    async def exit_code(self, child: Process, argv: Sequence[str], stderr: bytes = b"") -> int:
        """The command's exit code once it has ended; LabLost if ssh answered instead of it."""
        code = await child.wait()
        if code == _SSH_FAILED and not await self._alive():
            said = stderr.decode(errors="replace").strip()
            raise LabLost(f"the guest went away during {shlex.join(argv)}: {said}")
        return code

    async def _alive(self) -> bool:
        return (await process.run([*self._ssh, "-O", "check", HOST])).exit_code == 0

    async def interactive(self, argv: Sequence[str], *, terminal: bool) -> int:
        """Runs with this process's own terminal and streams."""
        child = await process.start(
            [
                *self._ssh,
                *(("-t",) if terminal else ()),
                *("-o", "LogLevel=QUIET", HOST),
                command_text(argv, env=_terminal_env() if terminal else None, cwd="/ebb"),
            ],
            stdin=None,
            stdout=None,
            stderr=None,
            own_session=False,
        )
        try:
            return await self.exit_code(child, argv)
        finally:
            await process.end(child)

    async def forward_socket(self, local: Path, remote: str) -> None:
        """Makes a unix socket of the guest reachable at `local` on the host."""
        done = await process.run([*self._ssh, "-O", "forward", "-L", f"{local}:{remote}", HOST])
        if done.exit_code != 0:
            raise LabLost(f"{remote} cannot be forwarded: {done.stderr.decode().strip()}")


def _terminal_env() -> dict[str, str]:
    return {"TERM": os.environ.get("TERM", "dumb")}


def command_text(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "/ebb",
    note: str | None = None,
) -> str:
    """What the guest's shell is asked to run.

    The shell stays, so that a command ended by a signal has an exit code (128 + N, ssh would lose
    it); it outlives the SIGTERM that is sent to its process group, and notes its id for that.
    """
    assignments = [f"{name}={shlex.quote(value)}" for name, value in (env or {}).items()]
    words = ["env", *assignments] if assignments else []
    steps = [
        *([f"echo $$ >{note}"] if note else []),
        "trap : TERM INT",
        f"cd {shlex.quote(cwd)} || exit",
        " ".join([*words, *(shlex.quote(word) for word in argv)]),
        "exit $?",
    ]
    return "; ".join(steps)


def termination_text(note: str) -> str:
    """What ends a command that noted its process group: SIGTERM, and SIGKILL after a while.

    `kill -s TERM --` because that is what dash, too, takes for a group.
    """
    return (
        f"group=$(cat {note}); kill -s TERM -- -$group; tries={_GRACE_S * 10}; "
        "while [ $tries -gt 0 ] && kill -s 0 -- -$group 2>/dev/null; "
        "do sleep 0.1; tries=$((tries - 1)); done; "
        "kill -s KILL -- -$group 2>/dev/null; exit 0"
    )


def to_result(argv: Sequence[str], done: tuple[int, bytes, bytes]) -> Result:
    code, stdout, stderr = done
    return Result(
        tuple(argv), code, stdout.decode(errors="replace"), stderr.decode(errors="replace")
    )
