"""Errors to gRPC status codes: the one place where it is done.

What ebbd raises on purpose becomes its code with its message. Anything else is a defect: it is
logged with its traceback and told as INTERNAL.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from ebbd.errors import EbbError, InvalidInput

Context = grpc.aio.ServicerContext[Any, Any]
# Generic in its stubs only, hence the quotes.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Serve = Callable[[Any, Context], Awaitable[Any]]
Deserialize = Callable[[bytes], Message]


# Messages travel in the trailing metadata, of which gRPC takes 8 KiB in all, and up to three bytes
# for each that is not printable ASCII.
_TOLD_BYTES = 2400


class FailureInterceptor(grpc.aio.ServerInterceptor):
    """Turns errors into statuses and writes one log line a call."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or handler.unary_unary is None or not method.startswith("/ebb.v1."):
            return handler
        return grpc.unary_unary_rpc_method_handler(
            # grpc types a handler for synchronous servers only; this server's are coroutines.
            self._guarded(
                cast("Serve", handler.unary_unary),
                cast("Deserialize", handler.request_deserializer),
                method.rpartition("/")[2],
            ),
            # Bytes as they came: what gRPC cannot decode it answers with UNKNOWN and a traceback.
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    def _guarded(self, serve: Serve, deserialize: Deserialize, method: str) -> Serve:
        async def guarded(raw: bytes, context: Context) -> Message:
            began_s = monotonic()
            reply: Message | None = None
            code, told = "CANCELLED", "the caller left"
            try:
                reply = await serve(_decoded(raw, deserialize), context)
                code, told = "OK", ""
            except EbbError as error:
                code, told = error.code, str(error)
            except Exception as defect:  # noqa: BLE001 - the edge: whatever it is, the caller is told
                # Anything else is a defect of ebbd's: the caller is told, the log has it whole.
                self._log.exception("defect", method=method)
                code, told = "INTERNAL", f"a defect in ebbd: {defect!r}; please report it"
            finally:
                took_ms = round((monotonic() - began_s) * 1000, 1)
                self._log.info(
                    "call",
                    method=method,
                    code=code,
                    took_ms=took_ms,
                    told=told,
                    **_caller(context),
                )
            if reply is None:
                await context.abort(grpc.StatusCode[code], _fitting(told))
            return reply

        return guarded


def _decoded(raw: bytes, deserialize: Deserialize) -> Message:
    try:
        return deserialize(raw)
    except DecodeError as error:
        raise InvalidInput(
            f"the request is not the message that this call takes: {error}",
            "use a client of the same version as ebbd",
        ) from error


def _caller(context: Context) -> dict[str, str]:
    """Whose certificate it was, for calls over TLS; on the socket nobody has a name."""
    told = context.auth_context().get("x509_common_name")
    return {"caller": b", ".join(told).decode(errors="replace")} if told else {}


def _fitting(told: str) -> str:
    raw = told.encode()
    if len(raw) <= _TOLD_BYTES:
        return told
    return f"{raw[:_TOLD_BYTES].decode(errors='ignore')} … (whole in the log of ebbd)"
