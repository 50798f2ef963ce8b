"""Boosted trees on what the classifier saw and the DICOM header says: they gate the U-Net's masks."""

import lightgbm as lgb
import numpy as np
import pandas as pd

LINES = 64  # images handed on at a time


def table(task, rows):
    """What is known of an image: header, both networks' scores, the classifier's features."""
    seen = task.inputs["classifier"]
    known = pd.DataFrame(
        {
            "age": rows["PatientAge"],
            "male": rows["PatientSex"] == "M",
            "lying": rows["ViewPosition"] == "AP",
            "classifier": seen.array("has_mask", rows.index),
            "unet": task.inputs["unet"].array("has_mask", rows.index),
        },
        index=rows.index,
    )
    features = seen.array("features", rows.index)
    return known.join(pd.DataFrame(features, index=rows.index).add_prefix("feature"))


def train(task, *, rounds=60, lr=0.05, leaves=4):
    settings = {
        "objective": "binary",
        "learning_rate": lr,
        "num_leaves": leaves,
        "min_data_in_leaf": 8,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "seed": task.seed,
        "num_threads": task.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    images = lgb.Dataset(table(task, task.train_rows), task.train_rows["has_mask"].astype(int))
    lgb.train(settings, images, rounds).save_model(task.out / "model.txt")


def load(task):
    return lgb.Booster(model_file=task.weights / "model.txt")


def predict(task, model, rows):
    chances = model.predict(table(task, rows)).astype(np.float32)
    for start in range(0, len(rows), LINES):
        keys = rows.index[start : start + LINES]
        masks = task.inputs["unet"].array("mask", keys)
        yield keys, {"mask": masks, "has_mask": chances[start : start + LINES]}
