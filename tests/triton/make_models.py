"""Makes a model repository in FOLDER: these MODELS (default: all beside this file), with weights by SEED.

    python3 make_models.py FOLDER SEED [MODELS...]
"""

import pathlib
import shutil
import sys

import numpy as np


def main(folder, seed, *names):
    models, folder = pathlib.Path(__file__).parent / "models", pathlib.Path(folder)
    for name in names or [model.name for model in models.iterdir()]:
        shutil.copytree(models / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    weights = np.random.default_rng(int(seed)).standard_normal((3 * 7 * 7, 1000), np.float32)
    # Beside the models, for clients, and where the model looks for them.
    np.save(folder / "weights.npy", weights)
    if (folder / "resnet50").exists():
        shutil.copy(folder / "weights.npy", folder / "resnet50/1")


if __name__ == "__main__":
    main(*sys.argv[1:])
