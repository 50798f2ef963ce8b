"""Boosted trees, told to do the same sums in the same order every time."""

from __future__ import annotations

import lightgbm as lgb
import pandas as pd

from kagkit.runs.task import Task

SETTINGS = {"objective": "binary", "deterministic": True, "force_row_wise": True, "verbose": -1}


def features(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.filter(like="feature")


def train(task: Task, *, rounds: int = 2000) -> None:
    settings = SETTINGS | {"seed": task.seed, "num_threads": task.threads}
    rows = lgb.Dataset(features(task.train_rows), task.train_rows["target"])
    lgb.train(settings, rows, rounds).save_model(task.out / "model.txt")


def load(task: Task) -> lgb.Booster:
    return lgb.Booster(model_file=task.weights / "model.txt")


def predict(task: Task, model: lgb.Booster, rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"target": model.predict(features(rows), num_threads=task.threads)}, rows.index)
