"""Makes gRPC calls by Python's own client, without generated code.

Standard input is one JSON object, standard output another:

    {"address": "127.0.0.1:8080", "options": {"grpc.enable_retries": 0},
     "calls": [{"kind": "unary", "path": "/reveille.test.Echo/Unary", "messages": ["hi"], "times": 1,
                "metadata": [["x-echo-a", "1"], ["x-echo-b-bin", "AAE="]], "timeout": 5, "cancel_after": 1}]}
    {"replies": [{"code": "OK", "message": "", "messages": ["hi"], "head": [], "trailers": [], "took": 0.01}]}

All calls are made at once over one channel. `kind` is unary, client_stream, server_stream or bidi. Times are in seconds;
a message is the payload of `message Note { bytes payload = 1; }` as text; metadata that end with -bin are in base64.
"""

import base64
import json
import sys
import threading
import time
from concurrent import futures

import grpc


def encode(payload):
    data, rest, length = payload.encode(), len(payload.encode()), bytearray()
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return b"\x0a" + bytes(length) + bytes([rest]) + data if data else b""


def decode(message):
    if not message:
        return ""
    at = 1
    while message[at] & 128:
        at += 1
    return message[at + 1:].decode(errors="replace")


def to_wire(metadata):
    return [(name, base64.b64decode(value) if name.endswith("-bin") else value) for name, value in metadata]


def from_wire(metadata):
    text = lambda value: base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return [[name, text(value)] for name, value in metadata or ()]


METHODS = {
    "unary": ("unary_unary", False, False),
    "client_stream": ("stream_unary", True, False),
    "server_stream": ("unary_stream", False, True),
    "bidi": ("stream_stream", True, True),
}


def make(channel, call):
    name, many_requests, many_answers = METHODS[call["kind"]]
    method = getattr(channel, name)(call["path"], request_serializer=None, response_deserializer=None)
    requests = [encode(message) for message in call.get("messages", [""])]
    request = iter(requests) if many_requests else requests[0]
    options = {"timeout": call.get("timeout"), "metadata": to_wire(call.get("metadata", [])), "wait_for_ready": call.get("wait_for_ready")}
    begun, messages = time.monotonic(), []
    running = method(request, **options) if many_answers else method.future(request, **options)
    if "cancel_after" in call:
        threading.Timer(call["cancel_after"], running.cancel).start()
    try:
        for message in running if many_answers else [running.result()]:
            messages.append(decode(message))
    except (grpc.RpcError, grpc.FutureCancelledError):
        pass  # its code says so, too
    return {
        "code": running.code().name,
        "message": running.details() or "",
        "messages": messages,
        "head": from_wire(running.initial_metadata()),
        "trailers": from_wire(running.trailing_metadata()),
        "took": time.monotonic() - begun,
    }


def main():
    order = json.load(sys.stdin)
    calls = [call for call in order["calls"] for _ in range(call.get("times", 1))]
    options = [("grpc.enable_http_proxy", 0), *order.get("options", {}).items()]
    with grpc.insecure_channel(order["address"], options=options) as channel:
        with futures.ThreadPoolExecutor(max_workers=max(len(calls), 1)) as pool:
            replies = list(pool.map(lambda call: make(channel, call), calls))
    json.dump({"replies": replies}, sys.stdout)


main()
