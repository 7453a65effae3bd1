"""What a call over TLS has to pass before a service sees it: its right, and the node it means."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
from ebb_pb.identities import NODE_KEY_METADATA
from google.protobuf.message import Message

from ebbd.api import rights
from ebbd.api.failures import Context, Handler, Serve
from ebbd.errors import Unavailable

# By its answer a client learns that another node is meant by now.
WHO_ARE_YOU = "/ebb.v1.Node/GetNode"


class Admission(grpc.aio.ServerInterceptor):
    """The one place where rights are enforced. Not on the unix socket: its mode is the guard."""

    def __init__(self, node_key: str) -> None:
        self._node_key = node_key

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return None  # streams have no rights yet: nobody gets them
        path = str(handler_call_details.method)
        serve = cast("Serve", handler.unary_unary)

        async def admitted(request: Message, context: Context) -> Message:
            rights.admit(path, _names(context))
            if path != WHO_ARE_YOU:
                self._meant_for_us(context)
            return cast("Message", await serve(request, context))

        return grpc.unary_unary_rpc_method_handler(
            cast("Any", admitted),  # typed for synchronous servers only
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _meant_for_us(self, context: Context) -> None:
        """A pool may have moved since the client learned who has it: an id that is not known here
        must then not be told to be deleted.
        """
        meant = {
            str(value)
            for key, value in context.invocation_metadata() or ()
            if key == NODE_KEY_METADATA
        }
        if meant - {self._node_key}:
            raise Unavailable(
                f"this node's key is {self._node_key} now, not {' or '.join(sorted(meant))}",
                "ask the nodes again who they are",
            )


def _names(context: Context) -> tuple[str, ...]:
    told = context.auth_context().get("x509_subject_alternative_name", ())
    return tuple(name.decode(errors="replace") for name in told)
