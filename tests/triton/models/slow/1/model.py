"""Answers after MS milliseconds. Loads for LOAD_MS milliseconds, during which Triton keeps its ports closed."""

import os
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        time.sleep(int(os.environ.get("LOAD_MS", 0)) / 1000)

    def execute(self, requests):
        return [answer(request) for request in requests]


def answer(request):
    ms = pb_utils.get_input_tensor_by_name(request, "MS").as_numpy()
    time.sleep(int(ms[0]) / 1000)
    return pb_utils.InferenceResponse([pb_utils.Tensor("MS_TAKEN", ms)])
