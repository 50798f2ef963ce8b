"""Say what decides a run beside its tasks: how they are combined, written as a submission, and scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kagkit.foundation.component import function_code
from kagkit.foundation.files import file_sha256

if TYPE_CHECKING:
    from kagkit.runs.planner import Planner


def describe_presentation(planner: Planner) -> dict[str, Any]:
    """What decides a run beside its tasks: combination, submission, metric, the sample submission."""
    root, competition = planner.workspace.root, planner.workspace.competition
    manifest = planner.experiment.manifest
    metric, stage = competition.metric, competition.stages[str(manifest.stage)]
    references = [*manifest.makes, metric.score, metric.solution]
    references += [manifest.combine] if ":" in manifest.combine else []
    told = {
        "experiment": planner.experiment.name,
        "seeds": planner.seeds,
        "fits": planner.fits,
        "fit": manifest.fit,
        "complete": planner.complete,
        "combine": manifest.combine,
        "make": manifest.told_variants,
        "metric": [metric.score, metric.args, metric.solution, metric.cv, metric.greater_is_better],
        "code": {reference: function_code(root, reference) for reference in references if reference},
        "declared": [planner.declared[file] for file in manifest.code],
        "data": planner.versions,
        "format": [competition.submission_key, competition.submission.target, planner.material.targets],
        "sample": file_sha256(root / stage.sample_submission) if stage.sample_submission else None,
        "accepted": planner.accepted,
        "inputs": [[each.name, each.plan_key] for each in planner.inputs],
    }
    told |= {"rows": asdict(manifest.rows)} if planner.selection else {}
    return told | ({"start": planner.start.run.data["plan_key"]} if planner.start else {})
