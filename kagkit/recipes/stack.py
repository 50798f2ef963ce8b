"""Learn from what other runs predict: a linear model or LightGBM on their predictions of each row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import ManifestError, Problem, did_you_mean, samples
from kagkit.runs.feed import Fed, shared_rows

if TYPE_CHECKING:
    from kagkit.runs.task import Task

# It stands for the code in every key, and is raised when the same inputs would give other predictions.
VERSION = 1
MODELS = ("linear", "ridge", "lightgbm")
TOLD = "stack.json"
Values = NDArray[np.float64]


def train(
    task: Task,
    *,
    model: str = "linear",
    target: str = "",
    columns: Sequence[str] = (),
    probes: Sequence[str] = (),
    strength: float = 1.0,
    rounds: int = 100,
    lr: float = 0.05,
    leaves: int = 7,
) -> None:
    """Learn the targets from the out-of-fold predictions of the training rows.

    Args:
        task: The task.
        model: `linear`: logistic where the target is 0 and 1 or there is a column for each class, else
            ridge; `ridge` for 0 and 1 too; or `lightgbm`.
        target: The column to learn; by default those that the inputs predict by name.
        columns: Columns of the rows, numbers, to learn from beside the predictions.
        probes: Probes of the inputs to learn from beside their predictions: `net.features`.
        strength: How strongly a linear model is held back.
        rounds: How many trees LightGBM makes.
        lr: How much each of them counts.
        leaves: How many leaves each of them has.

    Raises:
        ManifestError: There is no such model or column, or a target is among the columns.
        DataError: The inputs do not hold the same rows.
    """
    inputs, rows = dict(task.inputs), task.train_rows
    targets = _targets(inputs, rows, target)
    _refuse_unfit(model, columns, targets, rows)
    keys = shared_rows(inputs, rows.index)
    names, features = _features(_fed(inputs, probes), columns, rows, keys)
    answers = dict(_answers(inputs, targets, rows.loc[keys]))
    told: dict[str, Any] = {"model": model, "columns": list(columns), "inputs": list(inputs)}
    told["probes"] = list(probes)
    told |= {"features": names, "rows": len(keys)}
    if model == "lightgbm":
        settings = {"learning_rate": lr, "num_leaves": leaves, "seed": task.seed}
        settings |= {"num_threads": task.threads}
        told["outputs"] = _grow(task.out, features, answers, settings, rounds)
    else:
        told |= _fit_linear(model, features, answers, strength)
    (task.out / TOLD).write_text(json.dumps(told, indent=1), encoding="utf-8")


def predict(task: Task, model: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Predict rows from what the inputs predict for them: a column for each target, or each class."""
    told = json.loads((model / TOLD).read_text(encoding="utf-8"))
    inputs = {name: task.inputs[name] for name in told["inputs"]}
    hidden = [column for column in told["columns"] if column not in rows]
    if hidden:
        found = f"{samples(hidden)}: not among the columns that predict is given"
        problem = Problem("args.columns", found, hint="a target is known of training rows alone")
        raise ManifestError("the rows cannot be predicted", [problem])
    _, features = _features(_fed(inputs, told["probes"]), told["columns"], rows, rows.index)
    predicted = _boosted(model, told, features) if told["model"] == "lightgbm" else _linear(told, features)
    return pd.DataFrame(predicted, index=rows.index)


def _targets(inputs: Mapping[str, Fed], rows: pd.DataFrame, target: str) -> list[str]:
    """The columns to learn."""
    if target and target in rows:
        return [target]
    named = [] if target else [column for column in _scalars(next(iter(inputs.values()))) if column in rows]
    if named:
        return named
    found, hint = "the inputs predict no column of the training rows", "name one: args: {target: …}"
    if target:
        found, hint = f"no column {target}", did_you_mean(target, list(map(str, rows)))
    raise ManifestError("there is nothing to learn", [Problem("args.target", found, hint=hint)])


def _scalars(fed: Fed) -> list[str]:
    return [column for column in fed.columns if fed.kind(column) == "scalar"]


def _refuse_unfit(model: str, columns: Sequence[str], targets: Sequence[str], rows: pd.DataFrame) -> None:
    problems = []
    if model not in MODELS:
        expected = ", ".join(MODELS)
        problems.append(Problem("args.model", f"no model {model}", expected, did_you_mean(model, MODELS)))
    for column in columns:
        if column in targets:
            found = f"{column}: the target itself"
            problems.append(Problem("args.columns", found, "what is known of new rows too", check="leak"))
        elif column not in rows:
            hint = did_you_mean(column, list(map(str, rows)))
            problems.append(Problem("args.columns", f"no column {column}", hint=hint))
        elif not pd.api.types.is_numeric_dtype(rows[column].dtype):
            problems.append(Problem("args.columns", f"{column} is {rows[column].dtype}", "numbers"))
    if problems:
        raise ManifestError("nothing can be learned so", problems)


def _fed(inputs: Mapping[str, Fed], probes: Sequence[str]) -> dict[str, Predictions]:
    """What is learned from of the inputs: their predictions, and probes as `input.probe`."""
    unknown = [probe for probe in probes if probe.partition(".")[0] not in inputs]
    if unknown:
        expected = f"INPUT.PROBE, of {samples(list(inputs))}"
        raise ManifestError("no such probes", [Problem("args.probes", samples(unknown), expected)])
    named = (probe.partition(".") for probe in probes)
    return {**inputs, **{f"{name}.{probe}": inputs[name].probe(probe) for name, _, probe in named}}


