"""A line to one node's ebbd over TLS: it verifies whom it reached, and ends when its calls have."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from ebb_pb.identities import NODE_KEY_METADATA
from grpc import StatusCode

from ebb_csi.credentials import Material
from ebb_csi.router import MESSAGE_OPTIONS

CONNECT_MS = 3000
LAST_ERROR = "; last error"  # gRPC's words
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    # gRPC gives one attempt to connect as long as this, at least.
    ("grpc.min_reconnect_backoff_ms", CONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", CONNECT_MS),
    # A node that lost its power closes no connection: it is noticed by its silence.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Else a connection made with an earlier certificate could serve a later channel.
    ("grpc.use_local_subchannel_pool", 1),
    *MESSAGE_OPTIONS,
)


class Line:
    """`name` is what the certificate at the other end has to say.

    `node_key`, once it is set, goes with every call, so that an ebbd that has other pools by now
    refuses instead of answering for things that are not its.
    """

    def __init__(self, address: str, name: str, material: Material) -> None:
        self.address = address
        self.material = material
        self.node_key = ""
        self._calls = _Calls(self, f"node {name} ({address})")
        self.channel = grpc.aio.secure_channel(
            address,
            material.credentials(),
            options=(*OPTIONS, ("grpc.ssl_target_name_override", name)),
            interceptors=[self._calls],
        )

    @property
    def idle(self) -> bool:
        """No call is under way."""
        return not self._calls.running

    async def close(self) -> None:
        """At once: calls under way fail."""
        await self.channel.close()


class _Calls(grpc.aio.UnaryUnaryClientInterceptor):
    """Counts the calls under way, says whom they mean, and names the node where it is silent."""

    def __init__(self, line: Line, described: str) -> None:
        self._line = line
        self._described = described
        self.running = 0

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,  # noqa: ANN401 - whatever the method takes
    ) -> Any:  # noqa: ANN401 - whatever the method returns
        details = client_call_details
        if key := self._line.node_key:
            sent = grpc.aio.Metadata(*(details.metadata or ()), (NODE_KEY_METADATA, key))
            details = grpc.aio.ClientCallDetails(
                details.method, details.timeout, sent, details.credentials, details.wait_for_ready
            )
        self.running += 1
        try:
            return await (await continuation(details, request))
        except grpc.aio.AioRpcError as failure:
            raise self._named(failure) from failure
        finally:
            self.running -= 1

    def _named(self, failure: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Name the node where gRPC speaks; a daemon's own words have a remedy ("…; …") and stay."""
        told = failure.details() or ""
        if failure.code() is not StatusCode.UNAVAILABLE or "; " in told.replace(LAST_ERROR, ""):
            return failure
        return grpc.aio.AioRpcError(
            failure.code(),
            failure.initial_metadata(),
            failure.trailing_metadata(),
            f"{self._described} does not answer: {told}; see that its ebbd runs, and both "
            "certificates",
            failure.debug_error_string(),
        )
