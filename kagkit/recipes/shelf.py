"""Keep the recipes that come with kagkit: list them, copy one with its constants filled in, import none."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.foundation.files import write_file

FILES = Path(__file__).parent / "files"
WIDTH = 80


def list_recipes() -> dict[str, str]:
    """Every recipe by name, with its one sentence.

    Example:
        >>> list(list_recipes())
        ['boosting', 'cnn', 'forest']
    """
    return {path.stem: _sentence(path) for path in sorted(FILES.glob("*.py"))}


def _sentence(path: Path) -> str:
    return " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())


def recipe_text(name: str, constants: Mapping[str, Any] | None = None) -> str:
    """A recipe's source.

    Args:
        name: The recipe, `boosting` or `boosting.py`.
        constants: Values for the constants at its top; those it does not have are left out.

    Raises:
        ManifestError: There is no such recipe.

    Example:
        >>> print(recipe_text("forest", {"TARGETS": ["price"]}).splitlines()[8])
        TARGETS = ["price"]  # the columns to predict
    """
    stem = name.removesuffix(".py")
    known = list_recipes()
    if stem not in known:
        problem = Problem(name, "no such recipe", hint=did_you_mean(stem, list(known)))
        raise ManifestError(f"{name}: no such recipe", [problem])
    text = (FILES / f"{stem}.py").read_text(encoding="utf-8")
    for constant, value in (constants or {}).items():
        if line := re.search(rf"^{constant} = .*?(?=  #|$)", text, re.MULTILINE):
            text = f"{text[: line.start()]}{constant} = {_spell(value)}{text[line.end() :]}"
    return text


def _spell(value: Any) -> str:
    """A text, or a list of texts, as Python source."""
    line = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) or len(line) <= WIDTH:
        return line
    return "[\n" + "".join(f"    {json.dumps(item, ensure_ascii=False)},\n" for item in value) + "]"


def copy_recipe(name: str, folder: Path, constants: Mapping[str, Any] | None = None) -> Path:
    """Copy a recipe into a folder, to be edited there.

    Args:
        name: The recipe.
        folder: Where to; made where it is not there.
        constants: Values for the constants at its top.

    Returns:
        The copy.

    Raises:
        ManifestError: There is no such recipe, or the file is there already.
        RunError: It cannot be written.
    """
    text = recipe_text(name, constants)
    path = folder / f"{name.removesuffix('.py')}.py"
    if path.exists():
        problem = Problem(path.name, "there already", hint="move it away, or copy to another folder")
        raise ManifestError(f"{path.name} is not overwritten", [problem])
    write_file(path, text)
    return path
