import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_segen.data import celeb_a, cifar10, coco, folder, oxford_iiit_pet, shapes, voc
from keras_segen.data._batching import batched
from keras_segen.data._order import DRAWS, order


def taken(count, number, **options):
    indices, draws = zip(*order(count, **options).take(number).as_numpy_iterator(), strict=True)
    return list(indices), np.stack(draws)


def test_evaluation_goes_in_order_without_a_draw():
    indices, draws = taken(5, 10, training=False)
    assert indices == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(draws, np.full((5, DRAWS), 0.5))


def test_each_iteration_is_one_pass_newly_shuffled():
    dataset = order(20, training=True, seed=3)
    assert int(dataset.cardinality()) == 20
    passes = [[int(i) for i, _ in dataset] for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(20))
    assert passes[0] != passes[1]
    again = order(20, training=True, seed=3)
    assert [[int(i) for i, _ in again] for _ in range(2)] == passes


@settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 9), start=st.integers(0, 30), seed=st.integers(0, 100))
def test_a_later_start_is_the_same_stream(count, start, seed):
    indices, draws = taken(count, start + 12, training=True, seed=seed, start=0)
    later_indices, later_draws = taken(count, 12, training=True, seed=seed, start=start)
    assert later_indices == indices[start:]
    np.testing.assert_array_equal(later_draws, draws[start:])
    for first in range(0, len(indices) - count + 1, count):
        assert sorted(indices[first : first + count]) == list(range(count))


def test_seeds_and_draws_differ():
    indices, draws = taken(50, 100, training=True, seed=0, start=0)
    assert indices != taken(50, 100, training=True, seed=1, start=0)[0]
    assert len(np.unique(draws)) > 0.99 * draws.size
    assert 0 <= draws.min() < draws.max() < 1


@pytest.mark.parametrize(("training", "sizes"), [(True, [4, 4]), (False, [4, 4, 2])])
def test_a_last_batch_that_is_not_full(training, sizes):
    assert [len(b) for b in batched(tf.data.Dataset.range(10), 4, training=training)] == sizes


def test_a_batch_of_none_is_refused():
    with pytest.raises(ValueError, match="batch_size=0"):
        batched(tf.data.Dataset.range(10), 0, training=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batchsize": 4}, TypeError, "'batchsize'"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"batch_size": 2.5}, ValueError, "batch_size=2.5"),
        ({"image_size": 3.5}, ValueError, "image_size=3.5"),
        ({"training": True}, ValueError, "image_size=None"),
    ],
)
@pytest.mark.parametrize("loader", [voc, coco, oxford_iiit_pet, folder])
def test_wrong_arguments_are_refused_before_any_file_is_read(loader, options, error, message):
    with pytest.raises(error, match=message):
        loader("train", data_dir="nowhere", **options)


def test_generators_data_too_check_what_they_share_first():
    for loader in (cifar10, celeb_a):
        with pytest.raises(TypeError, match="'batchsize'"):
            loader("train", data_dir="nowhere", batchsize=4)
    with pytest.raises(TypeError, match="'batchsize'"):
        shapes("train", batchsize=4)
