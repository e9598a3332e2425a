"""A gRPC server without generated code: messages are the bytes that they are on the wire.

`example.Echo` has `Say`, which sends a message back, and `Repeat`, which sends it five times, one every second.
"""

import os
import time
from concurrent import futures

import grpc

SERVING = b"\x08\x01"  # message HealthCheckResponse { ServingStatus status = 1; }


def repeat(message, context):
    for _ in range(5):
        yield message
        time.sleep(1)


def handlers(service, methods):
    return grpc.method_handlers_generic_handler(service, methods)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((
        handlers("example.Echo", {
            "Say": grpc.unary_unary_rpc_method_handler(lambda message, context: message),
            "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
        }),
        handlers("grpc.health.v1.Health", {
            "Check": grpc.unary_unary_rpc_method_handler(lambda message, context: SERVING),
        }),
    ))
    server.add_insecure_port("127.0.0.1:" + os.environ["PORT"])
    server.start()
    server.wait_for_termination()


main()
