"""The numbers of the test's models: what is sent, and whether what comes back is right."""

import numpy as np

weights = None


def load(path):
    global weights
    weights = np.load(path)


def picture(seed):
    return np.random.default_rng(seed).standard_normal((3, 224, 224), np.float32)


def check(scores, seed):
    """Compares with what tests/triton/models/resnet50 must answer; returns the strongest class."""
    coarse = picture(seed).reshape(3, 7, 32, 7, 32).mean(axis=(2, 4)).reshape(-1)
    assert scores.dtype == np.float32 and scores.shape == (1000,), (scores.dtype, scores.shape)
    np.testing.assert_allclose(scores, coarse @ weights, rtol=1e-4, atol=1e-4)
    return int(scores.argmax())


def inputs(module, tensors):
    """Tensors as one of tritonclient's modules wants them."""
    given = []
    for name, array in tensors.items():
        tensor = module.InferInput(name, list(array.shape), {"float32": "FP32", "int32": "INT32"}[array.dtype.name])
        tensor.set_data_from_numpy(array)
        given.append(tensor)
    return given


def number(value):
    return np.array([value], np.int32)
