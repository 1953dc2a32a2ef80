import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_segen.layers import OutputCodes, check_codebook, hadamard_codebook, minimum_distance, random_codebook
from keras_segen.losses import OutputCodeCrossEntropy
from keras_segen.models import unet

VOID = 255


def test_21_classes_have_31_bits_and_a_distance_of_16():
    codebook = hadamard_codebook(21)
    assert codebook.shape == (21, 31)
    assert minimum_distance(codebook) == 16
    np.testing.assert_array_equal(1 - 2 * codebook, scipy.linalg.hadamard(32)[:21, 1:])


@pytest.mark.slow
@given(num_classes=st.integers(2, 200))
def test_hadamard_words_are_all_equally_far(num_classes):
    codebook = OutputCodes(hadamard_codebook(num_classes)).codebook  # lets it pass
    distances = {int((a != b).sum()) for i, a in enumerate(codebook) for b in codebook[:i]}
    assert distances == {(codebook.shape[1] + 1) // 2}


def test_random_codes_are_far_apart_and_repeatable():
    codebook = random_codebook(6, 15, seed=1)
    np.testing.assert_array_equal(codebook, random_codebook(6, 15, seed=1))
    assert codebook.shape == (6, 15)
    assert minimum_distance(codebook) >= minimum_distance(random_codebook(6, 15, seed=1, trials=5))
    assert minimum_distance(codebook) >= 6
    for bits in (2, 32):
        with pytest.raises(ValueError, match="6 classes have codes of 3 to 31 bits"):
            random_codebook(6, bits)
    assert minimum_distance(random_codebook(21, 31)) >= 8
    with pytest.raises(ValueError, match=r"5 bits whose 30 words all differ .* take more bits"):
        random_codebook(30, 5, trials=10)
    floats = codebook.astype("float32")
    np.testing.assert_array_equal(check_codebook(floats), codebook)


@pytest.mark.parametrize(
    ("codebook", "message"),
    [
        ([[0, 1], [0, 1]], "same word"),
        ([[0, 1], [0, 0]], "column 0 is the same for all classes"),
        ([[0, 1, 0], [1, 0, 0], [1, 1, 1]], None),
        ([[0, 1, 0], [1, 0, 0], [1, 0, 1]], "column 1 repeats another one, or its opposite"),
        ([[0, 2], [1, 0]], "a word of 0 and 1"),
        ([0, 1], "a word of 0 and 1"),
        ([[0, 1]], "a word of 0 and 1"),
    ],
)
def test_codebooks_that_cannot_serve_are_refused(codebook, message):
    if message is None:
        assert OutputCodes(codebook).codebook.tolist() == codebook
        return
    with pytest.raises(ValueError, match=message):
        OutputCodes(codebook)


def test_scores_are_the_words_log_likelihoods():
    codebook = hadamard_codebook(5)
    bits = np.random.default_rng(0).normal(0, 3, (2, 3, 4, 7)).astype("float32")
    scores = np.asarray(OutputCodes(codebook)(bits))
    p = 1 / (1 + np.exp(-bits[..., None, :].astype("float64")))
    expected = np.log(np.where(codebook == 1, p, 1 - p)).sum(-1)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    # Even certain bits do not become infinite.
    assert np.isfinite(np.asarray(OutputCodes(codebook)(1e4 * bits))).all()
    with pytest.raises(ValueError, match="The code has 7 bits"):
        OutputCodes(codebook)(bits[..., :3])


def test_wrong_bits_are_corrected():
    codebook = hadamard_codebook(21)
    rng = np.random.default_rng(0)
    for word, label in zip(codebook, range(21), strict=True):
        received = word.copy()
        received[rng.choice(31, 7, replace=False)] ^= 1  # fewer than half of 16
        scores = np.asarray(OutputCodes(codebook)((2.0 * received - 1)[None].astype("float32")))
        assert scores.argmax() == label


def test_the_loss_is_binary_cross_entropy_on_the_bits():
    codebook = hadamard_codebook(4)
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 4, (2, 3, 5)).astype("uint8")
    masks[0, 0, :3] = VOID
    bits = rng.normal(0, 2, (2, 3, 5, 3)).astype("float32")
    valid = masks != VOID
    by_keras = keras.losses.BinaryCrossentropy(from_logits=True)(codebook[masks[valid]].astype("float32"), bits[valid])
    ours = OutputCodeCrossEntropy(3)(masks, OutputCodes(codebook)(bits))
    assert float(ours) == pytest.approx(float(by_keras), rel=1e-5)
    weights = np.array([1.0, 0.0, 2.0, 0.5])
    each = np.log1p(np.exp(bits[valid])) - codebook[masks[valid]] * bits[valid]
    expected = (each.mean(-1) * weights[masks[valid]]).sum() / weights[masks[valid]].sum()
    ours = OutputCodeCrossEntropy(3, class_weights=weights)(masks, OutputCodes(codebook)(bits))
    assert float(ours) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="exclude each other"):
        OutputCodeCrossEntropy(3)(masks, bits[..., :1])


@pytest.mark.slow
def test_a_segmenter_with_codes_learns_saves_and_loads(tmp_path):
    keras.utils.set_random_seed(0)
    codebook = hadamard_codebook(3)
    network = unet(codebook.shape[1], filters=(4, 8))
    model = keras.Model(network.input, OutputCodes(codebook)(network.output))
    model.compile(keras.optimizers.Adam(0.02), OutputCodeCrossEntropy(codebook.shape[1]))
    masks = np.zeros((1, 16, 16), "uint8")
    masks[0, :, 5:10], masks[0, :, 10:] = 1, 2
    images = np.repeat(100.0 * masks[..., None], 3, -1).astype("float32")
    model.fit(images, masks, epochs=60, verbose=0)
    model.save(tmp_path / "codes.keras")
    loaded = keras.saving.load_model(tmp_path / "codes.keras")
    scores = loaded.predict(images, verbose=0)
    assert scores.shape == (1, 16, 16, 3)
    assert (scores.argmax(-1) == masks).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [21, 133])
def test_a_large_image_is_decoded_in_one_product_of_linear_memory(num_classes):
    codebook = hadamard_codebook(num_classes)
    bits = codebook.shape[1]
    decode = tf.function(OutputCodes(codebook)).get_concrete_function(tf.TensorSpec((1, 512, 512, bits)))
    operations = decode.graph.get_operations()
    assert sum("MatMul" in operation.type or operation.type == "Einsum" for operation in operations) == 1
    largest = max(tensor.shape.num_elements() or 0 for operation in operations for tensor in operation.outputs)
    assert largest <= 512 * 512 * max(2 * bits, num_classes)
    scores = decode(tf.constant(np.random.default_rng(0).normal(0, 3, (1, 512, 512, bits)), tf.float32))
    assert scores.shape == (1, 512, 512, num_classes)
    assert np.isfinite(scores).all()
