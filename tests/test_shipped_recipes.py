from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from kagkit.data.predictions import write
from kagkit.foundation.errors import DataError, ManifestError
from kagkit.metrics import rmse
from kagkit.metrics.truth import Truth
from kagkit.recipes import blend, stack
from kagkit.runs.feed import Fed

KEYS = pd.Index([f"r{number:03d}" for number in range(80)], name="id")


def fed(folder: Path, name: str, values: Any, keys: pd.Index[str] = KEYS) -> Fed:
    """Predictions as another run left them: a dict of columns, in an order of their own."""
    output = iter([(keys[::-1], {column: cells[::-1] for column, cells in values.items()})])
    written = write(folder / f"{name}.arrow", output, keys, key_names=["id"])
    told = {"path": f"{name}.arrow", "content_sha256": written.content_sha256}
    return Fed.feed(folder, name, {"oof": told}, "oof")


@pytest.fixture
def task(tmp_path: Path) -> SimpleNamespace:
    """A task whose rows have a number, a 0 or 1, and a kind; two inputs that predict the number."""
    random = np.random.default_rng(0)
    size = random.normal(size=len(KEYS))
    rows = pd.DataFrame(
        {"size": size, "big": (size > 0).astype(int), "age": random.normal(size=len(KEYS))}, KEYS
    )
    rows["kind"] = np.where(size > 0.5, "large", np.where(size > -0.5, "medium", "small"))
    noise = random.normal(0, 0.5, (2, len(KEYS)))
    one, two = ({"size": size + each} for each in noise)
    inputs = {"one": fed(tmp_path, "one", one), "two": fed(tmp_path, "two", two)}
    (tmp_path / "out").mkdir()
    judge = Truth(rows[["size"]], rmse, greater_is_better=False)
    return SimpleNamespace(
        judge=judge, inputs=inputs, train_rows=rows, out=tmp_path / "out", seed=0, threads=1
    )


def answered(task: Any, **args: Any) -> pd.DataFrame:
    stack.train(task, **args)
    shuffled = task.train_rows.sample(frac=1, random_state=1)
    return stack.predict(task, task.out, shuffled).loc[KEYS]


def columns_of(task: Any, *names: str) -> np.ndarray[Any, Any]:
    table = pd.DataFrame({name: each.frame(KEYS).iloc[:, 0] for name, each in task.inputs.items()})
    table = table.join(task.train_rows[list(names)])
    scaled: np.ndarray[Any, Any] = ((table - table.mean()) / table.std(ddof=0)).to_numpy()
    return scaled


def test_ridge_is_that_of_scikit_learn_whatever_the_order_of_rows(task: Any) -> None:
    x = columns_of(task, "age")
    expected = Ridge(2.0).fit(x, task.train_rows["size"]).predict(x)
    assert answered(task, columns=["age"], strength=2.0)["size"].tolist() == pytest.approx(expected.tolist())
    told = json.loads((task.out / "stack.json").read_text())
    assert told["features"] == ["one.size", "two.size", "age"]


def test_zeros_and_ones_are_learned_as_chances(task: Any) -> None:
    x = columns_of(task)
    expected = LogisticRegression(max_iter=1_000).fit(x, task.train_rows["big"]).predict_proba(x)[:, 1]
    assert answered(task, target="big")["big"].tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("model", ["linear", "lightgbm"])
def test_a_column_for_each_class_is_learned_where_the_inputs_have_them(
    task: Any, tmp_path: Path, model: str
) -> None:
    chances = {name: (task.train_rows["kind"] == name) * 0.9 for name in ("large", "medium", "small")}
    task.inputs = {"three": fed(tmp_path, "three", {n: c.to_numpy() for n, c in chances.items()})}
    told = answered(task, target="kind", model=model)
    assert list(told) == ["large", "medium", "small"]
    assert told.sum(axis=1).tolist() == pytest.approx([1.0] * len(KEYS))
    assert told.idxmax(axis=1).tolist() == task.train_rows["kind"].tolist()


