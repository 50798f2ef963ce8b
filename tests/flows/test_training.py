from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import pytest

from kagkit.foundation.files import read_json_lines
from tests.patience import wait_for
from tests.workshop import Workshop, end_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")

RECIPE = '''"""Train a small net on noisy samples, slowly where it is asked for."""

import os
import random
import time

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import nn

from kagkit.training import Plan, fit, save_weights


class Noisy:
    def __init__(self, rows):
        self.rows, self.keys = rows, rows.index

    def read(self, key):
        row = self.rows.loc[key]
        noise = random.random() + np.random.rand() + torch.randn(3)
        return torch.tensor(row[["a", "b", "c"]].to_numpy("float32")) + noise / 9, float(row["label"])


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 1))


def loss(model, batch):
    time.sleep(float(os.environ["TOY_PAUSE"]))
    inputs, label = batch
    return nn.functional.binary_cross_entropy_with_logits(model(inputs).squeeze(1), label.float())


def train(task, *, epochs=5):
    model = network()
    task.log(rows=len(task.train_rows))
    settings = {"ema": 0.9, "monitor": "train_loss", "greater_is_better": False, "best": 2}
    settings |= {"workers": int(os.environ.get("TOY_WORKERS", 0)), "checkpoint_seconds": 0.05}
    fit(task, model, Noisy(task.train_rows), loss, Plan(epochs=epochs, batch_size=8, lr=0.05, **settings))
    save_weights(model, task.out / "model.safetensors")


def predict(task, model, rows):
    net = network()
    net.load_state_dict(load_file(model / "model.safetensors"))
    inputs = torch.tensor(rows[["a", "b", "c"]].to_numpy("float32"))
    with torch.inference_mode():
        return pd.DataFrame({"label": net.eval()(inputs).sigmoid().squeeze(1)}, index=rows.index)
'''


def _logged(shop: Workshop) -> dict[str, list[str]]:
    """What finished trainings logged, by task."""
    return {
        task.name: [json.dumps(event) for event in events if event["event"] == "log"]
        for task in shop.tasks()
        if len(events := read_json_lines(task / "events.jsonl")) > 3
    }


def test_a_run_killed_again_and_again_while_it_trains_ends_with_the_same_bytes_and_logs_each_number_once(
    tmp_path: Path,
) -> None:
    chance = random.Random(4)
    with Workshop.open(tmp_path / "whole/toy", recipe=RECIPE) as whole:
        whole.run("run", "exp001", "--folds", "0")
    with Workshop.open(tmp_path / "killed/toy", recipe=RECIPE, pause=0.1) as shop:
        for turn in range(4):
            _kill_while_it_trains(shop, turn, chance)
        end_of(shop.start("run", "exp001", "--folds", "0", TOY_PAUSE="0"))
        assert shop.outcome() == whole.outcome()
        assert _logged(shop) == _logged(whole)
        (numbers,) = _logged(shop).values()
        assert len(numbers) == 6


def _kill_while_it_trains(shop: Workshop, turn: int, chance: random.Random) -> None:
    """Start a run; soon after it has a checkpoint that it had not before, kill all of it, or one process."""
    before = _checkpoints(shop)
    process = shop.start("run", "exp001", "--folds", "0", TOY_WORKERS=str(turn % 3), TMPDIR="/tmp")
    wait_for(lambda: _checkpoints(shop) > before, "a newer checkpoint")
    time.sleep(chance.uniform(0.0, 0.2))
    everyone = sorted(shop.living())
    shop.kill(*(everyone if turn % 2 else everyone[-1:]))
    process.communicate()


def _checkpoints(shop: Workshop) -> list[str]:
    """The steps of the checkpoints there are, the newest first; a later one is greater."""
    folders = (shop.root / "runs/.work").glob("*/checkpoint/fit/step-*")
    return sorted((folder.name for folder in folders), reverse=True)
