"""Keep the whole state of a training, wholly or not at all; find the newest that is undamaged."""

from __future__ import annotations

import hashlib
import shutil
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import commit_folder, digest_of, read_json, told_when_unwritable, write_json
from kagkit.training.trees import put_together, take_apart

FORMAT = 1
STATE, TENSORS, BEGUN = "state.json", "tensors.safetensors", "begun.json"
KEPT = 2  # the one before the newest is for the day when that is damaged


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training: a folder each, named by its step, the newest two kept.

    `state.json` holds numbers, and the digests of itself and of `tensors.safetensors`. Nothing is a pickle.

    Attributes:
        folder: Where they are.
        about: What a training must share with its checkpoint to go on from it, as plain data by name.
    """

    folder: Path
    about: dict[str, Any]

    def begin(self, mark: Any) -> Any:
        """Where the log stood when this training first began, which is `mark` where it begins now.

        Without a checkpoint that can be read it begins again: what it logged after that place will come
        again, what the recipe logged before it will not.
        """
        path = self.folder / BEGUN
        with suppress(OSError, ValueError, KeyError, TypeError):
            return read_json(path)["mark"]
        write_json(path, {"mark": mark})
        return mark

    def write(self, step: int, state: dict[str, Any]) -> None:
        """Keep the state after so many steps.

        Raises:
            RunError: The state holds what neither JSON nor safetensors can; or the disk is full.
        """
        plain, tensors = take_apart(state)
        data = safetensors.torch.save(tensors)
        told = {"kagkit": FORMAT, "about": self.about, "step": step, "state": plain}
        told["tensors"] = hashlib.sha256(data).hexdigest()
        aside = self.folder / f".{uuid.uuid4().hex[:8]}.tmp"
        with told_when_unwritable("the checkpoint"):
            aside.mkdir(parents=True)
            (aside / TENSORS).write_bytes(data)
        write_json(aside / STATE, told | {"seal": digest_of(told)})
        final = self.folder / f"step-{step:08d}"
        # What is newer is damaged: the training did not go on from it.
        self._remove(folder for folder in self._folders() if folder >= final)
        commit_folder(aside, final)
        self._remove([*self._folders()[:-KEPT], *self.folder.glob(".*.tmp")])

    def read(self) -> dict[str, Any] | None:
        """The state of the newest checkpoint that is whole; None where there is none.

        A damaged one is told by a warning, and the one before it is taken.

        Raises:
            RunError: It is the checkpoint of another training: `about` differs.
        """
        for folder in reversed(self._folders()):
            try:
                told, state = self._read(folder)
            except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                warnings.warn(f"{folder.name} is damaged and not used ({reason})", stacklevel=2)
                continue
            self._refuse_others(told["about"])
            return state
        return None

    def _read(self, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        told = read_json(folder / STATE)
        seal = told.pop("seal")
        data = (folder / TENSORS).read_bytes()
        if told["kagkit"] != FORMAT or digest_of(told) != seal:
            raise ValueError(f"{STATE} changed")
        if hashlib.sha256(data).hexdigest() != told["tensors"]:
            raise ValueError(f"{TENSORS} changed")
        return told, put_together(told["state"], safetensors.torch.load(data))

    def _refuse_others(self, about: dict[str, Any]) -> None:
        place = self.folder
        with suppress(ValueError):  # a notebook may keep it anywhere; a task's is in the workspace
            place = place.relative_to(Path.cwd())
        told = place.as_posix() if not place.is_absolute() else place.name
        hint = f"to lose what it holds and begin anew: rm -r {told}; or give the plan another name"
        problems = list(_differences(about, self.about, hint))
        if problems:
            raise RunError("the checkpoint is of another training", problems)

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _remove(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _differences(old: dict[str, Any], new: dict[str, Any], hint: str) -> Iterator[Problem]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Problem(name, f"{old.get(name)} in the checkpoint", f"{new.get(name)}, as now", hint)
