from __future__ import annotations

import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from kagkit.foundation.errors import RunError
from kagkit.foundation.files import read_json_lines
from kagkit.training import Plan, Table, average_weights, fit, recompute_batchnorm, save_weights
from kagkit.training.averaging import MovingAverage
from kagkit.training.schedules import SCHEDULES, constant, one_cycle, rate_of
from kagkit.training.trees import find_changes, put_together, take_apart
from tests.training_toy import (
    INPUTS,
    KEYS,
    TABLE,
    WANTED,
    Noisy,
    digest,
    loss,
    network,
    plan,
    train,
    validate,
)

# Torch advises fewer workers where there are few cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

BARE = SimpleNamespace(seed=0)


def linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(6, 1)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def trained(how: Plan, task: Any = BARE, data: Any = TABLE) -> dict[str, torch.Tensor]:
    model = linear()
    fit(task, model, data, loss, how)
    return weights_of(model)


def test_a_training_learns_and_tells_how_it_went(tmp_path: Path) -> None:
    outcome = train(tmp_path, plan(epochs=20, monitor="valid_loss", greater_is_better=False, log_every=100))
    losses = [values["valid_loss"] for values in outcome.history]
    assert losses[-1] < 0.8 * losses[0]
    assert outcome.best_epoch == losses.index(min(losses))
    assert outcome.steps == 20 * math.ceil(len(KEYS) / 8)
    told = [event for event in read_json_lines(tmp_path / "events.jsonl") if event["event"] == "log"]
    assert [line["values"] for line in told if "train_loss" in line["values"]] == list(outcome.history)
    assert [line["step"] for line in told if "loss" in line["values"]] == [100]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_no_weight(workers: int, tmp_path: Path) -> None:
    for name, count in {"alone": 0, "helped": workers}.items():
        train(tmp_path / name, plan(epochs=2, ema=0.9, workers=count), Noisy())
    assert digest(tmp_path / "alone") == digest(tmp_path / "helped")


def test_what_is_drawn_after_a_training_does_not_depend_on_how_it_was_loaded() -> None:
    drawn = []
    for workers in (0, 2):
        trained(plan(workers=workers, epochs=1), data=Noisy())
        drawn.append((random.random(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]


def test_another_seed_gives_other_weights() -> None:
    one, other = trained(plan()), trained(plan(), SimpleNamespace(seed=1))
    assert find_changes(one, other)


@pytest.mark.parametrize("accumulate", [2, 3, 8])
def test_a_batch_in_parts_makes_the_same_step(accumulate: int) -> None:
    whole, parts = trained(plan(clip=1.0)), trained(plan(clip=1.0, accumulate=accumulate))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-4, atol=1e-6)


def test_a_step_is_the_one_torch_would_make() -> None:
    model = linear()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(5):
        optimizer.zero_grad()
        loss(model, (INPUTS, WANTED)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    ours = trained(plan(epochs=5, batch_size=len(KEYS), schedule="constant"))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_less_precision_ends_near(precision: str) -> None:
    full, half = trained(plan(epochs=10)), trained(plan(epochs=10, precision=precision))
    assert 0 < float((full["weight"] - half["weight"]).abs().max()) < 0.05


def test_gradients_are_clipped() -> None:
    def sgd(model: nn.Module, lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr)

    before = weights_of(linear())
    how = plan(epochs=1, batch_size=len(KEYS), lr=1.0, schedule="constant", clip=0.01, optimizer=sgd)
    after = trained(how)
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before]).norm()
    assert float(moved) == pytest.approx(0.01, rel=1e-3)


# --- averages ---


def test_a_moving_average_follows_its_model() -> None:
    model = network()
    average = MovingAverage(model, 0.5)
    before = weights_of(average.model)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(8)
    average.update(100)
    for name, tensor in average.model.state_dict().items():
        counts = name == "1.num_batches_tracked"
        torch.testing.assert_close(tensor, torch.full_like(tensor, 8) if counts else (before[name] + 8) / 2)


