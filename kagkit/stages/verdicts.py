"""Decide what becomes of each model, write it where people can change it, and let their word win."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Literal, cast, get_args

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.foundation.files import write_file
from kagkit.foundation.strictyaml import dump_yaml, read_yaml
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace

FILE = "stage2.decisions.yaml"
HEADER = """What becomes of each model in stage 2, by kagkit stage2. Your word wins: change `decision` to
retrain, keep or mix, and run the step final. `proposed` is kagkit's own; leave it as it is."""
Verdict = Literal["retrain", "keep", "mix"]
YOURS = "your word"


@dataclass(frozen=True)
class Decided:
    """What becomes of a model: the keys of `models` of `kagkit stage2 --json`.

    Attributes:
        experiment: Its experiment of stage 1.
        policy: By what it was decided.
        decision: `retrain`, `keep` or `mix`.
        why: In words.
        question: What only the user can answer; None where nothing is open.
        evidence: Old and new scores on the same rows; None where nothing was compared.
        old_run: The frozen model's run of stage 2; None where it cannot be frozen.
        new_run: The retrained model's; None where there is none.
    """

    experiment: str
    policy: str
    decision: Verdict
    why: str
    question: str | None
    evidence: dict[str, Any] | None
    old_run: str | None
    new_run: str | None


def decide_model(
    workspace: Workspace, experiment: str, policy: str, frozen: Run | None, retrained: Run | None
) -> Decided:
    """Decide on a model by its policy.

    Args:
        workspace: The workspace.
        experiment: Its experiment of stage 1.
        policy: `auto`, `cv`, `always` or `never`.
        frozen: The frozen model's run of stage 2; None where it keeps no weights.
        retrained: The retrained model's run; None where there is none.

    Raises:
        ManifestError: Neither is there.
    """
    names = (frozen.name if frozen else None, retrained.name if retrained else None)
    if retrained is None:
        if frozen is None:
            problem = Problem(experiment, "neither frozen nor retrained", hint="kagkit stage2 --retrain")
            raise ManifestError("there is nothing to decide on", [problem])
        why = "never retrained, by its policy" if policy == "never" else "it was not retrained"
        return Decided(experiment, policy, "keep", why, None, None, *names)
    if frozen is None:
        why = "it keeps predictions alone: it can only be trained again"
        return Decided(experiment, policy, "retrain", why, None, None, *names)
    try:
        from kagkit.judgement.decisions import decide  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        if policy != "always":
            problem = Problem(experiment, f"policy {policy} weighs evidence", hint="--retrain=all, none or NAMES")
            raise ManifestError("this kagkit cannot weigh evidence", [problem]) from None
        return Decided(experiment, policy, "retrain", "retrained, by its policy", None, None, *names)
    found = decide(workspace, frozen, retrained, policy)
    evidence = asdict(found.evidence) if is_dataclass(found.evidence) else found.evidence
    return Decided(
        experiment, policy, found.decision, found.why, found.question, cast("Any", evidence), *names
    )


def settle(workspace: Workspace, final: str, decided: list[Decided]) -> list[Decided]:
    """Write the decisions, and give them back with what the user had changed of them.

    Raises:
        ManifestError: The file says something that is no decision, or of what is no model.
        RunError: It cannot be written.
    """
    words = _words_of_the_user(workspace, final)
    told = [_overruled(each, words.get(each.experiment)) for each in decided]
    models = {
        each.experiment: {
            "decision": each.decision,
            "proposed": proposed.decision,
            "policy": each.policy,
            "why": proposed.why,
            "question": each.question,
            "frozen": each.old_run,
            "retrained": each.new_run,
        }
        for each, proposed in zip(told, decided, strict=True)
    }
    text = dump_yaml({"kagkit": 1, "final": final, "models": models}, HEADER)
    path = workspace.root / FILE
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_file(path, text)
    return told


def _overruled(decided: Decided, word: Verdict | None) -> Decided:
    if word is None or word == decided.decision:
        return decided
    lacking = {"retrain": decided.new_run, "keep": decided.old_run, "mix": decided.new_run and decided.old_run}
    if not lacking[word]:
        what = "not retrained" if decided.new_run is None else "not frozen"
        problem = Problem(f"{FILE}: {decided.experiment}", f"{word}, and it was {what}", decided.decision)
        raise ManifestError("a decision cannot be followed", [problem])
    why = f"{YOURS}; kagkit: {decided.decision}, {decided.why}"
    return Decided(**{**vars(decided), "decision": word, "why": why})


def _words_of_the_user(workspace: Workspace, final: str) -> dict[str, Verdict]:
    """By experiment, what the user wrote in place of what was proposed."""
    path = workspace.root / FILE
    if not path.is_file():
        return {}
    plain = read_yaml(path, FILE).plain
    told = plain if isinstance(plain, dict) else {}
    models = told.get("models")
    if told.get("final") != final or not isinstance(models, dict):
        return {}
    found, problems = {}, []
    for name, each in models.items():
        word = each.get("decision") if isinstance(each, Mapping) else None
        if word not in get_args(Verdict):
            hint = did_you_mean(str(word), get_args(Verdict))
            problems.append(Problem(f"{FILE}: {name}", f"decision: {word}", "retrain, keep or mix", hint))
        elif word != each.get("proposed"):
            found[str(name)] = cast("Verdict", word)
    if problems:
        raise ManifestError(f"{FILE} cannot be used", problems)
    return found
