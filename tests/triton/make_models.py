"""Makes a model repository in FOLDER from the models beside this file, with weights by SEED.

    python3 make_models.py FOLDER [SEED]
"""

import pathlib
import shutil
import sys

import numpy as np


def main(folder, seed="0"):
    models = pathlib.Path(__file__).parent / "models"
    shutil.copytree(models, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    weights = np.random.default_rng(int(seed)).standard_normal((3 * 7 * 7, 1000), np.float32)
    np.save(pathlib.Path(folder) / "resnet50/1/weights.npy", weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
