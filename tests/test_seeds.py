from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.seeds import draws, stream

names = st.lists(st.text(max_size=4) | st.integers(-5, 5), max_size=4)


def test_a_stream_gives_the_numbers_written_down() -> None:
    assert stream("shuffle", 0).integers(0, 1000, 4).tolist() == [886, 75, 783, 631]
    assert draws(["a", "日本"], "smoke").round(12).tolist() == [0.49671098702, 0.208221089353]


@settings(max_examples=50, deadline=None)
@given(names, names)
def test_two_streams_are_equal_only_when_all_their_names_are(
    one: list[str | int], two: list[str | int]
) -> None:
    equal = stream(*one).bytes(16) == stream(*two).bytes(16)
    assert equal == ([(type(n), n) for n in one] == [(type(n), n) for n in two])


def test_asking_for_other_streams_in_between_changes_nothing() -> None:
    alone = stream("b").random(3)
    stream("a").random(1000)
    np.random.default_rng(0).random(3)
    assert (stream("b").random(3) == alone).all()


def test_a_number_of_any_integer_type_is_the_same_name() -> None:
    assert stream(np.int64(3)).random() == stream(3).random()  # type: ignore[arg-type]


def test_draws_belong_to_their_keys_wherever_these_stand() -> None:
    keys = [f"id{i}" for i in range(50)]
    order = stream("order").permutation(50)
    assert (draws([keys[i] for i in order], 1) == draws(keys, 1)[order]).all()
    assert (draws(keys, 1) != draws(keys, 2)).all()


def test_draws_are_uniform_from_zero_to_below_one() -> None:
    values = draws([str(i) for i in range(20_000)], "uniform")
    shares = np.histogram(values, bins=10, range=(0, 1))[0] / len(values)
    assert values.min() >= 0
    assert values.max() < 1
    assert np.abs(shares - 0.1).max() < 0.01


def test_no_keys_have_no_draws() -> None:
    assert draws([], "smoke").shape == (0,)


def test_the_module_loads_without_numpy() -> None:
    code = "import kagkit.foundation.seeds, sys; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
