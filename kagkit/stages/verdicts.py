"""Decide what becomes of each model, write it where people can change it, and let their word win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.foundation.files import write_file
from kagkit.foundation.strictyaml import dump_yaml, read_yaml
from kagkit.judgement.ruling import Verdict
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Policy

FILE = "stage2.decisions.yaml"
HEADER = """What becomes of each model in stage 2, by kagkit stage2. Your word wins: change `decision` to
retrain, keep or mix, and run the step final. `proposed` is kagkit's own; leave it as it is."""
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
        alarms: What speaks against plain retraining, each with its `kind` and `text`.
        mislabelled: Keys of new rows whose label looks wrong, the worst first.
        remarks: How like the new rows are to stage 2's test, or why no alarm was looked for.
    """

    experiment: str
    policy: str
    decision: Verdict
    why: str
    question: str | None
    evidence: dict[str, Any] | None
    old_run: str | None
    new_run: str | None
    alarms: Sequence[dict[str, Any]] = ()
    mislabelled: Sequence[str] = ()
    remarks: Sequence[str] = ()


def decide_model(
    workspace: Workspace, experiment: str, policy: Policy, frozen: Run | None, retrained: Run | None
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
    if policy == "always" and not (frozen.data["oof"] and retrained.data["oof"]):
        why = "retrained, by its policy; without out-of-fold predictions nothing can be compared"
        return Decided(experiment, policy, "retrain", why, None, None, *names)
    from kagkit.judgement.decisions import decide

    found = decide(workspace, frozen, retrained, policy)
    told = found.as_json()
    facts = (found.decision, found.why, found.question, told["evidence"])
    return Decided(experiment, policy, *facts, *names, told["alarms"], told["mislabelled"], told["remarks"])


def settle(workspace: Workspace, final: str, decided: list[Decided]) -> list[Decided]:
    """Write the decisions, and give them back with what the user had changed of them.

    Raises:
        ManifestError: The file says something that is no decision, or of what is no model.
        RunError: It cannot be written.
    """
    words = {name: each["decision"] for name, each in _entries(workspace, final).items() if _is_yours(each)}
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
    lacking = {
        "retrain": decided.new_run,
        "keep": decided.old_run,
        "mix": decided.new_run and decided.old_run,
    }
    if not lacking[word]:
        what = "not retrained" if decided.new_run is None else "not frozen"
        problem = Problem(f"{FILE}: {decided.experiment}", f"{word}, and it was {what}", decided.decision)
        raise ManifestError("a decision cannot be followed", [problem])
    why = f"{YOURS}; kagkit: {decided.decision}, {decided.why}"
    return replace(decided, decision=word, why=why)


def read_settled(workspace: Workspace, final: str) -> list[Decided]:
    """The decisions as they stand in the file, whoever took them; evidence is not in it.

    Raises:
        ManifestError: There is no such file for this final, or a decision cannot be followed.
    """
    entries = _entries(workspace, final)
    if not entries:
        hint = "kagkit stage2 --step decide"
        problem = Problem(FILE, f"no decisions for {final}", hint=hint)
        raise ManifestError("nothing is decided", [problem])
    told = []
    for name, each in entries.items():
        facts = (each.get("why", ""), each.get("question"), None, each.get("frozen"), each.get("retrained"))
        proposed = Decided(name, each.get("policy", ""), each["proposed"], *facts)
        told.append(_overruled(proposed, each["decision"]))
    return told


def _is_yours(entry: Mapping[str, Any]) -> bool:
    return bool(entry["decision"] != entry["proposed"])


def _entries(workspace: Workspace, final: str) -> dict[str, dict[str, Any]]:
    """What the file says of each model of a final; empty where it is of another final, or not there."""
    path = workspace.root / FILE
    plain = read_yaml(path, FILE).plain if path.is_file() else {}
    told = plain if isinstance(plain, dict) else {}
    models = told.get("models")
    if told.get("final") != final or not isinstance(models, dict):
        return {}
    problems = []
    for name, each in models.items():
        facts = each if isinstance(each, dict) else {}
        for key in ("decision", "proposed"):
            if facts.get(key) not in get_args(Verdict):
                hint = did_you_mean(str(facts.get(key)), get_args(Verdict))
                found = f"{key}: {facts.get(key)}"
                problems.append(Problem(f"{FILE}: {name}", found, "retrain, keep or mix", hint))
    if problems:
        raise ManifestError(f"{FILE} cannot be used", problems)
    return {str(name): dict(each) for name, each in models.items()}
