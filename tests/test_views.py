from __future__ import annotations

from types import SimpleNamespace

import pytest

from kagkit.tracking.views import METRICS, REMEMBERED, TAG, read_view, view_url, write_views


class Client:
    """What of MLflow's client the view needs: the tags of one experiment."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.writes = 0

    def get_experiment(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(tags=dict(self.tags))

    def set_experiment_tag(self, _: str, name: str, value: str) -> None:
        self.writes += 1
        self.tags[name] = value


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_the_view_shows_cv_beside_the_leaderboard_best_first(greater_is_better: bool) -> None:
    client = Client()
    write_views(client, "1", greater_is_better)
    state = read_view(client.tags[TAG])
    assert state["selectedColumns"][: len(METRICS)] == [f"metrics.`{name}`" for name in METRICS]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`cv`", not greater_is_better)
    scatter = state["compareRunCharts"][0]
    assert (scatter["type"], scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == (
        "SCATTER",
        "cv",
        "lb_public",
    )
    assert "complete" in state["searchFilter"]
    assert len(client.tags[TAG]) < 20_000  # what an experiment's tag may hold


def test_a_view_that_is_there_is_not_written_again() -> None:
    client = Client()
    write_views(client, "1", True)
    write_views(client, "1", True)
    assert client.writes == 2  # the view, and what was remembered of it


def test_a_view_that_people_changed_is_theirs() -> None:
    client = Client()
    write_views(client, "1", True)
    client.tags[TAG] = "mine"
    write_views(client, "1", False)
    assert client.tags[TAG] == "mine"


def test_an_older_view_of_ours_is_brought_up_to_date() -> None:
    client = Client()
    write_views(client, "1", False)
    write_views(client, "1", True)
    assert read_view(client.tags[TAG])["orderByAsc"] is False
    assert REMEMBERED in client.tags


def test_the_address_names_view_and_kind_of_page() -> None:
    url = view_url("http://127.0.0.1:5000/", "7", chart=False)
    assert url.startswith("http://127.0.0.1:5000/#/experiments/7/runs?")
    assert "viewStateShareKey=kagkit-cv-lb&compareRunsMode=TABLE&" in url
