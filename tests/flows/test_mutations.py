from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations import ANSWERS, answer, finished_workspace, harms, is_found, list_commands

EACH = 80  # benchmarks/mutations.py does ten thousand in all


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_workspace(tmp_path_factory.mktemp("harmed"))


@pytest.mark.parametrize("which", range(15))
def test_a_harmed_file_is_read_or_refused_in_words(scored: Path, which: int) -> None:
    name, command = list_commands(scored)[which]
    count = (
        8 if name.startswith("folds/") else EACH
    )  # other folds are dealt with in a process, which takes time
    for number, harm in enumerate(harms(scored, [name], seed=which, count=count)):
        ended, _ = answer(scored, harm, command, scored.with_name("aside"))
        assert ended.code in ANSWERS, (number, harm, ended)
        assert "Traceback" not in ended.err, (number, harm, ended)
        assert is_found(harm, ended, command, scored.with_name("aside")), (number, harm, ended)


def test_every_command_that_reads_a_file_is_tried(scored: Path) -> None:
    assert len(list_commands(scored)) == 15
