"""A small network that trains for a fixed number of steps, and says how long its own work took."""

from __future__ import annotations

import time

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from kagkit.runs.task import Task


def features(rows: pd.DataFrame) -> torch.Tensor:
    return torch.from_numpy(rows.filter(like="feature").to_numpy("float32"))


def network() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.LazyLinear(256), torch.nn.ReLU(), torch.nn.Linear(256, 1))


def train(task: Task, *, steps: int = 100) -> None:
    rows = task.train_rows
    torch.set_num_threads(1)  # the work is not what is measured, and two threads in lock-step vary more
    began = time.perf_counter()
    inputs, wanted = features(rows), torch.tensor(rows["target"].to_numpy("float32"))
    model = network()
    model(inputs[:1])
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(inputs).squeeze(1), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), task.out / "model.safetensors")
    task.log(own_seconds=time.perf_counter() - began)


def load(task: Task) -> torch.nn.Sequential:
    model = network()
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model


def predict(task: Task, model: torch.nn.Sequential, rows: pd.DataFrame) -> pd.DataFrame:
    began = time.perf_counter()
    with torch.inference_mode():
        values = model(features(rows)).sigmoid().squeeze(1).numpy()
    task.log(own_seconds=time.perf_counter() - began)
    return pd.DataFrame({"target": values}, rows.index)
