"""Line up a frozen final's runs as models to decide on and combinations to make anew, each with its names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem
from kagkit.foundation.schema import read_what_fits
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.record import Run
from kagkit.runs.starting import START
from kagkit.workspace.manifest import Manifest, SecondStage
from kagkit.workspace.shipped import list_shipped

FROZEN, RETRAINED, MIXED = "s1", "s2", "mix"


@dataclass(frozen=True)
class Member:
    """A frozen run and what it is called in stage 2.

    Attributes:
        root: The workspace's folder.
        run: The run of stage 1.
        base: The beginning of its names: its experiment, with the run's number where two runs share one.
        combines: Whether it only combines others: it is made anew of what is decided of them.
    """

    root: Path
    run: Run
    base: str
    combines: bool

    @property
    def frozen(self) -> str:
        """The experiment that predicts stage 2 by the frozen weights."""
        return f"{self.base}-{FROZEN}"

    @property
    def retrained(self) -> str:
        """The experiment that is trained on both stages' rows."""
        return f"{self.base}-{RETRAINED}"

    @property
    def mixed(self) -> str:
        """The experiment that averages the two."""
        return f"{self.base}-{MIXED}"

    @property
    def keeps_weights(self) -> bool:
        """Whether it can be frozen: else it can only be trained again."""
        return bool(self.run.data["keeps"] == "weights")

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The manifest it was run by, as plain data."""
        told = read_yaml(self.run.folder / "manifest.yaml", "manifest.yaml").plain
        return dict(told)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest it was run by.

        Raises:
            ManifestError: It was written for another kagkit.
        """
        return _read_manifest(self.run.folder / "manifest.yaml", self.run.name)

    @cached_property
    def second(self) -> SecondStage:
        """What its present manifest says of stage 2, for it may be thought of late; else that of the run.

        Raises:
            ManifestError: The present manifest has problems.
        """
        path = self.root / f"{self.run.experiment}.yaml"
        return (_read_manifest(path, path.name) if path.is_file() else self.manifest).stage2

    @property
    def fed_by(self) -> dict[str, str]:
        """The runs that fed it, by their names among its parents: `clf`, `rows.exp003`."""
        parents = self.run.data["parents"]
        return {each["input"]: each["run"] for each in parents if each["input"] != START}


@dataclass(frozen=True)
class Lineup:
    """A final with all that feeds it, each after those that feed it, the final last."""

    members: tuple[Member, ...]

    @property
    def final(self) -> Member:
        """The final itself."""
        return self.members[-1]

    @property
    def models(self) -> tuple[Member, ...]:
        """The members that are decided on one by one."""
        return tuple(member for member in self.members if not member.combines)

    @property
    def combinations(self) -> tuple[Member, ...]:
        """The members that are made anew of what is decided."""
        return tuple(member for member in self.members if member.combines)

    def of(self, run: str) -> Member:
        """The member whose run this is."""
        return next(member for member in self.members if member.run.name == run)


def _read_manifest(path: Path, whose: str) -> Manifest:
    manifest, problems = read_what_fits(Manifest, read_yaml(path, path.name), path.name)
    if manifest is None or problems:
        raise ManifestError(f"the manifest of {whose} cannot be read", problems)
    return manifest


def line_up(root: Path, runs: Iterable[Run]) -> Lineup:
    """The members of frozen runs of a workspace, each after those that feed it.

    Raises:
        ManifestError: One was made elsewhere: it cannot predict here.
    """
    listed = tuple(runs)
    foreign = [run.name for run in listed if run.imported]
    if foreign:
        hint = "freeze a final without it, or one with its author's run of stage 2 once that is imported"
        problems = [Problem(name, "made elsewhere: it predicts nothing here", hint=hint) for name in foreign]
        raise ManifestError("the final cannot be taken to stage 2", problems)
    count = Counter(run.experiment for run in listed)
    combining = _combining(root, listed)
    return Lineup(
        tuple(
            Member(
                root,
                run,
                run.experiment if count[run.experiment] == 1 else f"{run.experiment}-{run.number}",
                run.name in combining,
            )
            for run in listed
        )
    )


def _combining(root: Path, runs: tuple[Run, ...]) -> set[str]:
    """The runs of shipped recipes that feed nothing but other such runs."""
    found = {
        run.name
        for run in runs
        if Member(root, run, "", combines=False).plain.get("recipe") in list_shipped()
    }
    for run in reversed(runs):
        if run.name not in found:
            found -= {parent["run"] for parent in run.data["parents"]}
    return found
