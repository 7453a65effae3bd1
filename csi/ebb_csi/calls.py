"""What every CSI call goes through: size limits, one log line, failures turned into statuses."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError, Message
from structlog.typing import FilteringBoundLogger

from ebb_csi import logs, status, validate
from ebb_csi.router import Context

Behaviour = Callable[[Message, Context], Awaitable[Message]]
Deserialize = Callable[[bytes], Message]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # None: nobody serves that method

# Asked every few seconds by probes and orchestrators: worth a line only when they fail.
READS = re.compile("Get|List|Probe|Validate")


class Calls(grpc.aio.ServerInterceptor):
    """Wraps the CSI services' methods; health and reflection stay as they are."""

    def __init__(
        self, log: FilteringBoundLogger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.unary_unary is None or not method.startswith("/csi.v1."):
            return handler
        behaviour = cast("Behaviour", handler.unary_unary)  # typed for synchronous servers only
        return grpc.unary_unary_rpc_method_handler(
            self._guarded(
                method.rpartition("/")[2],
                behaviour,
                cast("Deserialize", handler.request_deserializer),
            ),
            # Bytes as they came: what gRPC cannot decode it answers with UNKNOWN and a traceback.
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    def _guarded(
        self, method: str, behaviour: Behaviour, deserialize: Deserialize
    ) -> Callable[[bytes, Context], Awaitable[Message]]:
        async def call(raw: bytes, context: Context) -> Message:
            log = self._log.bind(method=method)
            started = self._clock()

            def duration_ms() -> float:
                return round((self._clock() - started) * 1000, 1)

            try:
                request = decoded(raw, deserialize)
                validate.limits(request)
                # Not before its limits are known to hold: a line has a size then.
                log = log.bind(request=logs.loggable(request))
                reply = await behaviour(request, context)
            except asyncio.CancelledError:
                log.warning("caller left", duration_ms=duration_ms())
                raise
            except Exception as failure:  # the boundary: anything becomes a status
                answer = status.answer(failure)
                expected = isinstance(failure, status.Refusal | grpc.aio.AioRpcError)
                log.warning(
                    "call failed",
                    code=answer.code.name,
                    message=answer.message,
                    duration_ms=duration_ms(),
                    exc_info=None if expected else failure,
                )
                await context.abort(answer.code, answer.message)
            report = log.debug if READS.search(method) else log.info
            report("call", code="OK", duration_ms=duration_ms())
            return reply

        return call


def decoded(raw: bytes, deserialize: Deserialize) -> Message:
    try:
        return deserialize(raw)
    except DecodeError as error:
        raise status.invalid(
            f"the request is not the message that this call takes ({error}); send one of CSI 1.12"
        ) from error
