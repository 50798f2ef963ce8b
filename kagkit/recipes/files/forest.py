"""A random forest (scikit-learn) on the columns of a table: little to tune; its predictions are kept."""

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

TARGETS = ["target"]  # the columns to predict
ABSENT = []  # further columns that the test rows lack
LOSS = "binary"  # binary, multiclass or regression
CLASS_COLUMN = "{}"  # how the submission names the column of a class


def train(task, *, trees=300, leaf=3):
    rows = task.train_rows.drop(columns=TARGETS + ABSENT)
    texts = list(rows.select_dtypes(exclude=["number", "bool"]))
    forest_class = RandomForestClassifier if LOSS in ("binary", "multiclass") else RandomForestRegressor
    models = []
    for target in TARGETS:
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=5)
        columns = make_column_transformer((codes, texts), remainder="passthrough")
        forest = forest_class(trees, min_samples_leaf=leaf, random_state=task.seed, n_jobs=task.threads)
        models.append(make_pipeline(columns, forest).fit(rows, task.train_rows[target]))
    # A rare class may be held out whole: its column is there all the same, without a chance.
    classes = sorted({*task.train_rows[TARGETS[0]], *task.valid_rows[TARGETS[0]]})
    return models, classes  # pickles are all that scikit-learn has for models: the predictions are kept


def predict(task, model, rows):
    models, classes = model
    if LOSS == "multiclass":
        table = pd.DataFrame(models[0].predict_proba(rows), rows.index, models[0].classes_)
        return table.reindex(columns=classes, fill_value=0.0).rename(columns=CLASS_COLUMN.format)
    values = [m.predict_proba(rows)[:, -1] if LOSS == "binary" else m.predict(rows) for m in models]
    return pd.DataFrame(dict(zip(TARGETS, values, strict=True)), rows.index)