def test_the_first_steps_of_a_moving_average_forget_the_beginning() -> None:
    model = nn.Linear(1, 1)
    average = MovingAverage(model, 0.999)
    for net, value in ((model, 1.0), (average.model, 0.0)):
        net.load_state_dict({"weight": torch.tensor([[value]]), "bias": torch.zeros(1)})
    average.update(0)
    assert average.model.state_dict()["weight"].item() == pytest.approx(0.9)


def test_the_average_of_the_best_epochs_is_kept(tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    marks = iter([3.0, 9.0, 1.0, 8.0, float("nan")])

    def mark(model: nn.Module) -> dict[str, float]:
        seen.append(weights_of(model))
        return {"mark": next(marks)}

    how = plan(epochs=5, validate=mark, monitor="mark", greater_is_better=True, best=2)
    outcome = train(tmp_path, how)
    kept = load_file(tmp_path / "out/model.safetensors")
    assert outcome.best_epoch == 1
    assert not find_changes(kept, average_weights([seen[1], seen[3]]))


def test_batch_norm_is_recomputed_as_the_mean_over_batches() -> None:
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5)).train()
    recompute_batchnorm(model, [INPUTS[:20], INPUTS[20:40]], model)
    means = torch.stack([INPUTS[:20].mean(0), INPUTS[20:40].mean(0)])
    torch.testing.assert_close(model[0].running_mean, means.mean(0))
    assert model.training
    assert model[0].momentum == 0.1


def test_recomputed_statistics_fit_the_weights_that_are_kept(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(tmp_path / name, plan(ema=0.9, recompute_batchnorm=True))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    kept = load_file(tmp_path / "one/out/model.safetensors")
    model = network()
    model.load_state_dict(kept)
    assert kept["1.running_mean"].tolist() == pytest.approx(model[0](INPUTS).mean(0).tolist(), abs=0.1)


# --- stopping and schedules ---


def test_a_training_stops_where_nothing_gets_better() -> None:
    marks = iter([1.0, 3.0, 2.0, 2.0, 9.0])
    judged = {"validate": lambda _: {"mark": next(marks)}, "monitor": "mark", "greater_is_better": True}
    model = linear()
    outcome = fit(BARE, model, TABLE, loss, plan(epochs=9, patience=2, **judged))
    assert (len(outcome.history), outcome.best_epoch) == (4, 1)
    assert not model.training


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rate_is_never_more_than_the_largest_nor_none(name: str) -> None:
    rates = [rate_of(SCHEDULES[name], 0.2, step, 50) for step in range(50)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[0] < rates[12]


def test_one_cycle_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=1000, cycle_momentum=False)
    for step in range(0, 990, 90):
        while theirs.last_epoch < step:
            optimizer.step()
            theirs.step()
        assert rate_of(one_cycle, 0.0, step, 1000) == pytest.approx(theirs.get_last_lr()[0], abs=5e-3)


def test_groups_keep_rates_of_their_own() -> None:
    seen = []

    def two_rates(model: nn.Module, lr: float) -> torch.optim.Optimizer:
        weight, bias = model.parameters()
        groups: list[dict[str, Any]] = [{"params": [weight], "lr": lr / 10}, {"params": [bias]}]
        optimizer = torch.optim.SGD(groups, lr)
        optimizer.register_step_pre_hook(
            lambda taken, *_: seen.append([group["lr"] for group in taken.param_groups])
        )
        return optimizer

    trained(plan(epochs=1, optimizer=two_rates, schedule=constant))
    assert seen == [[0.002, 0.02]] * 7


# --- what cannot be meant ---


def test_all_that_is_wrong_with_a_plan_is_told_at_once() -> None:
    with pytest.raises(RunError) as told:
        plan(epochs=0, schedule="cosin", precision="half", ema=1.5, patience=3)
    assert [problem.where for problem in told.value.problems] == [
        "epochs",
        "schedule",
        "precision",
        "ema",
        "monitor",
    ]
    assert "did you mean cosine?" in str(told.value)
    with pytest.raises(RunError, match="what is better in valid_loss"):
        plan(best=1, monitor="valid_loss")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("epochs", value) for value in (2.5, "3", True, math.nan)],
        *[("lr", value) for value in (-1, 0, math.nan, math.inf, "0.1")],
        *[("clip", value) for value in (-1, 0, math.nan)],
        *[("patience", value) for value in (-1, 0, 1.5)],
        *[("warmup", value) for value in (None, math.nan, 1)],
        *[("name", value) for value in ("", "../x", "a/b", ".", "..", ".hidden", "/tmp")],
        ("checkpoint_seconds", math.nan),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(name: str, value: object) -> None:
    with pytest.raises(RunError) as told:
        plan(**{"monitor": "valid_loss", "greater_is_better": False, name: value})
    assert [(problem.where, problem.found) for problem in told.value.problems] == [(name, repr(value))]


