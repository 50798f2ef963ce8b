"""What boosting.yaml asks for, without kagkit: read, split, fit, predict, score, write."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

SETTINGS = {"objective": "binary", "deterministic": True, "force_row_wise": True, "verbose": -1, "seed": 0}
OUT = Path("bare")


def features(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.filter(like="feature")


def main(threads: int, rounds: int) -> None:
    OUT.mkdir(exist_ok=True)
    train = pd.read_csv("train.csv", index_col="row_id", dtype={"row_id": str})
    test = pd.read_csv("test.csv", index_col="row_id", dtype={"row_id": str})
    settings = SETTINGS | {"num_threads": threads}
    oof = pd.Series(0.0, train.index, name="target")
    submission = pd.Series(0.0, test.index, name="target")
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(train, train["target"])
    for fold, (fitted, held_out) in enumerate(folds):
        part = train.iloc[fitted]
        model = lgb.train(settings, lgb.Dataset(features(part), part["target"]), rounds)
        model.save_model(OUT / f"fold{fold}.txt")
        oof.iloc[held_out] = np.asarray(model.predict(features(train.iloc[held_out]), num_threads=threads))
        submission += np.asarray(model.predict(features(test), num_threads=threads)) / 5
    oof.to_csv(OUT / "oof.csv")
    submission.to_csv(OUT / "submission.csv")
    (OUT / "cv.json").write_text(json.dumps(roc_auc_score(train["target"], oof)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
