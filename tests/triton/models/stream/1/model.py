"""COUNT responses, GAP_MS apart, numbered from 0."""

import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.streams = []

    def execute(self, requests):
        # In threads of their own, for streams run side by side.
        for request in requests:
            count, gap = (
                int(pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0]) for name in ("COUNT", "GAP_MS")
            )
            thread = threading.Thread(target=stream, args=(request.get_response_sender(), count, gap))
            self.streams = [other for other in self.streams if other.is_alive()] + [thread]
            thread.start()

    def finalize(self):
        for thread in self.streams:
            thread.join()


def stream(sender, count, gap):
    for index in range(count):
        tensor = pb_utils.Tensor("INDEX", np.array([index], np.int32))
        sender.send(pb_utils.InferenceResponse([tensor]))
        if index + 1 < count:
            time.sleep(gap / 1000)
    sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