def _features(
    inputs: Mapping[str, Predictions], columns: Sequence[str], rows: pd.DataFrame, keys: pd.Index[Any]
) -> tuple[list[str], Values]:
    """What is learned from: names, and numbers (n_rows, n_features) in the order of the keys."""
    names: list[str] = []
    blocks: list[Values] = []
    for name, fed in inputs.items():
        for column in fed.columns:
            values = fed.array(column, keys).reshape(len(keys), -1)
            if values.dtype.kind not in "biuf":
                problem = Problem(f"inputs.{name}", f"{column} is text", "numbers")
                raise ManifestError("nothing can be learned so", [problem])
            single = fed.kind(column) == "scalar"
            places = [""] if single else [f".{place}" for place in range(values.shape[1])]
            # A probe of one column has its name twice.
            whole = name if name.endswith(f".{column}") else f"{name}.{column}"
            names += [f"{whole}{place}" for place in places]
            blocks.append(values.astype(np.float64))
    blocks.append(rows.loc[keys, list(columns)].to_numpy(np.float64))
    return names + list(columns), np.hstack(blocks)


def _answers(
    inputs: Mapping[str, Fed], targets: Sequence[str], rows: pd.DataFrame
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is to be told of rows: by target its numbers; or by the columns of its classes their places."""
    classes = _scalars(next(iter(inputs.values())))
    if len(targets) > 1 or targets[0] in classes or len(classes) < 2:
        for target in targets:
            yield (target,), rows[target].to_numpy(np.float64)
        return
    spelled = pd.Index([column.removeprefix(f"{targets[0]}_") for column in classes])
    labels = rows[targets[0]].astype("str")
    places = spelled.get_indexer(pd.Index(labels))
    strange = labels[places < 0].unique().tolist()
    if strange:
        found = f"{samples(strange)}: no column of that name in the inputs"
        raise ManifestError("classes are not known", [Problem("args.target", found, samples(list(spelled)))])
    yield tuple(classes), places.astype(np.int64)


def _fit_linear(
    model: str, features: Values, answers: Mapping[tuple[str, ...], Any], strength: float
) -> dict[str, Any]:
    """The coefficients of a linear model on features of mean 0 and deviation 1, gaps filled by the mean."""
    from sklearn.linear_model import LogisticRegression, Ridge

    means = np.nan_to_num(np.nanmean(features, axis=0))
    scales = np.nanstd(features, axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    scaled = np.nan_to_num((features - means) / scales)
    outputs = []
    for columns, answer in answers.items():
        chances = len(columns) > 1 or (model == "linear" and _is_binary(answer))
        if not chances:
            fitted: Any = Ridge(strength).fit(scaled, answer)
            known, link = [0], "identity"
        else:
            fitted = LogisticRegression(C=1 / strength, max_iter=1_000).fit(scaled, answer)
            known, link = list(map(int, fitted.classes_)), "sigmoid" if len(columns) == 1 else "softmax"
        told: dict[str, Any] = {"columns": columns, "link": link, "known": known}
        told |= {"weights": np.atleast_2d(fitted.coef_).tolist()}
        outputs.append(told | {"constants": np.atleast_1d(fitted.intercept_).tolist()})
    return {"means": means.tolist(), "scales": scales.tolist(), "outputs": outputs}


def _is_binary(answer: Values) -> bool:
    return set(np.unique(answer)) <= {0, 1}


def _linear(told: Mapping[str, Any], features: Values) -> dict[str, Values]:
    means, scales = np.array(told["means"]), np.array(told["scales"])
    scaled = np.nan_to_num((features - means) / scales)
    found: dict[str, Values] = {}
    for output in told["outputs"]:
        raw = scaled @ np.array(output["weights"]).T + np.array(output["constants"])
        found |= _linked(output, raw)
    return found


def _linked(output: Mapping[str, Any], raw: Values) -> dict[str, Values]:
    """Predictions by column; a class that no training row had is never predicted."""
    from scipy.special import expit, softmax

    columns = output["columns"]
    if output["link"] != "softmax":
        return {columns[0]: expit(raw[:, 0]) if output["link"] == "sigmoid" else raw[:, 0]}
    chances = np.zeros((len(raw), len(columns)))
    two = raw.shape[1] == 1  # of two classes one line of weights is kept
    chances[:, output["known"]] = softmax(np.column_stack([0 * raw, raw]) if two else raw, axis=1)
    return {column: chances[:, place] for place, column in enumerate(columns)}


def _grow(
    out: Path,
    features: Values,
    answers: Mapping[tuple[str, ...], Any],
    settings: dict[str, Any],
    rounds: int,
) -> list[dict[str, Any]]:
    import lightgbm

    outputs = []
    for number, (columns, answer) in enumerate(answers.items()):
        objective: dict[str, Any] = {"objective": "binary" if _is_binary(answer) else "regression"}
        if len(columns) > 1:
            objective = {"objective": "multiclass", "num_class": len(columns)}
        # Else LightGBM times two ways of counting, and may take another one tomorrow.
        steady: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbose": -1}
        data = lightgbm.Dataset(features, answer)
        booster = lightgbm.train(settings | objective | steady, data, rounds)
        booster.save_model(out / f"trees-{number}.txt")
        outputs.append({"columns": columns, "file": f"trees-{number}.txt"})
    return outputs


def _boosted(model: Path, told: Mapping[str, Any], features: Values) -> dict[str, Values]:
    import lightgbm

    found: dict[str, Values] = {}
    for output in told["outputs"]:
        booster = lightgbm.Booster(model_file=model / output["file"])
        values = np.asarray(booster.predict(features)).reshape(len(features), -1)
        found |= {column: values[:, place] for place, column in enumerate(output["columns"])}
    return found
