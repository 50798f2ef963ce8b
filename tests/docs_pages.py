"""The pages people read, as programs read them: their blocks, their workspaces, what is generated in them.

`python -m tests.docs_pages` says which pages are behind; with `--write` it brings them up to date.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
from click.testing import CliRunner

from kagkit import metrics
from kagkit.cli import kagkit
from kagkit.foundation.schema import key_of
from kagkit.host.terms import HostMetric, HostStage, Limits, Lines, Participant, Terms
from kagkit.recipes.guessing import LOWER_IS_BETTER
from kagkit.workspace.commandlines import Command
from kagkit.workspace.competition import Competition, FurtherSource, Metric, Rows, SubmissionFormat
from kagkit.workspace.manifest import (
    Asset,
    FoldChoice,
    Making,
    Manifest,
    Resources,
    Saving,
    SecondStage,
    SomeFolds,
)
from kagkit.workspace.rowrules import Exclusion, Extra, RowChoice
from kagkit.workspace.schemes import Scheme
from kagkit.workspace.search import Search, Span
from kagkit.workspace.stage import Stage
from tests.floors import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml))\b")
WORKSPACE = re.compile(r"^<!-- workspace: ([\w-]+)", re.MULTILINE)
KEYS = re.compile(r"(<!-- keys: (\w+) -->\n).*?(<!-- /keys -->)", re.DOTALL)
METRICS = re.compile(r"(<!-- metrics -->\n).*?(<!-- /metrics -->)", re.DOTALL)
WORDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Any: "any value"}
# The classes that read YAML, each with the heading of manifest.md it stands under.
SECTIONS: dict[Any, str] = {
    Competition: "competitionyaml",
    Rows: "rows",
    Metric: "metric",
    SubmissionFormat: "submission",
    Stage: "stages",
    Scheme: "folds",
    FurtherSource: "data",
    Manifest: "a-manifest",
    Command: "command",
    FoldChoice: "folds-of-a-manifest",
    Making: "submission-of-a-manifest",
    Asset: "assets",
    Resources: "resources",
    Saving: "save",
    SomeFolds: "some-folds",
    SecondStage: "stage2",
    RowChoice: "rows-of-a-manifest",
    Exclusion: "exclude",
    Extra: "extra",
    Search: "search",
    Span: "spans",
}
# The same for host.yaml and host.md.
HOST_SECTIONS: dict[Any, str] = {
    Terms: "hostyaml",
    HostMetric: "metric-of-the-host",
    Lines: "submission-to-the-host",
    HostStage: "stages-of-the-host",
    Limits: "limits",
    Participant: "participants",
}
COMMANDS = """\
# Commands

What each command prints when it is asked for help, to the letter. [running.md](running.md) shows them at
work.

- `kagkit` finds the workspace, the folder of competition.yaml, from the current folder upward;
  `kagkit -C DIR` starts in another one.
- `EXP` is a manifest's name or path. `RUN` is `exp001` for its latest complete run, `exp001/3`, or a run's
  folder.
- `--json` prints one JSON document on standard output, and nothing else there. `--debug` shows stack traces.
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: What stands behind the fence: `yaml`, `python`, `console`.
        text: What is in it.
        line: The page's line its fence is on.
    """

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file it is, where its first line names one: `# competition.yaml: what the host asks`."""
        name = FILE.match(self.text) if self.language in ("yaml", "python") else None
        return name[1] if name else None

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The command lines of a console block, each with the output that stands below it."""
        if self.language != "console":
            return []
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)
        return list(zip(parts[1::2], parts[2::2], strict=True))


def pages() -> list[Path]:
    """Every page people read: docs/ and README.md."""
    return [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page in their order, those in comments too, which readers do not see."""
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(text)]


def workspaces_of(text: str) -> dict[str, list[Block]]:
    """The blocks of a page by workspace: from `<!-- workspace: name -->` to the next such line."""
    starts = [(text.count("\n", 0, match.start()) + 1, match[1]) for match in WORKSPACE.finditer(text)]
    found: dict[str, list[Block]] = {name: [] for _, name in starts}
    for block in blocks_of(text):
        before = [name for line, name in starts if line <= block.line]
        if before:
            found[before[-1]].append(block)
    return found


# --- commands.md ---


def commands() -> dict[str, click.Command]:
    """Every command by its words, in the order of work: `check`, `data`, `data pin`."""
    return dict(_commands_below(kagkit, ""))


