from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError, RunError
from kagkit.foundation.seeds import seed_of
from kagkit.training import Plan, Table
from kagkit.training.datasets import spell_keys
from kagkit.training.loader import Course, _refuse_long_address
from kagkit.training.processes import Processes
from kagkit.training.streams import seed_globals
from tests.training_toy import INPUTS, KEYS, TABLE, WANTED, Noisy, plan

# Torch advises fewer workers where there are few cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def course(data: Any = TABLE, how: Plan | None = None, seed: int = 0, **who: int) -> Course:
    return Course(data, how or plan(), seed, Processes(**who))


def loaded(data: Any, workers: int, step: int = 0) -> list[Any]:
    """Every batch from a step on, as plain numbers."""
    parts = course(data, plan(workers=workers, epochs=2)).run_from(step)
    return [[tensor.tolist() for tensor in part.batch] for [part] in parts]


@pytest.fixture(scope="module")
def batches() -> list[Any]:
    """What one process loads."""
    return loaded(Noisy(), 0)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_no_sample(workers: int, batches: list[Any]) -> None:
    assert loaded(Noisy(), workers) == batches


@pytest.mark.parametrize("workers", [0, 2])
def test_a_start_in_the_middle_gives_what_would_have_come(workers: int, batches: list[Any]) -> None:
    assert loaded(Noisy(), workers, step=9) == batches[9:]


def test_an_epoch_has_every_key_once_and_the_next_one_another_order() -> None:
    orders = [course().order_of(epoch) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == KEYS
    assert course(seed=1).order_of(0) != orders[0]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(len(KEYS))))
def test_where_a_sample_stands_in_a_table_changes_nothing(places: list[int]) -> None:
    moved = Table([KEYS[place] for place in places], INPUTS[places], WANTED[places])
    for [one], [other] in zip(course(moved).run_from(25), course().run_from(25), strict=True):
        assert all(torch.equal(*pair) for pair in zip(one.batch, other.batch, strict=True))


def test_a_batch_has_the_rows_that_indexing_gives_in_their_memory_format() -> None:
    rows, images = torch.tensor([4, 0, 4]), torch.rand(5, 3, 2, 2)
    for tensor in (images, images.to(memory_format=torch.channels_last), images.transpose(2, 3)):
        (taken,) = Table(KEYS[:5], tensor).take(rows)
        assert torch.equal(taken, tensor[rows])
        assert taken.stride() == tensor[rows].stride()


def test_a_new_sample_leaves_what_is_drawn_for_the_others_as_it_was() -> None:
    class More(Noisy):
        keys = [*KEYS[10:], "row99"]  # noqa: RUF012 (fixed for the test)

    def drawn(data: Any) -> dict[str, Any]:
        reading = course(data)
        return dict(zip(reading.order_of(0), _each(reading), strict=True))

    def _each(reading: Course) -> Iterator[Any]:
        for name in reading.order_of(0):
            seed_globals(seed_of("sample", 0, 0, name))
            yield random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    old, new = drawn(Noisy()), drawn(More())
    assert {name: old[name] for name in KEYS[10:]} == {name: new[name] for name in KEYS[10:]}


@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)])
def test_processes_and_parts_share_out_every_batch(world: int, accumulate: int) -> None:
    how = plan(accumulate=accumulate, epochs=1)
    everybody = [list(course(how=how, rank=rank, world=world).run_from(0)) for rank in range(world)]
    alone = [part.batch[0] for [part] in course(how=plan(epochs=1)).run_from(0)]
    for step, whole in zip(zip(*everybody, strict=True), alone, strict=True):
        parts = [part for parts in step for part in parts]
        assert torch.equal(torch.cat([part.batch[0] for part in parts]), whole)
        assert sum(part.share for part in parts) == pytest.approx(1)


@pytest.mark.parametrize(("drop_last", "world", "steps"), [(False, 1, 7), (True, 1, 6), (False, 6, 6)])
def test_a_short_batch_is_left_out_where_it_is_asked_for_or_cannot_be_shared(
    drop_last: bool, world: int, steps: int
) -> None:
    assert course(how=plan(drop_last=drop_last), world=world).steps_per_epoch == steps


def test_keys_may_be_texts_numbers_and_tuples() -> None:
    spelled = spell_keys([("a", np.int64(1)), 3, "b"])
    assert spelled == {'["a",1]': ("a", 1), "3": 3, "b": "b"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["a", "b", "a"], "a: there several times"),
        ([*range(60_000)] * 2, "0, 1, 10, 100, 1000 and 59,995 more: there several times"),
        ([], "no sample"),
        ([object()], "texts, numbers, or tuples"),
    ],
)
def test_keys_that_tell_no_samples_apart_are_refused(keys: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        spell_keys(keys)


def test_tensors_that_do_not_fit_the_keys_are_refused() -> None:
    with pytest.raises(DataError, match="tensor 2: 3 rows; expected 2, one for each key"):
        Table(["a", "b"], torch.zeros(2), torch.zeros(3))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_sample_that_cannot_be_read_is_named(workers: int) -> None:
    class Torn(Noisy):
        def read(self, key: str) -> tuple[torch.Tensor, torch.Tensor]:
            if key == "row17":
                raise OSError("image is truncated")
            return super().read(key)

    with pytest.raises(RunError, match=r"row17: OSError: image is truncated \(test_training_loader.py line"):
        list(course(Torn(), plan(workers=workers)).run_from(0))


def test_too_few_samples_are_told() -> None:
    with pytest.raises(RunError, match="53; expected 64 or more"):
        course(how=plan(batch_size=64, drop_last=True))
    with pytest.raises(RunError, match="expected 9 or more, a sample for each process"):
        course(world=9)


def test_a_folder_for_temporary_files_whose_name_is_too_long_is_told_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "long" * 20)
    with pytest.raises(RunError, match=r"TMPDIR.*85 characters; expected 71 at most\n.*or workers=0"):
        _refuse_long_address()
