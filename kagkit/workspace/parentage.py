"""Make a manifest from another, its comments kept and its parent noted; say where two differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem
from kagkit.foundation.files import write_file
from kagkit.foundation.strictyaml import dump_yaml, parse_yaml
from kagkit.foundation.yamltext import set_value
from kagkit.workspace.experiment import Experiment, read_experiment
from kagkit.workspace.layout import NOT_MANIFESTS, Workspace
from kagkit.workspace.manifest import Manifest
from kagkit.workspace.rowrules import stated

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
UNCOMPARED = ("kagkit", "parent", "note", "search")


def derive(workspace: Workspace, name: str, parent: str, settings: Sequence[str] = ()) -> Experiment:
    """Write a manifest that is another one but for some values.

    Args:
        workspace: The workspace.
        name: The new experiment; its manifest is written beside competition.yaml.
        parent: The experiment to start from.
        settings: What is to differ, each as `key.path=value`, the value as in YAML.

    Returns:
        The new experiment, read and checked before it was written.

    Raises:
        ManifestError: The name cannot be used or is taken; there is no such parent; a setting cannot be
            written; or the result has problems, all of them at once.
        RunError: The file cannot be written.
    """
    stem = name.removesuffix(".yaml")
    file = f"{stem}.yaml"
    path = workspace.root / file
    reserved = file in NOT_MANIFESTS or file.endswith(".lock.yaml")
    if reserved or not NAME.fullmatch(stem):
        problem = Problem(file, "not a name for an experiment", "letters, digits, - and _", "such as exp002")
        raise ManifestError(f"{file} is not written", [problem])
    if path.exists():
        raise ManifestError(
            f"{file} is not overwritten", [Problem(file, "there already", hint="another name")]
        )
    origin = workspace.manifest_path(parent)
    text = _with_parent(origin.read_text(encoding="utf-8-sig"), origin.stem, origin.name)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals and value.strip()):
            problem = Problem(f"--set {setting}", "no key and value", "key=value, such as args.lr=0.03")
            raise ManifestError(f"{file} is not written", [problem])
        text = set_value(text, key.strip(), value, file)
    with TemporaryDirectory() as folder:
        Path(folder, file).write_text(text, encoding="utf-8")
        read_experiment(workspace.root, Path(folder, file), workspace.competition)
    write_file(path, text)
    return workspace.experiment(stem)


def _with_parent(text: str, parent: str, name: str) -> str:
    """The text with its parent noted, below the line that says which format it is."""
    line = dump_yaml({"parent": parent}).rstrip("\n")
    first = re.search(r"^kagkit:.*$", text, re.MULTILINE)
    if first is None or "parent" in parse_yaml(text, name).value:
        return set_value(text, "parent", line.removeprefix("parent: "), name)
    return f"{text[: first.end()]}\n{line}{text[first.end() :]}"


def differences(manifest: Manifest, parent: Manifest) -> dict[str, tuple[Any, Any]]:
    """Where a manifest differs from its parent.

    Returns:
        By key, `args.lr` for what is inside of another, (parent's value, own value): None where there is
        none. Notes, parents and searches are not compared. Keys are in the manifest's order.

    Example:
        >>> old = Manifest(kagkit=1, recipe="unet.py", args={"lr": 0.1})
        >>> new = Manifest(kagkit=1, recipe="unet.py", args={"lr": 0.03, "width": 8}, seeds=(0, 1))
        >>> differences(new, old)
        {'args.lr': (0.1, 0.03), 'args.width': (None, 8), 'seeds': ((0,), (0, 1))}
    """
    own, old = _flat(manifest), _flat(parent)
    keys = [name for field in fields(Manifest) for name in (*own, *old) if name.split(".")[0] == field.name]
    return {key: (old.get(key), own.get(key)) for key in dict.fromkeys(keys) if old.get(key) != own.get(key)}


def _flat(manifest: Manifest) -> dict[str, Any]:
    """A manifest's values by dotted key."""
    compared = {key: value for key, value in asdict(manifest).items() if key not in UNCOMPARED}
    compared["rows"] = {key: [*map(stated, getattr(manifest.rows, key))] for key in compared["rows"]}
    return dict(_leaves("", compared))


def _leaves(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        found += _leaves(f"{prefix}{key}.", value) if isinstance(value, dict) else [(prefix + key, value)]
    return found