def test_an_array_a_row_feeds_lightgbm_and_gaps_are_borne(task: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(len(KEYS), 2, 3)).astype(np.float16)
    features[:, 1, 2] = task.train_rows["size"]
    task.inputs = {"net": fed(tmp_path, "net", {"features": features})}
    task.train_rows.loc[KEYS[:5], "age"] = np.nan
    told = answered(task, target="size", columns=["age"], model="lightgbm", rounds=200)
    assert np.corrcoef(told["size"], task.train_rows["size"])[0, 1] > 0.95
    assert json.loads((task.out / "stack.json").read_text())["features"][5] == "net.features.5"
    assert np.isfinite(answered(task, target="size", columns=["age"])["size"]).all()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"columns": ["size"]}, "size: the target itself; expected what is known of new rows too"),
        ({"columns": ["agee"]}, "no column agee"),
        ({"columns": ["kind"]}, "kind is str; expected numbers"),
        ({"model": "lightgmb"}, "did you mean lightgbm?"),
        ({"target": "weight"}, "no column weight"),
    ],
)
def test_what_cannot_be_learned_is_refused(task: Any, args: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestError) as error:
        stack.train(task, **args)
    assert told in "; ".join(map(str, error.value.problems))


def test_a_target_among_the_columns_is_refused_where_rows_lack_it(task: Any) -> None:
    stack.train(task, columns=["big"])
    with pytest.raises(ManifestError, match="the rows cannot be predicted"):
        stack.predict(task, task.out, task.train_rows.drop(columns=["size", "big", "kind"]))


def test_rows_that_were_never_held_out_are_left_out_and_missing_ones_refused(
    task: Any, tmp_path: Path
) -> None:
    values = {"size": task.train_rows["size"].to_numpy()[10:]}
    task.inputs = {"one": fed(tmp_path, "part", values, KEYS[10:])}
    stack.train(task)
    assert json.loads((task.out / "stack.json").read_text())["rows"] == 70
    task.inputs["all"] = fed(tmp_path, "all", {"size": task.train_rows["size"].to_numpy()})
    with pytest.raises(DataError) as error:
        stack.train(task)
    assert "inputs.one: lacks 10 rows that all has: r000, r001" in str(error.value.problems[0])
    task.train_rows = task.train_rows.iloc[:10]
    del task.inputs["all"]
    with pytest.raises(DataError, match="nothing to learn from"):
        stack.train(task)


def test_a_row_that_an_input_never_predicted_is_not_blended(task: Any) -> None:
    blend.train(task, method="mean", weights={"one": 1, "two": 1})
    strange = task.train_rows.rename(index={"r005": "x005"})
    with pytest.raises(DataError) as error:
        blend.predict(task, task.out, strange)
    assert "one: lacks 1 of 80 keys: x005" in str(error.value.problems[0])


def test_masks_are_averaged_in_chunks_and_never_searched(task: Any, tmp_path: Path) -> None:
    masks = np.random.default_rng(2).random((2, len(KEYS), 4, 4)).astype(np.float32)
    task.inputs = {name: fed(tmp_path, name, {"mask": each}) for name, each in zip("ab", masks, strict=True)}
    blend.train(task, method="mean", weights={"a": 3, "b": 1})
    chunks = list(blend.predict(task, task.out, task.train_rows))
    mixed = np.concatenate([values["mask"] for _, values in chunks])
    assert np.allclose(mixed, 0.75 * masks[0] + 0.25 * masks[1])
    with pytest.raises(ManifestError) as error:
        blend.train(task)
    assert "an array a row, which is averaged and not searched" in str(error.value.problems[0])


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"weights": {"one": 1, "two": 1}}, "weights are given, and searched for"),
        ({"method": "mean", "weights": {"one": 1}}, "one; expected one for each input: one, two"),
        ({"method": "mean", "weights": {"one": -1, "two": 2}}, "numbers of 0 or more, not all 0"),
        ({"method": "meen"}, "did you mean mean?"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(task: Any, args: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestError) as error:
        blend.train(task, **args)
    assert told in "; ".join(map(str, error.value.problems))
