"""What applications do over HTTP: tritonclient.http and its asyncio twin."""

import asyncio

import tritonclient.http as sync
import tritonclient.http.aio as aio
from triton_numbers import check, inputs, number, picture

PATIENCE = 60  # seconds; also tritonclient's own default


def client(port, timeout=PATIENCE):
    return sync.InferenceServerClient(f"127.0.0.1:{port}", connection_timeout=timeout, network_timeout=timeout)


def infer(port, seed=0, timeout=PATIENCE):
    with client(port, timeout) as one:
        result = one.infer("resnet50", inputs(sync, {"data": picture(seed)}))
    return check(result.as_numpy("resnetv17_dense0_fwd"), seed)


def aio_infer(port, seed=0):
    async def call():
        async with aio.InferenceServerClient(f"127.0.0.1:{port}", conn_timeout=PATIENCE) as one:
            return await one.infer("resnet50", inputs(sync, {"data": picture(seed)}))

    return check(asyncio.run(call()).as_numpy("resnetv17_dense0_fwd"), seed)


def slow(port, ms, timeout=PATIENCE):
    with client(port, timeout) as one:
        result = one.infer("slow", inputs(sync, {"MS": number(ms)}))
    return int(result.as_numpy("MS_TAKEN")[0])


def state(port):
    with client(port) as one:
        live, ready = one.is_server_live(), one.is_server_ready()
        return {"live": live, "ready": ready, "model": one.is_model_ready("resnet50")}


def aio_state(port):
    async def call():
        async with aio.InferenceServerClient(f"127.0.0.1:{port}", conn_timeout=PATIENCE) as one:
            live, ready = await one.is_server_live(), await one.is_server_ready()
            return {"live": live, "ready": ready, "model": await one.is_model_ready("resnet50")}

    return asyncio.run(call())


def statistics(port, model=""):
    with client(port) as one:
        return one.get_inference_statistics(model)


def index(port):
    with client(port) as one:
        return {model["name"]: model.get("state") for model in one.get_model_repository_index()}


def metadata(port):
    with client(port) as one:
        return {"server": one.get_server_metadata()["name"], "model": one.get_model_metadata("resnet50")["name"]}


def asides(port):
    """Everything else that is asked and set without running a model."""
    with client(port) as one:
        one.get_system_shared_memory_status()
        one.get_cuda_shared_memory_status()
        one.get_trace_settings()
        one.get_log_settings()


COMMANDS = [infer, aio_infer, slow, state, aio_state, statistics, index, metadata, asides]
