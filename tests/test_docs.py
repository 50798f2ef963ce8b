"""The pages people read are programs too: every block, command, key, option and link in them must hold."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import pytest

from kagkit import metrics
from kagkit.foundation.files import read_json
from kagkit.foundation.schema import key_of
from kagkit.foundation.strictyaml import parse_yaml
from kagkit.host.terms import Terms
from kagkit.runs.task import Task
from kagkit.workspace.competition import Competition
from kagkit.workspace.manifest import Manifest
from tests.docs_pages import (
    DOCS,
    HOST_SECTIONS,
    SECTIONS,
    Block,
    attributes_of,
    behind,
    blocks_of,
    commands,
    pages,
    workspaces_of,
)
from tests.floors import ROOT
from tests.toy import make_workspace

README = ROOT / "README.md"
TEXTS = {path: path.read_text(encoding="utf-8") for path in pages()}
WRITTEN = {path: text for path, text in TEXTS.items() if path.name != "commands.md"}
TIME = re.compile(r"\b\d+(\.\d+)? (s|min|h)( \d+ (s|min))?\b")
NUMBER = re.compile(r"\b[0-9a-f]{12,}\b|[-+]?\d[\d,.]*|─+")
CODE = re.compile(r"`([^`\n]+)`")
WORKSPACES = [
    pytest.param(blocks, id=f"{path.stem}-{name}")
    for path, text in TEXTS.items()
    for name, blocks in workspaces_of(text).items()
]


# --- what a page shows happens ---


def play(blocks: list[Block], folder: Path, agree: Callable[[str, str], bool] | None = None) -> Iterator[str]:
    """Write a workspace's files and type its commands, in the order of the page; say what came otherwise."""
    code = 0
    for block in blocks:
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        for command, wanted in block.commands:
            code, output = type_in(command, folder, code)
            if not ((agree or matches)(wanted, output) if wanted else code == 0):
                yield f"line {block.line}: $ {command}\n{output}[exit code {code}]"


def type_in(command: str, folder: Path, code: int) -> tuple[int, str]:
    """Do a command after one that ended with `code`; its exit code, and what a terminal would show."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"(exit {code}); {command}"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def matches(wanted: str, output: str) -> bool:
    """Whether an output is the one on the page, where `…` is any text, or any lines, and times may differ."""
    patterns = [
        r"(\n.*)*" if line == "…" else r"\n" + re.escape(line).replace("…", ".*")
        for line in plain(wanted).splitlines()
    ]
    return re.fullmatch("".join(patterns), "\n" + plain(output)) is not None


def plain(text: str) -> str:
    """Without blank lines, spaces at the ends of lines, and times."""
    lines = [line.rstrip() for line in text.splitlines()]
    return TIME.sub("TIME", "\n".join(line for line in lines if line))


def shape(text: str) -> str:
    """What is left when numbers, digests and the width of tables do not count."""
    return re.sub(" +", " ", NUMBER.sub("#", plain(text)))


@pytest.mark.pages
@pytest.mark.timeout(600)
@pytest.mark.parametrize("blocks", WORKSPACES)
def test_a_page_says_what_happens(blocks: list[Block], tmp_path: Path) -> None:
    faults = list(play(blocks, tmp_path))
    assert not faults, "\n".join(faults)


def test_every_command_line_of_docs_is_played() -> None:
    for path, text in TEXTS.items():
        played = [block for blocks in workspaces_of(text).values() for block in blocks]
        assert path == README or not [b for b in blocks_of(text) if b.commands and b not in played], path


@pytest.mark.pages
def test_the_readme_says_what_happens_but_for_the_numbers(tmp_path: Path) -> None:
    write_passengers(tmp_path)
    blocks = [block for block in blocks_of(TEXTS[README]) if block.file or block.commands]

    def alike(wanted: str, output: str) -> bool:
        return matches(shape(wanted), shape(output))

    faults = list(play(blocks[:-1], tmp_path, alike))
    train = tmp_path / "train.csv"
    train.write_text(train.read_text().replace("female", "madame", 1))
    faults += play(blocks[-1:], tmp_path, alike)
    assert not faults, "\n".join(faults)


def write_passengers(folder: Path) -> None:
    """Tables of the form and size of Kaggle's Titanic, made up."""
    numbers = random.Random(0)
    columns = ["PassengerId", "Survived", "Pclass", "Sex", "Age", "SibSp", "Parch", "Fare"]
    people: list[list[Any]] = []
    for passenger in range(1, 1310):
        sex = numbers.choice(["female", "male"])
        survived = int(numbers.random() < (0.7 if sex == "female" else 0.2))
        facts = [numbers.randint(1, 3), sex, numbers.randint(1, 70), 0, numbers.randint(0, 2), 7.25]
        people.append([passenger, survived, *facts])
    tables: dict[str, list[list[Any]]] = {
        "train.csv": [columns, *people[:891]],
        "test.csv": [[line[0], *line[2:]] for line in [columns, *people[891:]]],
        "gender_submission.csv": [columns[:2], *([line[0], 0] for line in people[891:])],
    }
    for name, lines in tables.items():
        (folder / name).write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("wanted", "output"),
    [
        ("a\n…\nd\n", "a\nb\nc\nd\n"),
        ("a\n…\nd\n", "a\nd\n"),
        ("price 186.3…, done in 2 s\n", "price 186.31962, done in 1 min 4 s\n"),
        (" run   CV\n ───────\n", "\n run   CV  \n ───────\n\n"),
    ],
)
def test_an_output_as_on_the_page_matches(wanted: str, output: str) -> None:
    assert matches(wanted, output)


