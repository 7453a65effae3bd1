"""ebb.v1.Timeline: translation only."""

from ebb_pb import ebb_pb2 as pb
from ebb_pb.ebb_pb2_grpc import TimelineServicer

from ebbd.api import values
from ebbd.api.failures import Context
from ebbd.errors import InvalidInput
from ebbd.model import Created, Volume
from ebbd.timeline.rewind import Rewinding
from ebbd.volumes.observe import Observer


class TimelineService(TimelineServicer):
    def __init__(self, rewinding: Rewinding, observer: Observer) -> None:
        self._rewinding = rewinding
        self._observer = observer

    async def RewindVolume(
        self, request: pb.RewindVolumeRequest, context: Context
    ) -> pb.RewindVolumeResponse:
        outcome = await self._rewinding.rewind(
            request.volume_id,
            request.snapshot_id,
            from_generation=generation(request.from_generation),
        )
        return pb.RewindVolumeResponse(
            volume=await self._shown(outcome.value), moved=isinstance(outcome, Created)
        )

    async def UndoRewind(
        self, request: pb.UndoRewindRequest, context: Context
    ) -> pb.UndoRewindResponse:
        outcome = await self._rewinding.undo(
            request.volume_id, from_generation=generation(request.from_generation)
        )
        return pb.UndoRewindResponse(
            volume=await self._shown(outcome.value), moved=isinstance(outcome, Created)
        )

    async def _shown(self, volume: Volume) -> pb.Volume:
        [seen] = await self._observer.observe([volume])
        return values.volume(volume, seen)


def generation(number: int) -> int:
    if number < 0:
        raise InvalidInput(
            f"there is no generation {number}", "give the volume's own, or 0 for any"
        )
    return number
