"""ebb.v1 as the commands speak it: ask, wait where the user can see it, fail in plain words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import grpc
from ebb_pb import ebb_pb2 as pb
from ebb_pb import ebb_pb2_grpc as services
from rich.console import Console

from ebb_cli import connection, failures
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.interruption import held_back
from ebb_cli.progress import Progress

Q = TypeVar("Q")
R = TypeVar("R")
PAGE_SIZE = 1000  # a page stays well below gRPC's 4 MiB a message


class Activity:
    """Requests that belong to one thing the user asked for, with one progress display."""

    def __init__(self, progress: Progress, socket: Path, timeout_s: float | None) -> None:
        self._progress = progress
        self._socket = socket
        self._timeout_s = timeout_s

    def ask(self, method: "grpc.UnaryUnaryMultiCallable[Q, R]", request: Q) -> R:
        """The answer, or CliError with the exit code that belongs to the failure."""
        with held_back() as interrupted:
            pending = method.future(request, timeout=self._timeout_s)
            try:
                return self._progress.wait(pending, interrupted)
            except grpc.RpcError:
                raise self._error(pending) from None
            except KeyboardInterrupt:
                pending.cancel()
                raise

    def _error(self, failed: grpc.Call) -> CliError:
        code, details = failed.code(), failed.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            found = connection.examine(self._socket)
            # gRPC's own words for a lost connection have no remedy; the daemon's have one.
            if found.reach is not connection.Reach.ANSWERS or "; " not in details:
                return connection.explain(found)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and "; " not in details:
            details = f"ebbd did not answer within {self._timeout_s:g} s"
        return failures.of_status(code, details)


class Daemon:
    """A connection to one ebbd. `console` is where progress is drawn (stderr)."""

    def __init__(self, socket: Path, timeout_s: float | None, console: Console) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._console = console
        self._channel = grpc.insecure_channel(f"unix:{os.fspath(socket.absolute())}")
        self.node = services.NodeStub(self._channel)
        self.volumes = services.VolumesStub(self._channel)
        self.snapshots = services.SnapshotsStub(self._channel)
        self.timeline = services.TimelineStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    @contextmanager
    def activity(self, doing: str, *, steps: int = 1, look: str = "") -> Iterator[Activity]:
        """Several requests as one activity; `look` is the command that shows how it ended.

        Ctrl-C becomes CliError: ebbd finishes what it has begun, and the user is told so.
        """
        with Progress(self._console, doing, steps) as progress:
            try:
                yield Activity(progress, self._socket, self._timeout_s)
            except KeyboardInterrupt:
                raise _interrupted(doing, look) from None

    def ask(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Q, R]",
        request: Q,
        doing: str,
        *,
        look: str = "",
    ) -> R:
        """One request that is an activity of its own."""
        with self.activity(doing, look=look) as activity:
            return activity.ask(method, request)

    def volume(self, name_or_id: str) -> pb.Volume:
        return self.ask(
            self.volumes.GetVolume, pb.GetVolumeRequest(volume=name_or_id), "Looking up the volume"
        )

    def snapshot(self, name_or_id: str) -> pb.Snapshot:
        return self.ask(
            self.snapshots.GetSnapshot,
            pb.GetSnapshotRequest(snapshot=name_or_id),
            "Looking up the snapshot",
        )

    def group(self, group_id: str) -> pb.SnapshotGroup:
        return self.ask(
            self.snapshots.GetSnapshotGroup,
            pb.GetSnapshotGroupRequest(group_id=group_id),
            "Looking up the group",
        )

    def list_pools(self) -> list[pb.Pool]:
        return list(self.ask(self.node.ListPools, pb.ListPoolsRequest(), "Listing pools").pools)

    def list_volumes(self) -> list[pb.Volume]:
        """Every volume, page by page, ordered by id."""
        volumes: list[pb.Volume] = []
        request = pb.ListVolumesRequest(page_size=PAGE_SIZE)
        with self.activity("Listing volumes") as activity:
            while True:
                page = activity.ask(self.volumes.ListVolumes, request)
                volumes.extend(page.volumes)
                if not page.next_page_token:
                    return volumes
                request.page_token = page.next_page_token

    def list_snapshots(self, volume_id: str = "") -> list[pb.Snapshot]:
        """Every snapshot (of one volume), page by page, ordered by id."""
        snapshots: list[pb.Snapshot] = []
        request = pb.ListSnapshotsRequest(page_size=PAGE_SIZE, volume_id=volume_id)
        with self.activity("Listing snapshots") as activity:
            while True:
                page = activity.ask(self.snapshots.ListSnapshots, request)
                snapshots.extend(page.snapshots)
                if not page.next_page_token:
                    return snapshots
                request.page_token = page.next_page_token


def _interrupted(doing: str, look: str) -> CliError:
    if not look:
        return CliError("interrupted", "nothing was changed", ExitCode.INTERRUPTED)
    doing = doing[:1].lower() + doing[1:]
    return CliError(
        f"interrupted, but ebbd finishes what it has begun: {doing} may still go on",
        f"`{look}` shows how it ended; repeating the command is safe",
        ExitCode.INTERRUPTED,
    )