@pytest.mark.parametrize(
    ("wanted", "output"), [("CV 0.81\n", "CV 0.82\n"), ("a\nb\n", "a\n"), ("a…\n", "a\nb\n")]
)
def test_another_output_does_not_match(wanted: str, output: str) -> None:
    assert not matches(wanted, output)


# --- what a page names exists, and what exists is named ---


def test_generated_pages_are_current() -> None:
    assert not behind(), "run: python -m tests.docs_pages --write"


def test_every_link_leads_somewhere() -> None:
    dead = [
        f"{path.name}: {target}"
        for path, text in TEXTS.items()
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", without_blocks(text)))
        if not target.startswith("http") and not leads_somewhere(path, target)
    ]
    assert not dead


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    return path.exists() and (not anchor or anchor in anchors_of(path))


@functools.cache
def anchors_of(page: Path) -> set[str]:
    """The anchors GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> list[str]:
    """Every `kagkit …` a page has in a console block or in code of a sentence."""
    typed = [command for block in blocks_of(text) for command, _ in block.commands]
    return [code for code in typed + CODE.findall(without_blocks(text)) if code.startswith("kagkit ")]


def command_of(line: str) -> str | None:
    """The words of the command that a line calls; None where there is no such command."""
    words = re.sub(r"-C \S+ ", "", line).split()[1:]
    return next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in commands()), None)


def options_of(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}


def test_pages_name_only_commands_and_options_that_exist() -> None:
    strange = []
    for path, text in WRITTEN.items():
        for line in command_lines(text):
            words = command_of(line)
            known = options_of(commands()[words]) | {"--help", "-C"} if words else set()
            asked = set(re.findall(r"(?<!\S)--?[a-zA-Z-]+", line))
            if line != "kagkit -C DIR" and (words is None or not asked <= known):
                strange.append(f"{path.name}: {line}")
    assert not strange


def test_pages_name_no_option_that_no_command_has() -> None:
    known = {option for command in commands().values() for option in options_of(command)}
    for path, text in WRITTEN.items():
        if path != README:
            named = {code.split()[0] for code in CODE.findall(without_blocks(text)) if code.startswith("--")}
            assert named <= known, path


def test_every_command_and_option_is_shown_or_explained() -> None:
    text = "\n".join(text for path, text in WRITTEN.items() if path != README)
    shown = {command_of(line) for line in command_lines(text)}
    said = set(re.findall(r"(?<![\w-])--?[a-z-]+", text))
    leaves = {words: c for words, c in commands().items() if not isinstance(c, click.Group)}
    assert not leaves.keys() - shown
    for words, command in leaves.items():
        unsaid = [p.opts for p in command.params if p.param_type_name == "option" and not set(p.opts) & said]
        assert not unsaid, words


@pytest.mark.parametrize(
    ("page", "trees", "sections"),
    [
        (
            "manifest.md",
            [
                (Competition, "competition.yaml"),
                *((Manifest, name) for name in ("exp001.yaml", "exp002.yaml", "exp003.yaml", "script.yaml")),
            ],
            SECTIONS,
        ),
        ("host.md", [(Terms, "host.yaml")], HOST_SECTIONS),
    ],
)
def test_the_examples_of_a_page_use_every_key(
    page: str, trees: list[tuple[Any, str]], sections: dict[Any, str]
) -> None:
    examples = {block.file: block for block in blocks_of(TEXTS[DOCS / page]) if block.file}
    used = {pair for cls, name in trees for pair in keys_in(cls, parse_yaml(examples[name].text, name).plain)}
    known = {(cls, key_of(field)) for cls in sections for field in dataclasses.fields(cls)}
    assert used == known


def keys_in(hint: Any, value: Any) -> Iterator[tuple[Any, str]]:
    """Each key of a mapping with the class that reads it, however deep."""
    if type(None) in get_args(hint):
        hint = get_args(hint)[0]
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        names = {key_of(field): field.name for field in dataclasses.fields(hint)}
        for key, inner in value.items():
            yield hint, key
            yield from keys_in(get_type_hints(hint)[names[key]], inner)
    elif get_origin(hint) is tuple:
        for inner in value:
            yield from keys_in(get_args(hint)[0], inner)
    elif get_origin(hint) is dict:
        for inner in value.values():
            yield from keys_in(get_args(hint)[1], inner)


def test_what_task_offers_is_in_the_page_of_recipes() -> None:
    offered = {name for name in [*Task.__annotations__, *vars(Task)] if not name.startswith("_")}
    assert offered >= set(attributes_of(Task))
    assert set(re.findall(r"\btask\.(\w+)", TEXTS[DOCS / "recipes.md"])) == offered


def test_every_metric_is_named() -> None:
    named = set(CODE.findall(TEXTS[DOCS / "metrics.md"]))
    assert set(metrics.__all__) <= named


def test_the_page_of_files_names_every_key_of_a_record_and_of_a_task(tmp_path: Path) -> None:
    make_workspace(tmp_path, folds={"main": {"n": 2}})
    code, output = type_in("kagkit run exp001", tmp_path, 0)
    assert code == 0, output
    text = TEXTS[DOCS / "files.md"]
    for section, pattern in {
        "### record.json": "exp001/*/record.json",
        "## A task": ".tasks/*/task.json",
    }.items():
        table = text.partition(f"{section}\n")[2].partition("\n#")[0]
        rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for path in (tmp_path / "runs").glob(pattern):
            assert sorted(CODE.findall(" ".join(rows))) == sorted(read_json(path)), path.name
