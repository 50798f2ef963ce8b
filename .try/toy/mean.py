"""Guess 1 where column `a` is above the mean of the rows trained on."""

import json

import numpy as np


def train(task, *, shift=0.0):
    mean = float(np.mean(task.train_rows["a"])) + shift
    (task.out / "mean.json").write_text(json.dumps(mean))


def predict(task, model, rows, *, flip=False):
    mean = json.loads((task.weights / "mean.json").read_text())
    return ((rows["a"] > mean) != flip).astype("int64").to_frame("label")
