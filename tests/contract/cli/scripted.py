"""A daemon that says what the test tells it to say, on a real socket."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from ebb_pb import ebb_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

Answer = Callable[[Any, grpc.ServicerContext], Message]


@dataclass
class Script:
    """A daemon's answers by RPC name, and the requests it got. Unknown RPCs are UNIMPLEMENTED."""

    socket: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Message] = field(default_factory=list)

    def say(self, name: str, message: Message) -> None:
        self.answers[name] = lambda _request, _context: message

    def fail(self, name: str, code: grpc.StatusCode, details: str) -> None:
        def answer(_request: Any, context: grpc.ServicerContext) -> Message:  # noqa: ANN401 - any RPC's
            context.abort(code, details)

        self.answers[name] = answer

    def hold(self, name: str, message: Message) -> "Held":
        held = Held(message)
        self.answers[name] = held
        return held


class Held:
    """An answer that waits until the test lets it go."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.reached = threading.Event()
        self.release = threading.Event()
        self.cancelled: queue.Queue[bool] = queue.Queue()

    def __call__(self, _request: Any, context: grpc.ServicerContext) -> Message:  # noqa: ANN401 - any RPC's
        context.add_callback(lambda: self.cancelled.put(not self.release.is_set()))
        self.reached.set()
        assert self.release.wait(60), "the test never released the answer"
        return self.message


class ScriptedHandler(grpc.GenericRpcHandler):
    """Looks an RPC up in ebb.proto, and its answer in the script."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401 - an RpcMethodHandler
        service, name = handler_call_details.method.removeprefix("/ebb.v1.").split("/")
        method = pb.DESCRIPTOR.services_by_name[service].methods_by_name[name]
        answer = self.script.answers.get(name)
        if answer is None:
            return None

        def handle(request: Message, context: grpc.ServicerContext) -> Message:
            self.script.requests.append(request)
            return answer(request, context)

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


@contextmanager
def playing(script: Script) -> Iterator[None]:
    """The script's daemon listens; whatever it still holds is let go at the end."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((ScriptedHandler(script),))
    server.add_insecure_port(f"unix:{script.socket}")
    server.start()
    try:
        yield
    finally:
        for answer in script.answers.values():
            if isinstance(answer, Held):
                answer.release.set()
        server.stop(grace=5).wait()