def _commands_below(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield f"{words}{name}", command
        if isinstance(command, click.Group):
            yield from _commands_below(command, f"{words}{name} ")


def help_of(words: str) -> str:
    """What `kagkit WORDS --help` prints on a terminal of 80 columns."""
    asked = CliRunner().invoke(kagkit, [*words.split(), "--help"], prog_name="kagkit", terminal_width=80)
    return asked.output


def commands_page() -> str:
    """docs/commands.md."""
    rows = [
        f"| [`kagkit {words}`](#kagkit-{words.replace(' ', '-')}) | {_first_sentence(command)} |"
        for words, command in commands().items()
        if not isinstance(command, click.Group)
    ]
    sections = ["", *commands()]
    return "\n".join(
        [COMMANDS, "| command | does |", "|---|---|", *rows, ""]
        + [f"## {f'kagkit {words}'.strip()}\n\n```text\n{help_of(words)}```\n" for words in sections]
    )


def _first_sentence(command: click.Command) -> str:
    return " ".join(str(command.help).split("\n\n")[0].split())


# --- the tables of manifest.md and host.md ---


def attributes_of(cls: type[Any]) -> dict[str, str]:
    """What a class's docstring says of each of its attributes."""
    _, _, section = (inspect.getdoc(cls) or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def key_table(cls: type[Any]) -> str:
    """The keys of a mapping in YAML, from the dataclass that reads it."""
    hints, told = get_type_hints(cls), attributes_of(cls)
    rows = [
        f"| `{key_of(field)}` | {_kind(hints[field.name])} | {_default(field)} | {told[field.name]} |"
        for field in dataclasses.fields(cls)
    ]
    return "\n".join(["| key | takes | default | what it says |", "|---|---|---|---|", *rows, ""])


def _kind(hint: Any) -> str:
    """A type as readers of YAML know it."""
    args = [arg for arg in get_args(hint) if arg is not type(None)]
    origin = get_origin(hint)
    if origin is None:
        return WORDS.get(hint) or f"[keys](#{(SECTIONS | HOST_SECTIONS)[hint]})"
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin is tuple:
        return f"list: {_kind(args[0])}"
    if origin is dict:
        return f"names: {_kind(args[1])}"
    return " or ".join(_kind(arg) for arg in args)


def _default(field: dataclasses.Field[Any]) -> str:
    """A default as it would be written; nothing where leaving the key out leaves it out."""
    if field.default is dataclasses.MISSING:
        return "needed" if field.default_factory is dataclasses.MISSING else ""
    if field.default in (None, (), "") or dataclasses.is_dataclass(field.default):
        return ""
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    # JSON is YAML in one line, but for the quotes that nobody writes.
    return f"`{json.dumps(value).replace(chr(34), '')}`"


def with_key_tables(text: str) -> str:
    """A page with the table of each class between its markers."""
    classes = {cls.__name__: cls for cls in SECTIONS | HOST_SECTIONS}
    return KEYS.sub(lambda match: f"{match[1]}{key_table(classes[match[2]])}{match[3]}", text)


# --- the table of metrics.md ---


def metric_table() -> str:
    """Every metric: what it takes, its sentence, its options with their defaults, its form by row."""
    rows = [
        f"| `{name}` | {taken} | {_sentence_of(name)} | {'lower' if name in LOWER_IS_BETTER else 'higher'} "
        f"| {_options(name)} | {_form_by_row(name)} |"
        for name, taken in metrics.TAKES.items()
    ]
    head = "| metric | takes | the score | better | options | by row |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows, ""])


def _sentence_of(metric: str) -> str:
    return str(inspect.getdoc(getattr(metrics, metric))).splitlines()[0].removesuffix(".")


def _options(metric: str) -> str:
    parameters = inspect.signature(getattr(metrics, metric)).parameters.values()
    told = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return ", ".join(f"`{p.name}`{_by_default(p)}" for p in told)


def _by_default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return " (needed)"
    value = parameter.default
    if value is None:
        return ""
    if isinstance(value, tuple) and len(value) > 5:
        return f" {value[0]}, {value[1]} … {value[-1]}"
    return f" {' '.join(value) if isinstance(value, tuple) else json.dumps(value)}"


def _form_by_row(metric: str) -> str:
    form = metrics.PER_ROW.get(metric)
    if form is None:
        return ""
    only = "".join(f" with `{name}: {value}`" for name, value in form.only.items())
    return f"`{form.rows.__name__}`{only}"


def with_metric_table(text: str) -> str:
    """A page with the table of metrics between its markers."""
    return METRICS.sub(lambda match: f"{match[1]}{metric_table()}{match[2]}", text)


def behind() -> dict[Path, str]:
    """The pages that are not as they would be generated, each with what it should be."""
    tabled = [DOCS / "manifest.md", DOCS / "host.md"]
    scores = DOCS / "metrics.md"
    wanted = {DOCS / "commands.md": commands_page()}
    wanted |= {path: with_key_tables(path.read_text(encoding="utf-8")) for path in tabled}
    wanted |= {scores: with_metric_table(scores.read_text(encoding="utf-8"))}
    return {
        path: text
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> None:
    """Say which pages are behind, or bring them up to date."""
    for path, text in behind().items():
        sys.stdout.write(f"{path.relative_to(ROOT).as_posix()}\n")
        if "--write" in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
