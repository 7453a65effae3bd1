"""Identity: who this is, what it can do, whether it can do it now."""

from ebb_pb import csi_pb2, csi_pb2_grpc
from google.protobuf.wrappers_pb2 import BoolValue

from ebb_csi.router import Context, Router

SERVICES = (
    csi_pb2.PluginCapability.Service.CONTROLLER_SERVICE,
    csi_pb2.PluginCapability.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS,
    csi_pb2.PluginCapability.Service.GROUP_CONTROLLER_SERVICE,
)


class Identity(csi_pb2_grpc.IdentityServicer):
    """The same answers in every role: they describe the driver, not the process."""

    def __init__(self, driver_name: str, version: str, router: Router) -> None:
        self._driver_name = driver_name
        self._version = version
        self._router = router

    async def GetPluginInfo(
        self, request: csi_pb2.GetPluginInfoRequest, context: Context
    ) -> csi_pb2.GetPluginInfoResponse:
        return csi_pb2.GetPluginInfoResponse(name=self._driver_name, vendor_version=self._version)

    async def GetPluginCapabilities(
        self, request: csi_pb2.GetPluginCapabilitiesRequest, context: Context
    ) -> csi_pb2.GetPluginCapabilitiesResponse:
        capability = csi_pb2.PluginCapability
        services = [capability(service=capability.Service(type=kind)) for kind in SERVICES]
        online = capability.VolumeExpansion(type=capability.VolumeExpansion.ONLINE)
        return csi_pb2.GetPluginCapabilitiesResponse(
            capabilities=[*services, capability(volume_expansion=online)]
        )

    async def Probe(self, request: csi_pb2.ProbeRequest, context: Context) -> csi_pb2.ProbeResponse:
        """Not ready while no ebbd answers: one will, so this is not an error."""
        ready = await self._router.ready(context.time_remaining())
        return csi_pb2.ProbeResponse(ready=BoolValue(value=ready))
