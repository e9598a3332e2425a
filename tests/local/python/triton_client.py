"""Triton's own clients, steered by lines of JSON: what an application does with tritonclient, told what to do by a test.

    python triton_client.py WEIGHTS.npy

Each line of standard input is a command, `{"id": 1, "do": "http.infer", "port": 8000, …}`; commands run side by side.
Each line of standard output is an answer: `{"id": 1, "ms": 12.3, "value": …}`, or in place of `value` the exception as
`{"error": {"type": …, "message": …, "status": …}}`. An exception is a result, too: tests are about what clients see.
It says the answer 0 once it is ready, and ends with its input.
"""

import json
import os
import sys
import threading
import time

import triton_grpc
import triton_http
import triton_numbers

COMMANDS = {
    f"{name}.{function.__name__}": function
    for name, module in (("http", triton_http), ("grpc", triton_grpc))
    for function in module.COMMANDS
}
writing = threading.Lock()


def say(answer):
    with writing:
        print(json.dumps(answer), flush=True)


def run(number, function, arguments):
    started = time.monotonic()
    try:
        answer = {"value": function(**arguments)}
    except BaseException as error:  # asyncio's cancellation is no Exception
        status = getattr(error, "status", None)
        status = str(status()) if callable(status) else None
        answer = {"error": {"type": type(error).__name__, "message": str(error), "status": status}}
    say({"id": number, "ms": (time.monotonic() - started) * 1000, **answer})


def main(weights):
    triton_numbers.load(weights)
    say({"id": 0})
    for line in sys.stdin:
        arguments = json.loads(line)
        number, function = arguments.pop("id"), COMMANDS[arguments.pop("do")]
        threading.Thread(target=run, args=(number, function, arguments), daemon=True).start()
    # At once: the clients' own threads may be anywhere.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
