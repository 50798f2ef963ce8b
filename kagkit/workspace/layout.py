"""Find the workspace and name its places; every path kagkit writes is made here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.workspace.competition import FILE, Competition, read_competition

if TYPE_CHECKING:
    from kagkit.workspace.experiment import Experiment

# The key that every manifest has, at the start of a line, perhaps after a byte order mark.
MARK = re.compile(rb"^(?:\xef\xbb\xbf)?([\"']?)kagkit\1\s*:", re.MULTILINE)
NOT_MANIFESTS = (FILE, "stage2.decisions.yaml")


@dataclass(frozen=True)
class Workspace:
    """The folder of one competition.

    Attributes:
        root: The folder with competition.yaml.
        smoke: Whether runs are smoke runs, which keep everything apart.
    """

    root: Path
    smoke: bool = False

    @cached_property
    def competition(self) -> Competition:
        """competition.yaml, read and checked."""
        return read_competition(self.root)

    @property
    def stage(self) -> int:
        """The stage the competition is in: the last one whose test rows are here."""
        stages = self.competition.stages.items()
        return max(
            int(number) for number, each in stages if number == "1" or (self.root / each.test).exists()
        )

    def for_smoke(self, smoke: bool) -> Workspace:
        """The same workspace, for smoke runs or for real ones."""
        return Workspace(self.root, smoke)

    @property
    def runs(self) -> Path:
        """Runs, tasks and unfinished work."""
        return self.root / "runs" / ".smoke" if self.smoke else self.root / "runs"

    @property
    def tasks(self) -> Path:
        """Finished tasks, immutable."""
        return self.runs / ".tasks"

    @property
    def work(self) -> Path:
        """Unfinished tasks."""
        return self.runs / ".work"

    @property
    def cache(self) -> Path:
        """What can be rebuilt."""
        return self.root / ".kagkit"

    @property
    def submissions(self) -> Path:
        """Packaged submissions."""
        return self.root / "submissions"

    @property
    def leaderboard(self) -> Path:
        """The ledger of submissions and scores."""
        return self.root / "leaderboard.jsonl"

    def fold_file(self, name: str) -> Path:
        """The table of a fold set."""
        return self.root / "folds" / f"{name}.csv"

    def lock_file(self, experiment: str) -> Path:
        """The latest run of an experiment in short, for git."""
        return self.root / "locks" / f"{experiment}.lock.yaml"

    def manifests(self) -> list[Path]:
        """The manifests of the workspace, by name."""
        return [path for path in self._yaml_files() if _is_marked(path)]

    def _yaml_files(self) -> list[Path]:
        """What may be a manifest: other tools keep YAML files here as well."""
        return [
            path
            for path in sorted(self.root.glob("[!.]*.yaml"))
            if path.is_file() and path.name not in NOT_MANIFESTS and not path.name.endswith(".lock.yaml")
        ]

    def manifest_path(self, name: str) -> Path:
        """The manifest of `exp001`, `exp001.yaml` or a path to one.

        Raises:
            ManifestError: There is no such manifest.
        """
        given = Path(name)
        stem = given.name.removesuffix(".yaml")
        # One without `kagkit:` too, so that it is told what it lacks.
        files = {path.stem: path for path in self._yaml_files()}
        if stem not in files:
            hint = (
                did_you_mean(stem, [path.stem for path in self.manifests()])
                or "write one: see `kagkit run --help`"
            )
            problem = Problem(f"{stem}.yaml", "no such file", hint=hint)
            raise ManifestError(f"{stem}: no such experiment", [problem])
        if given.parent != Path() and given.exists() and not given.samefile(files[stem]):
            problem = Problem(
                name, "another file than the workspace's own", hint="move it beside competition.yaml"
            )
            raise ManifestError(f"{stem}: not a manifest of this workspace", [problem])
        return files[stem]

    def experiment(self, name: str) -> Experiment:
        """Read and check one experiment.

        Raises:
            ManifestError: No such manifest, or every problem in it.
        """
        from kagkit.workspace.experiment import read_experiment  # commands that need no manifest start sooner

        return read_experiment(self.root, self.manifest_path(name), self.competition)


def _is_marked(path: Path) -> bool:
    try:
        return MARK.search(path.read_bytes()) is not None
    except OSError:
        return True  # whoever reads it tells why it cannot be read


def find_workspace(start: Path) -> Workspace:
    """The workspace that `start`, a file or folder in it, belongs to.

    Raises:
        ManifestError: No folder from `start` upward has a competition.yaml.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        # A run keeps the competition.yaml that it was made with.
        if (folder / FILE).is_file() and not (folder / "record.json").exists():
            return Workspace(folder)
    raise ManifestError(
        "not in a workspace",
        [
            Problem(
                "this folder",
                f"no {FILE} here or above",
                hint="cd into a workspace, or name it: kagkit -C DIR …",
            )
        ],
    )
