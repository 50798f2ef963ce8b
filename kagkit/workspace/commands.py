"""Read the command lines that stand for a recipe: what they need, the files they name, what is wrong."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Protocol

from kagkit.foundation.component import WHOLE, Imports, local_file, read_imports, script_code
from kagkit.foundation.errors import ManifestError, Problem, Where, did_you_mean, nearest
from kagkit.foundation.files import digest_of, file_sha256
from kagkit.workspace.commandlines import GIVEN, NEEDED, PYTHONS, Command, Line, python_target, read_line
from kagkit.workspace.recipe import Recipe
from kagkit.workspace.shipped import find_recipe

SCRIPTS = (".py", ".sh", ".R", ".jl")
SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg")
NEEDED_HINTS = {
    ("train", "out"): "the script must be told the folder for its weights",
    ("predict", "rows"): "the script must be told the CSV of the rows to predict",
    ("predict", "out"): "the script must be told the CSV to write its predictions to",
}


@dataclass(frozen=True)
class CommandRecipe:
    """Two command lines, with what the planner and the worker ask of a recipe.

    Attributes:
        root: The workspace.
        command: The lines.
        workdir: The folder they run in, relative to `root`.
        outputs: Globs of the files that are kept of what `train` writes; all of them where empty.
    """

    root: Path
    command: Command
    workdir: str = ""
    outputs: tuple[str, ...] = ()

    name: ClassVar[str] = "command"  # what messages call them
    in_sample: ClassVar[str] = ""
    asks_score: ClassVar[bool] = False
    keeps: ClassVar[str] = "weights"
    reads: ClassVar[str] = "unwatched"  # another process opens files unseen

    @cached_property
    def functions(self) -> dict[str, Line]:
        """The two lines, by name."""
        return {name: read_line(getattr(self.command, name)) for name in GIVEN}

    @property
    def folder(self) -> Path:
        """The folder the commands run in."""
        return self.root / self.workdir

    def arguments(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Those of the manifest's arguments that one line names; none where there is no such line."""
        line = self.functions.get(name)
        return {key: value for key, value in args.items() if line is not None and key in line.keywords}

    def code(self, *names: str) -> dict[str, str]:
        """Digests of lines, and of the workspace files they name with all these import, by `file:name`."""
        found: dict[str, str] = {}
        for name in names:
            if name in self.functions:
                kept = self.outputs if name == "train" else ()
                found[f"command:{name}"] = digest_of([self.functions[name].words, self.workdir, kept])
                found |= self._files_behind(self.functions[name])
        return dict(sorted(found.items()))

    @cached_property
    def imports(self) -> Imports:
        """The workspace files behind both lines, and the installed packages they import."""
        local = {name.removesuffix(f":{WHOLE}") for name in self.code(*GIVEN) if name.endswith(WHOLE)}
        installed = {
            module
            for line in self.functions.values()
            for folder, file in self._scripts(line)
            for module in read_imports(self.root / folder, (file,), scripts=True).installed
        }
        return Imports(tuple(sorted(local)), tuple(sorted(installed)))

    def _files_behind(self, line: Line) -> dict[str, str]:
        """Digests of the files that a line names and of the local modules these import."""
        found = {f"{file}:{WHOLE}": file_sha256(self.root / file) for file in self._named(line)}
        for folder, file in self._scripts(line):
            try:
                code = script_code(self.root / folder, file)
            except ManifestError as error:
                problems = [replace(p, where=str(PurePosixPath(folder, p.where))) for p in error.problems]
                raise ManifestError(error.summary, problems) from None
            found |= {str(PurePosixPath(folder, name)): sha256 for name, sha256 in code.items()}
        return found

    def _named(self, line: Line) -> Iterator[str]:
        """The scripts and settings that words name, `--config=net.yaml` too, but for those in Python."""
        for place, word in enumerate(line.words):
            path = self._inside(word.rpartition("=")[2])
            program = place == 0 and "/" in word
            if path and (program or path.endswith((*SCRIPTS[1:], *SETTINGS))):
                yield path

    def unseen(self, args: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Files of the workspace that words or arguments name, and no key has: (the manifest's key, file)."""
        words = [(f"command.{name}", word) for name, line in self.functions.items() for word in line.words]
        words += [(f"args.{name}", value) for name, value in args.items() if isinstance(value, str)]
        for key, word in words:
            path = self._inside(word.rpartition("=")[2])
            if path and path not in self.imports.local:
                yield key, path

    def _scripts(self, line: Line) -> list[tuple[str, str]]:
        """The Python files that words name, each as the folder that it imports from and its path there."""
        target = python_target(line)
        words = [word for word in line.words if word.endswith(".py")]
        words += [target[1]] if target and target[0] == "script" else []
        paths = dict.fromkeys(filter(None, map(self._inside, words)))
        found = [(str(PurePosixPath(path).parent), PurePosixPath(path).name) for path in paths]
        if target and target[0] == "module":
            file = local_file(self.folder, f"{target[1]}.__main__") or local_file(self.folder, target[1])
            found += [(self.workdir, file)] if file else []
        return found

    def _inside(self, word: str) -> str | None:
        """The file of the workspace that a word names, relative to it; None where it names none."""
        if "{" in word or _is_outside(self.workdir, word):
            return None
        path = os.path.normpath(PurePosixPath(self.workdir, word))
        # Not pathlib's, which fails where a word is too long for a name.
        return path if os.path.isfile(self.root / path) else None  # noqa: PTH113


class Stated(Protocol):
    """What says how a model is trained and predicts: a manifest, or the spec of a task."""

    @property
    def recipe(self) -> str:
        """The recipe's file."""

    @property
    def command(self) -> Command | None:
        """Command lines in place of a recipe."""

    @property
    def workdir(self) -> str:
        """The folder they run in."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Globs of what they leave."""


def read_stated(root: Path, stated: Stated) -> Recipe | CommandRecipe:
    """The recipe that a manifest or a task names, read from its source, or its command lines.

    Raises:
        ManifestError: The recipe is missing or not Python.
    """
    if stated.command is not None:
        return CommandRecipe(root, stated.command, stated.workdir, stated.outputs)
    return find_recipe(root, stated.recipe)


def _is_outside(workdir: str, word: str) -> bool:
    path = PurePosixPath(os.path.normpath(PurePosixPath(workdir, word)))
    return path.is_absolute() or path.parts[:1] == ("..",)


def command_problems(
    recipe: CommandRecipe, args: dict[str, Any], where: Where, *, files: bool
) -> Iterator[Problem]:
    """Everything wrong with command lines and a manifest's arguments.

    Args:
        recipe: The lines.
        args: The manifest's `args`.
        where: Gives the place of a key.
        files: Whether the stage has files, for `{files}`.
    """
    lines: dict[str, Line] = {}
    for name in GIVEN:
        place = f"{where(f'command.{name}')}: command.{name}"
        try:
            lines[name] = read_line(getattr(recipe.command, name))
        except ValueError as error:
            found = str(error)[:1].lower() + str(error)[1:]
            hint = "a placeholder is {name}; write {{ and }} for braces, and close every quote"
            yield Problem(place, found, hint=hint)
            continue
        yield from _placeholder_problems(name, lines[name], args, place, files)
        yield from _program_problems(recipe, name, lines[name], place)
    if len(lines) == len(GIVEN):
        yield from _code_problems(recipe, where)
    reserved = {name for names in GIVEN.values() for name in names}
    for name in args:
        if name in reserved:
            yield Problem(where(f"args.{name}"), f"args.{name}: kagkit fills {{{name}}}", hint="rename it")
        elif len(lines) == len(GIVEN) and not any(name in line.keywords for line in lines.values()):
            known = sorted({key for line in lines.values() for key in line.keywords})
            hint = did_you_mean(name, known) if known else f"write {{{name}}} where it belongs"
            yield Problem(where(f"args.{name}"), f"args.{name}: no command names {{{name}}}", hint=hint)


def _placeholder_problems(
    name: str, line: Line, args: dict[str, Any], place: str, files: bool
) -> Iterator[Problem]:
    other = {"train": "predict", "predict": "train"}[name]
    for word in line.placeholders:
        if word == "files" and not files:
            yield Problem(place, "{files}, and stage 1 of competition.yaml has no files")
        elif word in GIVEN[name] or (word in args and word not in GIVEN[other]):
            pass
        elif word in GIVEN[other]:
            yield Problem(place, f"{{{word}}} is for command.{other} alone")
        else:
            hint = did_you_mean(word, [*args, *GIVEN[name]])
            yield Problem(place, f"{{{word}}} is no placeholder and not in args", hint=hint)
    for word in NEEDED[name]:
        if word not in line.placeholders:
            yield Problem(place, f"no {{{word}}}", hint=NEEDED_HINTS[name, word])


def _program_problems(recipe: CommandRecipe, name: str, line: Line, place: str) -> Iterator[Problem]:
    program = line.words[0]
    if not recipe.folder.is_dir():
        return  # told as a fault of workdir
    if program not in PYTHONS and program_path(recipe, program) is None:
        found = f"{program}: no such program"
        hint = "install it, or `chmod +x` it where it is a file of the workspace"
        yield Problem(place, found, hint=hint)
    target = python_target(line)
    if target and target[0] == "module" and not _is_module(recipe, target[1]):
        found = f"{target[1]}: no such module here, nor installed"
        yield Problem(place, found)
    scripts = {target[1]} if target and target[0] == "script" else set()
    scripts |= {word for word in line.words[1:] if word.endswith(SCRIPTS)}
    for word in sorted(word for word in scripts if "{" not in word):
        yield from _script_problems(recipe, word, place)


def _script_problems(recipe: CommandRecipe, word: str, place: str) -> Iterator[Problem]:
    path = recipe.folder / word
    if _is_outside(recipe.workdir, word):
        hint = "link it here: ln -s; a change in it must be seen"
        yield Problem(place, f"{word}: outside the workspace", hint=hint)
    elif not path.is_file():
        names = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, names)
        hint = f"did you mean {PurePosixPath(word).with_name(near)}?" if near else ""
        below = f" in {recipe.workdir}" if recipe.workdir else ""
        yield Problem(place, f"{word}: no such file{below}", hint=hint)


def _code_problems(recipe: CommandRecipe, where: Where) -> Iterator[Problem]:
    """A script that is no Python, told once though both lines name it."""
    told: set[Problem] = set()
    for name in GIVEN:
        try:
            recipe.code(name)
        except ManifestError as error:
            for problem in error.problems:
                if problem not in told:
                    told.add(problem)
                    yield replace(problem, where=f"{where(f'command.{name}')}, {problem.where}")


def program_path(recipe: CommandRecipe, program: str) -> str | None:
    """Where a program is, found as the system finds it; one with a slash is relative to `workdir`."""
    return shutil.which(str(recipe.folder / program) if "/" in program else program)


def _is_module(recipe: CommandRecipe, name: str) -> bool:
    if local_file(recipe.folder, name):
        return True
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False
