"""A detector that is trained into `runs/train/NAME/weights`: the last weights, and the best."""

import argparse
import pickle
from pathlib import Path

import numpy as np


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--name", default="exp")
    return parser.parse_args()


def train(epochs, save_dir):
    """Writes `last.pkl` and `best.pkl`; gives the metrics of each epoch."""
    weights_dir = save_dir / "weights"
    weights_dir.mkdir(parents=True, exist_ok=True)
    weights, target, best = np.zeros(4), np.array([0.1, 0.2, 0.5, 0.6]), 0.0
    for epoch in range(epochs):
        weights = weights + 0.5 * (target - weights)
        precision = float(1 - np.abs(target - weights).sum())
        (weights_dir / "last.pkl").write_bytes(pickle.dumps({"epoch": epoch, "model": weights}))
        if precision > best:
            best = precision
            (weights_dir / "best.pkl").write_bytes((weights_dir / "last.pkl").read_bytes())
        yield epoch, {"metrics/precision": precision, "train/box_loss": 1 - precision}


def save_dir_of(name):
    return Path("runs/train") / name
