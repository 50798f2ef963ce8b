"""Keep the view that puts CV beside the leaderboard in MLflow, unless people have made it their own."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from kagkit.foundation.files import canonical_json, digest_of

VIEW = "kagkit-cv-lb"
TAG = f"mlflow.sharedViewState.{VIEW}"
REMEMBERED = "kagkit.views"
CHANGED = 1_795_432_000_000  # when the view last changed, in milliseconds since 1970: the menu shows it
METRICS = ("cv", "lb_public", "gap_public", "lb_private", "cv_std")
PAGE = "/#/experiments/{experiment}/runs?viewStateShareKey={view}&compareRunsMode={mode}{kind}"
KIND = "&workflowType=machine_learning"


def view_url(base: str, experiment: str, *, chart: bool = True) -> str:
    """Where a server shows the view.

    Example:
        >>> view_url("http://127.0.0.1:5000", "1").partition("?")[0]
        'http://127.0.0.1:5000/#/experiments/1/runs'
    """
    mode = "CHART" if chart else "TABLE"
    return base.rstrip("/") + PAGE.format(experiment=experiment, view=VIEW, mode=mode, kind=KIND)


def write_views(client: Any, experiment: str, greater_is_better: bool) -> None:
    """Write the view into an experiment; one that people have changed since is left alone.

    Args:
        client: An MLflowClient.
        experiment: The experiment's id.
        greater_is_better: The metric's direction: the best CV comes first.
    """
    there = client.get_experiment(experiment)
    text = _envelope(greater_is_better)
    present = there.tags.get(TAG)
    if present == text or (present is not None and digest_of(present) != there.tags.get(REMEMBERED)):
        return
    client.set_experiment_tag(experiment, TAG, text)
    client.set_experiment_tag(experiment, REMEMBERED, digest_of(text))


def read_view(text: str) -> dict[str, Any]:
    """The state of a view from the text that MLflow keeps, for tests and for the curious."""
    state: dict[str, Any] = json.loads(
        zlib.decompress(base64.b64decode(json.loads(text)["state"].removeprefix("deflate;")))
    )
    return state


def _envelope(greater_is_better: bool) -> str:
    state = base64.b64encode(zlib.compress(canonical_json(_state(greater_is_better)).encode(), 9)).decode()
    told = {
        "name": "kagkit: CV vs LB",
        "createdAt": CHANGED,
        "updatedAt": CHANGED,
        "state": f"deflate;{state}",
    }
    return canonical_json(told)


def _state(greater_is_better: bool) -> dict[str, Any]:
    """What MLflow's page keeps of itself: filter, columns and charts, in its own words."""
    columns = [f"metrics.`{name}`" for name in METRICS]
    columns += ["tags.`kagkit.stage`", "params.`recipe`", "params.`data.version`"]
    section = {"uuid": "kagkit", "name": "CV vs LB", "display": True, "isReordered": True}
    return {
        "searchFilter": "tags.`kagkit.complete` = 'true'",
        "orderByKey": "metrics.`cv`",
        "orderByAsc": not greater_is_better,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [
            section | {"deleted": False, "isGenerated": False, "columns": 2, "cardHeight": 430}
        ],
        "compareRunCharts": _charts(),
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "useGroupedValuesInCharts": False,
        "groupBy": None,
        "groupsExpanded": {},
        "viewMaximized": False,
        "runListHidden": False,
        "chartsSearchFilter": "",
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _charts() -> list[dict[str, Any]]:
    common = {"metricSectionId": "kagkit", "runsCountToCompare": 100, "deleted": False, "isGenerated": False}
    scatters = [
        common
        | {"uuid": f"kagkit-{board}", "type": "SCATTER"}
        | {"xaxis": {"key": "cv", "type": "METRIC"}, "yaxis": {"key": board, "type": "METRIC"}}
        for board in ("lb_public", "lb_private")
    ]
    # The bars of CVs themselves would all look alike: it is the order of runs that changes between boards.
    boards = {"selectedParams": [], "selectedMetrics": ["cv", "lb_public", "lb_private"], "showAllRuns": True}
    gaps = common | {"uuid": "kagkit-gap_public", "type": "BAR", "metricKey": "gap_public"}
    return [*scatters, common | {"uuid": "kagkit-boards", "type": "PARALLEL"} | boards, gaps]
