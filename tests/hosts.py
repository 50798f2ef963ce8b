"""The three files a host gives, for tests: small tables of odd shapes, and whole competitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes, load_digits, load_wine

from kagkit.recipes.reading import Given

ROWS, TEST_ROWS = 60, 20


def small(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Training rows with the target `y` of 0 and 1, test rows, and the sample submission."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "id": [f"r{number:03d}" for number in range(ROWS + TEST_ROWS)],
            "a": rng.normal(size=ROWS + TEST_ROWS).round(3),
            "city": rng.choice(["Oslo", "Bergen"], ROWS + TEST_ROWS),
        }
    )
    train, test = rows[:ROWS].assign(y=[0, 1] * (ROWS // 2)), rows[ROWS:].reset_index(drop=True)
    return train, test, test[["id"]].assign(y=0)


def write_files(
    folder: Path, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame, suffix: str = ".csv"
) -> Given:
    """The three tables as files; `suffix` is that of the first two."""
    folder.mkdir(parents=True, exist_ok=True)
    given = Given(folder / f"train{suffix}", folder / f"test{suffix}", folder / "sample.csv")
    for path, table in ((given.train, train), (given.test, test), (given.sample, sample)):
        if path.suffix == ".parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return given


def words(given: Given) -> list[str]:
    """The files as options of `kagkit init`."""
    return ["--train", str(given.train), "--test", str(given.test), "--sample", str(given.sample)]


def passengers(folder: Path) -> tuple[Given, pd.Series[Any]]:
    """A shipwreck much like Titanic's: names, tickets, cabins, gaps; and who in the test rows survived."""
    rng = np.random.default_rng(1912)
    count = 600
    sex, pclass = rng.choice(["male", "female"], count), rng.integers(1, 4, count)
    age = np.where(rng.random(count) < 0.2, np.nan, rng.integers(1, 75, count))
    odds = 1.7 * (sex == "female") - 0.7 * (pclass - 2) - 0.02 * (np.nan_to_num(age, nan=30) - 30) - 0.8
    table = pd.DataFrame(
        {
            "PassengerId": range(1, count + 1),
            "Survived": (rng.logistic(size=count) / 3 < odds).astype(int),
            "Pclass": pclass,
            "Name": [f"Doe, {'Mr' if kind == 'male' else 'Mrs'}. {n:x}" for n, kind in enumerate(sex)],
            "Sex": sex,
            "Age": age,
            "Ticket": [f"PC {number}" for number in rng.integers(1, 300, count)],
            "Fare": (rng.exponential(20, count) / pclass).round(4),
            "Cabin": pd.Series(["C85"] * count).where(rng.random(count) > 0.7),
            "Boarded": pd.date_range("1912-04-10", periods=count, freq="min").strftime("%Y-%m-%d %H:%M"),
            "Crew": pd.Series(rng.random(count) < 0.1).where(rng.random(count) > 0.1),
        }
    )
    return _competition(folder, table, "PassengerId", "Survived", sample=0)


def diabetes(folder: Path) -> tuple[Given, pd.Series[Any]]:
    """Scikit-learn's diabetes: a regression."""
    table = load_diabetes(as_frame=True, scaled=False).frame
    return _competition(folder, table.rename_axis("Id").reset_index(), "Id", "target", sample=152.1)


def wine(folder: Path) -> tuple[Given, pd.Series[Any]]:
    """Scikit-learn's wines, their three growers by name: classes of text."""
    table = load_wine(as_frame=True).frame
    table["grower"] = table.pop("target").map({0: "Aldo", 1: "Bruno", 2: "Carla"})
    return _competition(folder, table.rename_axis("Id").reset_index(), "Id", "grower", sample="Aldo")


def digits(folder: Path) -> tuple[Given, pd.Series[Any]]:
    """Scikit-learn's handwritten digits, a column a pixel."""
    images, labels = load_digits(return_X_y=True)
    table = pd.DataFrame(images.astype(int)).add_prefix("pixel").assign(label=labels)
    return _competition(folder, table.rename_axis("ImageId").reset_index(), "ImageId", "label", sample=0)


def _competition(
    folder: Path, table: pd.DataFrame, key: str, target: str, sample: Any
) -> tuple[Given, pd.Series[Any]]:
    """Every third row is a test row, its target hidden."""
    is_test = np.arange(len(table)) % 3 == 2
    test = table[is_test]
    answers = test[[key]].assign(**{target: sample})
    given = write_files(folder, table[~is_test], test.drop(columns=target), answers)
    return given, test.set_index(test[key].astype(str))[target]