def test_a_number_nobody_gives_cannot_be_monitored() -> None:
    with pytest.raises(
        RunError, match=r"valid_los: validate gives no such number\n.*did you mean valid_loss"
    ):
        trained(plan(monitor="valid_los", greater_is_better=False))


def test_a_training_without_validation_or_checkpoint_needs_a_seed_alone() -> None:
    outcome = fit(BARE, linear(), TABLE, loss, Plan(epochs=2, batch_size=8, lr=0.1))
    assert [list(values) for values in outcome.history] == [["train_loss"], ["train_loss"]]


# --- files ---


def test_weights_are_the_same_bytes_whatever_their_order_and_layout(tmp_path: Path) -> None:
    model = network()
    save_weights(model, tmp_path / "one.safetensors")
    turned = {
        name: tensor.mT.contiguous().mT if tensor.ndim == 2 else tensor
        for name, tensor in reversed(model.state_dict().items())
    }
    save_weights(turned, tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    again = network()
    again.load_state_dict(load_file(tmp_path / "one.safetensors"))
    assert again[4].weight is again[0].weight


@pytest.mark.parametrize("maker", ["SGD", "AdamW", "Adagrad", "RMSprop", "LBFGS", "NAdam"])
def test_the_state_of_every_optimizer_survives(maker: str) -> None:
    model = linear()
    optimizer = getattr(torch.optim, maker)(model.parameters(), lr=0.1)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(model, (INPUTS, WANTED))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(step)
    state = optimizer.state_dict()
    assert find_changes(state, put_together(*take_apart(state))) == []


def test_what_a_checkpoint_cannot_keep_is_named() -> None:
    with pytest.raises(RunError, match="optimizer/state/0: a set; expected tensors, numbers"):
        take_apart({"optimizer": {"state": {0: {1, 2}}}})


def test_every_changed_bit_is_found() -> None:
    before = {"a": [torch.tensor([0.0, math.nan]), 1], "b": 1.5, "c": None}
    same = {"a": [torch.tensor([0.0, math.nan]), 1], "b": 1.5, "c": None}
    after = {"a": [torch.tensor([-0.0, math.nan]), 1.0], "b": 1.5}
    assert find_changes(before, same) == []
    assert find_changes(before, after) == ["a/0", "a/1", "c"]


def test_the_order_of_a_table_changes_no_weight() -> None:
    places = list(reversed(range(len(KEYS))))
    moved = Table([KEYS[place] for place in places], INPUTS[places], WANTED[places])
    assert find_changes(trained(plan()), trained(plan(), data=moved)) == []


def test_validation_changes_no_weight() -> None:
    def drawing(model: nn.Module) -> dict[str, float]:
        torch.rand(3)
        return validate(model)

    assert find_changes(trained(plan(validate=None)), trained(plan(validate=drawing))) == []
