"""What applications do over gRPC: tritonclient.grpc, its asyncio twin, streams, and the standard health check."""

import asyncio
import queue
import time

import grpc
import tritonclient.grpc as sync
import tritonclient.grpc.aio as aio
from triton_numbers import check, inputs, number, picture

PATIENCE = 60  # seconds
# As an application behind a load balancer sets it. None of these PINGs is a call.
PINGS = sync.KeepAliveOptions(
    keepalive_time_ms=200, keepalive_timeout_ms=5000, keepalive_permit_without_calls=True, http2_max_pings_without_data=0
)
kept = {}


def client(port):
    return sync.InferenceServerClient(f"127.0.0.1:{port}")


def infer(port, seed=0, timeout=PATIENCE, one=None):
    one = one or client(port)
    result = one.infer("resnet50", inputs(sync, {"data": picture(seed)}), client_timeout=timeout)
    return check(result.as_numpy("resnetv17_dense0_fwd"), seed)


def aio_infer(port, seed=0):
    async def call():
        async with aio.InferenceServerClient(f"127.0.0.1:{port}") as one:
            return await one.infer("resnet50", inputs(sync, {"data": picture(seed)}), client_timeout=PATIENCE)

    return check(asyncio.run(call()).as_numpy("resnetv17_dense0_fwd"), seed)


def kept_infer(port, seed=0):
    """Over a channel that stays open afterwards, and sends more PINGs than Triton itself would stand."""
    if port not in kept:
        kept[port] = sync.InferenceServerClient(f"127.0.0.1:{port}", keepalive_options=PINGS)
    return infer(port, seed, one=kept[port])


def slow(port, ms, timeout=PATIENCE):
    result = client(port).infer("slow", inputs(sync, {"MS": number(ms)}), client_timeout=timeout)
    return int(result.as_numpy("MS_TAKEN")[0])


def stream(port, count, gap_ms, leave_after=None, timeout=None):
    """A decoupled model's responses: their numbers, and how long each came after the one before, in ms.
    With `leave_after` the call is cancelled after so many."""
    results = queue.Queue()
    started = time.monotonic()
    with client(port) as one:
        one.start_stream(lambda result, error: results.put((time.monotonic(), result, error)), stream_timeout=timeout)
        one.async_stream_infer(
            "stream",
            inputs(sync, {"COUNT": number(count), "GAP_MS": number(gap_ms)}),
            enable_empty_final_response=True,
        )
        indices, gaps, last = [], [], started
        while leave_after is None or len(indices) < leave_after:
            at, result, error = results.get(timeout=PATIENCE)
            if error:
                raise error
            if result.get_response().parameters["triton_final_response"].bool_param:
                break
            indices.append(int(result.as_numpy("INDEX")[0]))
            gaps.append((at - last) * 1000)
            last = at
        one.stop_stream(cancel_requests=leave_after is not None)
    return {"indices": indices, "gaps": gaps}


def aio_stream(port, count, gap_ms):
    async def requests():
        tensors = inputs(sync, {"COUNT": number(count), "GAP_MS": number(gap_ms)})
        yield {"model_name": "stream", "inputs": tensors, "enable_empty_final_response": True}

    async def call():
        indices = []
        async with aio.InferenceServerClient(f"127.0.0.1:{port}") as one:
            async for result, error in one.stream_infer(requests()):
                if error:
                    raise error
                if not result.get_response().parameters["triton_final_response"].bool_param:
                    indices.append(int(result.as_numpy("INDEX")[0]))
        return indices

    return asyncio.run(call())


def state(port):
    one = client(port)
    wait = {"client_timeout": PATIENCE}
    return {
        "live": one.is_server_live(**wait),
        "ready": one.is_server_ready(**wait),
        "model": one.is_model_ready("resnet50", **wait),
    }


def aio_state(port):
    async def call():
        async with aio.InferenceServerClient(f"127.0.0.1:{port}") as one:
            live, ready = await one.is_server_live(), await one.is_server_ready()
            return {"live": live, "ready": ready, "model": await one.is_model_ready("resnet50")}

    return asyncio.run(call())


def health(port):
    """`grpc.health.v1.Health/Check` of the whole server, as bytes: 0801 is SERVING, 0802 NOT_SERVING."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=PATIENCE).hex()


def statistics(port, model=""):
    return client(port).get_inference_statistics(model, as_json=True, client_timeout=PATIENCE)


def index(port):
    answer = client(port).get_model_repository_index(as_json=True, client_timeout=PATIENCE)
    return {model["name"]: model.get("state") for model in answer["models"]}


def metadata(port):
    one = client(port)
    return {"server": one.get_server_metadata().name, "model": one.get_model_metadata("resnet50").name}


def asides(port):
    """Everything else that is asked and set without running a model."""
    one = client(port)
    one.get_system_shared_memory_status()
    one.get_cuda_shared_memory_status()
    one.get_trace_settings()
    one.get_log_settings()


COMMANDS = [
    infer, aio_infer, kept_infer, slow, stream, aio_stream, state, aio_state, health, statistics, index, metadata, asides
]  # fmt: skip
