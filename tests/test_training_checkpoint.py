from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from kagkit.foundation.errors import RunError
from kagkit.foundation.files import read_json, read_json_lines
from kagkit.training import Plan, Table, checkpoint, fit, save_weights
from kagkit.training.checkpoint import Checkpoints
from tests import training_toy as toy
from tests.training_toy import TABLE, Noisy, digest, dying_at, exit_codes, network, plan, train

KILLED = -signal.SIGKILL
JUDGED = {"monitor": "valid_loss", "greater_is_better": False}
EVERYTHING = {"ema": 0.9, "clip": 1.0, "accumulate": 2, "best": 2, "recompute_batchnorm": True} | JUDGED
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": EVERYTHING,
    "float16": {"precision": "float16", "lr": 0.1},
    "momentum": {"optimizer": lambda model, lr: torch.optim.SGD(model.parameters(), lr, momentum=0.9)},
}


def start(folder: Path) -> dict[str, Any]:
    """The state in the newest checkpoint, as its JSON tells it."""
    return read_json(max((folder / "checkpoint/fit").glob("step-*")) / "state.json")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a training that nothing disturbs, by its kind."""
    done: dict[str, Path] = {}

    def folder_of(kind: str) -> Path:
        if kind not in done:
            done[kind] = tmp_path_factory.mktemp(kind)
            assert exit_codes(partial(train, done[kind], plan(**KINDS[kind]), Noisy())) == [0]
        return done[kind]

    return folder_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_killed_again_and_again_ends_in_the_same_bytes(
    kind: str, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    chance, how = random.Random(kind), KINDS[kind]
    for seconds in (0.0, 0.01, 0.0):  # a checkpoint at every step, or now and then
        dying = dying_at(chance.randrange(1, 9))
        assert exit_codes(
            partial(train, tmp_path, plan(**how | {"checkpoint_seconds": seconds}), Noisy(), dying)
        ) == [KILLED]
    assert exit_codes(partial(train, tmp_path, plan(**how), Noisy())) == [0]
    assert digest(tmp_path) == digest(undisturbed(kind))
    assert _logged(tmp_path) == _logged(undisturbed(kind))


def _logged(folder: Path) -> list[Any]:
    return [event for event in read_json_lines(folder / "events.jsonl") if event["event"] == "log"]


@pytest.mark.parametrize("kind", ["plain", "everything"])
def test_what_was_logged_after_the_checkpoint_stands_once(
    kind: str, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    how = KINDS[kind]
    assert exit_codes(partial(train, tmp_path, plan(**how), Noisy(), dying_at(9))) == [KILLED]
    again = plan(**how | {"checkpoint_seconds": 99.0})  # what it logs is lost with its process
    assert exit_codes(partial(train, tmp_path, again, Noisy(), dying_at(18))) == [KILLED]
    lost = len(_logged(tmp_path))
    assert exit_codes(partial(train, tmp_path, plan(**how), Noisy())) == [0]
    assert lost
    assert _logged(tmp_path) == _logged(undisturbed(kind))


@pytest.mark.parametrize("place", ["write_json", "commit_folder", "digest_of"])
def test_a_kill_while_a_checkpoint_is_written_costs_nothing(
    place: str, undisturbed: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(checkpoint, place), iter(range(5))

    def deadly(*args: Any) -> Any:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, place, deadly)
        assert exit_codes(partial(train, tmp_path, plan(), Noisy())) == [KILLED]
    assert list((tmp_path / "checkpoint/fit").glob("step-*"))
    assert exit_codes(partial(train, tmp_path, plan(), Noisy())) == [0]
    assert digest(tmp_path) == digest(undisturbed("plain"))
    assert not list((tmp_path / "checkpoint/fit").glob(".*"))


def test_numbers_stand_once_after_a_kill_in_the_first_checkpoint(
    undisturbed: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadly(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    late = plan(checkpoint_seconds=0.02)  # after some numbers are logged
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "commit_folder", deadly)
        assert exit_codes(partial(_train_slowly, tmp_path, late)) == [KILLED]
    assert _logged(tmp_path)
    assert exit_codes(partial(_train_slowly, tmp_path, plan())) == [0]
    told = [event["values"] for event in _logged(tmp_path)]
    expected = [event["values"] for event in _logged(undisturbed("plain"))]
    assert told == [{"before": 1.0}, *expected]


def _train_slowly(folder: Path, how: Plan) -> None:
    toy.make_task(folder).log(before=1)  # as a recipe may, whose numbers come again too
    train(folder, how, Noisy())


def test_another_number_of_workers_may_go_on(undisturbed: Callable[[str], Path], tmp_path: Path) -> None:
    for workers, ending in ((0, KILLED), (2, KILLED), (1, 0)):
        objective = dying_at(8) if ending else toy.loss
        how = plan(workers=workers)
        assert exit_codes(partial(train, tmp_path, how, Noisy(), objective)) == [ending]
    assert digest(tmp_path) == digest(undisturbed("plain"))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_early_stopping_after_a_kill_stops_at_the_same_epoch(epochs: int, tmp_path: Path) -> None:
    worse = {"lr": 1.0, "patience": 2, "epochs": 30} | JUDGED  # so large a rate soon brings nothing better
    whole = train(tmp_path / "whole", plan(**worse))
    assert 3 < len(whole.history) < 30
    killed = tmp_path / "killed"
    assert exit_codes(partial(train, killed, plan(**worse), TABLE, dying_at(7 * epochs))) == [KILLED]
    assert train(killed, plan(**worse)) == whole
    assert digest(killed) == digest(tmp_path / "whole")


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    assert exit_codes(partial(train, tmp_path, plan())) == [0]
    before = digest(tmp_path)
    assert exit_codes(partial(train, tmp_path, plan(), TABLE, dying_at(0))) == [0]
    assert digest(tmp_path) == before


# --- planted faults ---


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A training that was killed at step 12."""
    assert exit_codes(partial(train, tmp_path, plan(), Noisy(), dying_at(12))) == [KILLED]
    return tmp_path


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "a bit":
        content[len(content) // 2] ^= 1
    if how == "cut":
        content = content[: len(content) // 2]
    file.write_bytes(content)
    if how == "gone":
        file.unlink()


@pytest.mark.parametrize("how", ["a bit", "cut", "gone"])
@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    how: str, name: str, killed: Path, undisturbed: Callable[[str], Path]
) -> None:
    newest = max((killed / "checkpoint/fit").glob("step-*"))
    damage(newest / name, how)
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged and not used"):
        train(killed, plan(), Noisy())
    assert digest(killed) == digest(undisturbed("plain"))


def test_with_all_checkpoints_damaged_a_training_begins_anew(
    killed: Path, undisturbed: Callable[[str], Path]
) -> None:
    for folder in (killed / "checkpoint/fit").glob("step-*"):
        damage(folder / "state.json", "cut")
    with pytest.warns(UserWarning, match="is damaged and not used"):
        train(killed, plan(), Noisy())
    assert digest(killed) == digest(undisturbed("plain"))
    assert _logged(killed) == _logged(undisturbed("plain"))


@pytest.mark.parametrize("part", ["optimizer", "loss_sum", "model", "scaler", "best", "mark"])
def test_a_checkpoint_that_lacks_a_part_is_not_used(part: str, killed: Path) -> None:
    folder = killed / "checkpoint/fit"
    whole = Checkpoints(folder, start(killed)["about"])
    state = whole.read()
    assert state is not None
    whole.write(state["step"] + 1, {name: value for name, value in state.items() if name != part})
    with pytest.raises(RunError, match=f"(?s)cannot go on exactly.*{part}"):
        train(killed, plan(), Noisy())


def test_an_optimizer_that_keeps_less_than_it_should_is_found(killed: Path) -> None:
    class Forgetful(torch.optim.AdamW):
        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict({**state_dict, "state": {}})

    def adamw(model: torch.nn.Module, lr: float) -> torch.optim.Optimizer:
        return Forgetful(model.parameters(), lr)

    adamw.__qualname__ = "adamw"
    with pytest.raises(RunError, match=r"optimizer/state/0/exp_avg, .*: not as in the checkpoint"):
        train(killed, plan(optimizer=adamw), Noisy())


class Counting(nn.Module):
    """Keeps buffers that no state dict holds, one of them in a shape that changes."""

    seen: torch.Tensor
    trail: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.register_buffer("seen", torch.zeros(1), persistent=False)
        self.register_buffer("trail", torch.zeros(1), persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen += len(inputs)
        self.trail = torch.cat([self.trail, self.seen])
        told: torch.Tensor = self.inner(inputs) * (1 + 1 / self.seen) + 1 / len(self.trail)
        return told


def _train_counting(folder: Path, objective: Any = toy.loss) -> None:
    model = Counting()
    task = toy.make_task(folder)
    fit(task, model, TABLE, objective, plan(epochs=2, validate=None))
    save_weights(model, task.out / "model.safetensors")


def test_buffers_that_no_state_dict_holds_come_back(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert exit_codes(partial(_train_counting, whole)) == [0]
    assert exit_codes(partial(_train_counting, killed, dying_at(9))) == [KILLED]
    assert exit_codes(partial(_train_counting, killed)) == [0]
    assert digest(killed) == digest(whole)


def test_what_is_learned_beside_the_model_is_refused() -> None:
    margin = nn.Parameter(torch.zeros(4, 2))

    def both(model: nn.Module, lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW([*model.parameters(), margin], lr)

    with pytest.raises(RunError, match=r"1 parameter that the model does not have: \(4, 2\)\n.*module of it"):
        fit(SimpleNamespace(seed=0), network(), TABLE, toy.loss, plan(optimizer=both))


def test_settings_of_any_kind_are_kept_in_a_checkpoint(tmp_path: Path) -> None:
    odd: dict[str, Any] = {
        "optimizer": partial(_sgd, momentum=0.5),
        "schedule": partial(max, 0.5),
        "lr": np.float32(0.02),
        "epochs": np.int64(1),
        "clip": float("inf"),
    }
    train(tmp_path, plan(**odd))
    about = start(tmp_path)["about"]
    told = {name: about[name] for name in odd}
    assert told == {
        "optimizer": "_sgd(momentum=0.5)",
        "schedule": "max(0.5)",
        "lr": pytest.approx(0.02),
        "epochs": 1,
        "clip": "inf",
    }


def _sgd(model: nn.Module, lr: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), float(lr), momentum=momentum)


def test_another_kind_of_processor_is_told_with_the_way_out(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(killed)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ANOTHER")
    with pytest.raises(RunError, match=r"(?s)processor: .*; expected ANOTHER.*rm -r checkpoint/fit;"):
        train(killed, plan(), Noisy())


def test_a_checkpoint_of_another_training_is_refused(killed: Path) -> None:
    with pytest.raises(RunError) as told:
        train(killed, plan(lr=0.5, ema=0.9), Noisy())
    assert [problem.where for problem in told.value.problems] == ["ema", "lr"]
    assert "lr: 0.02 in the checkpoint; expected 0.5, as now" in str(told.value)
    with pytest.raises(RunError, match="samples: "):
        train(killed, plan(), Table(toy.KEYS[1:], toy.INPUTS[1:], toy.WANTED[1:]))


def test_two_trainings_of_a_task_want_two_names(tmp_path: Path) -> None:
    train(tmp_path, plan(epochs=1))
    with pytest.raises(RunError, match="fit: a training of this name is finished"):
        train(tmp_path, plan(epochs=1))
    train(tmp_path, plan(epochs=1, name="second"))
    assert {path.name for path in (tmp_path / "checkpoint").iterdir()} == {"fit", "second"}


def test_a_checkpoint_is_json_and_safetensors_and_two_are_kept(killed: Path) -> None:
    *folders, begun = sorted((killed / "checkpoint/fit").iterdir(), reverse=True)
    assert [path.name for path in (*folders, begun)] == ["step-00000012", "step-00000011", "begun.json"]
    for folder in folders:
        assert json.loads((folder / "state.json").read_text())["kagkit"] == 1
        tensors = safetensors.torch.load_file(folder / "tensors.safetensors")
        assert "model/0.weight" in tensors
        assert "optimizer/state/0/exp_avg" in tensors
