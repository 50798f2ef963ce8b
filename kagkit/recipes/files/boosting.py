"""Gradient-boosted trees (LightGBM) on the columns of a table: a first model, made to be edited."""

import json

import lightgbm as lgb
import pandas as pd

TARGETS = ["target"]  # the columns to predict
ABSENT = []  # further columns that the test rows lack
LOSS = "binary"  # LightGBM's objective: binary, multiclass, regression, regression_l1, poisson
CLASS_COLUMN = "{}"  # how the submission names the column of a class
DATES = {"format": "ISO8601", "errors": "coerce", "utc": True}


def learn_columns(rows):
    """What the columns hold: numbers, dates, or text, whose frequent values are categories."""
    kinds = {"numbers": list(rows.select_dtypes(["number", "bool"])), "dates": [], "texts": {}}
    for name, cells in rows.drop(columns=kinds["numbers"]).items():
        texts = cells.dropna().astype("str")
        if len(texts) and pd.to_datetime(texts, **DATES).notna().all():
            kinds["dates"].append(name)
        else:
            kinds["texts"][name] = sorted(texts.value_counts().loc[lambda count: count >= 5].index)
    return kinds


def make_features(rows, kinds):
    """The table LightGBM gets: gaps stay gaps, and a category that training never saw becomes one."""
    table = {name: pd.to_numeric(rows[name], errors="coerce") for name in kinds["numbers"]}
    for name in kinds["dates"]:
        dates = pd.DatetimeIndex(pd.to_datetime(rows[name].astype("str"), **DATES))
        table |= {(name, part): getattr(dates, part) for part in ("year", "month", "day", "weekday")}
        table[name, "days"] = dates.to_julian_date()
    for name, categories in kinds["texts"].items():
        texts = rows[name].astype("str")
        table |= {name: pd.Categorical(texts, categories), (name, "length"): texts.str.len()}
    return pd.DataFrame(table, rows.index).set_axis(range(len(table)), axis=1)  # some names are refused


def train(task, *, lr=0.1, leaves=31, rounds=500):
    # The held-out rows say when to stop, which flatters CV a little; `fit: full` holds none out.
    parts = [part for part in (task.train_rows, task.valid_rows) if len(part)]
    kinds = learn_columns(parts[0].drop(columns=TARGETS + ABSENT))
    classes = sorted(set(pd.concat(parts)[TARGETS[0]])) if LOSS == "multiclass" else []
    params = {"objective": LOSS, "num_class": len(classes) or 1, "learning_rate": lr, "num_leaves": leaves}
    params |= {"early_stopping": 30, "feature_fraction": min(0.8, 2000 / parts[0].shape[1]), "verbose": -1}
    params |= {"num_threads": task.threads, "seed": task.seed, "deterministic": True, "force_row_wise": True}
    for i, target in enumerate(TARGETS):
        label = classes.index if classes else float
        tables = [lgb.Dataset(make_features(part, kinds), part[target].map(label)) for part in parts]
        lgb.train(params, tables[0], rounds, tables[-1:]).save_model(task.out / f"{i}.txt")
    (task.out / "columns.json").write_text(json.dumps(kinds | {"classes": classes}))


def predict(task, model, rows):
    kinds = json.loads((model / "columns.json").read_text())
    features = make_features(rows, kinds)
    values = [lgb.Booster(model_file=model / f"{i}.txt").predict(features) for i in range(len(TARGETS))]
    columns = [CLASS_COLUMN.format(label) for label in kinds["classes"]] or TARGETS
    return pd.concat(map(pd.DataFrame, values), axis=1).set_axis(columns, axis=1).set_axis(rows.index)
