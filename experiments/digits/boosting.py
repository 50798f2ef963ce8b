"""Boosted trees on the 64 pixels: a baseline in seconds."""

import lightgbm as lgb
import pandas as pd


def pixels(rows):
    return rows.filter(like="pixel")  # by name: in training the rows have their label too


def train(task, *, rounds=100, lr=0.1, leaves=15):
    settings = {
        "objective": "multiclass",
        "num_class": 10,
        "learning_rate": lr,
        "num_leaves": leaves,
        "feature_fraction": 0.3,  # neighbouring pixels say the same, so trees that see few of them differ more
        "seed": task.seed,
        "num_threads": task.threads,
        "deterministic": True,
        "force_row_wise": True,  # else LightGBM times both ways, and may choose another one tomorrow
        "verbose": -1,
    }
    images = lgb.Dataset(pixels(task.train_rows), task.train_rows["Label"])
    booster = lgb.train(settings, images, rounds, callbacks=[lambda at: task.progress(at.iteration + 1, rounds)])
    booster.save_model(task.out / "model.txt")  # text, so that loading it runs no code


def load(task):
    return lgb.Booster(model_file=task.weights / "model.txt")


def predict(task, model, rows):
    # A column per class, named by the class: kagkit submits the most probable one.
    return pd.DataFrame(model.predict(pixels(rows)), index=rows.index, columns=range(10))
