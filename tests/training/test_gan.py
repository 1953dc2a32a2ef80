import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples.gans import (
    BATCH,
    CLASSES,
    KINDS,
    LATENT,
    SHAPE,
    STEPS,
    build,
    images,
    networks,
    trained,
    trained_in_a_graph,
)
from examples.generative_examples import TWO_REPLICAS, assert_equal, in_process
from keras_segen.losses import R1, NonSaturating
from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN, DiffAugment


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "dcgan")) for kind in KINDS])
def test_eager_graph_and_xla_take_the_same_steps(kind):
    graph = trained_in_a_graph(kind)
    assert_equal(graph, trained(build(kind, jit_compile=True)))
    assert_equal(graph, trained(build(kind, run_eagerly=True)))


def test_several_steps_an_execution_are_the_same_steps():
    assert_equal(trained_in_a_graph("dcgan"), trained(build("dcgan", steps_per_execution=4)))


@pytest.mark.slow
def test_jax_takes_the_same_steps():
    pytest.importorskip("jax")
    code = "print('RESULT', json.dumps({kind: t.trained(t.build(kind)) for kind in t.KINDS}))"
    results = in_process(code, "examples.gans", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    for kind, result in results.items():
        assert_equal(trained_in_a_graph(kind), result)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spectral", "wgan-gp", "r1"])
def test_two_replicas_take_the_steps_of_one_with_the_whole_batch(kind):
    # Without batch normalisation in the discriminator; the generator's is synchronised here.
    code = TWO_REPLICAS + (
        "with strategy.scope():\n"
        f"    gan = t.build({kind!r}, synchronized=True)\n"
        "print('RESULT', json.dumps(t.trained(gan)))\n"
    )
    assert_equal(trained_in_a_graph(kind), in_process(code, "examples.gans"))


@pytest.mark.slow
def test_two_workers_take_the_steps_of_one_with_the_whole_batch():
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{free.getsockname()[1]}" for free in sockets]
    code = """
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    gan = t.build("spectral", synchronized=True)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
data = tf.data.Dataset.from_tensor_slices(t.images()).batch(t.BATCH).with_options(options)
history = gan.fit(data, epochs=1, shuffle=False, verbose=0).history
losses = {k: float(v[0]) for k, v in history.items()}
print("RESULT", json.dumps({"losses": losses, "weights": [t.np.asarray(w).tolist() for w in gan.weights]}))
"""
    settings = [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}) for index in range(2)
    ]
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda setting: in_process(code, "examples.gans", TF_CONFIG=setting), settings)
    assert first["weights"] == second["weights"]
    assert_equal(trained_in_a_graph("spectral"), first)


@pytest.mark.slow
def test_jax_data_parallel_takes_the_steps_of_one_device():
    pytest.importorskip("jax")
    code = """
import jax, keras
assert len(jax.devices()) == 2
keras.distribution.set_distribution(keras.distribution.DataParallel())
print("RESULT", json.dumps({kind: t.trained(t.build(kind)) for kind in ("dcgan", "projection", "r1")}))
"""
    flags = "--xla_force_host_platform_device_count=2"
    results = in_process(code, "examples.gans", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", XLA_FLAGS=flags)
    for kind, result in results.items():
        assert_equal(trained_in_a_graph(kind), result)


@pytest.mark.slow
def test_replicas_draw_different_noise():
    code = TWO_REPLICAS + (
        "import keras\n"
        "with strategy.scope():\n"
        "    gan = t.GAN(*t.networks(), seed=0)\n"
        "run = tf.function(lambda: strategy.run(lambda: gan._draw(keras.random.normal, 4, (3,))))\n"
        "first, second = (x.numpy().tolist() for x in strategy.experimental_local_results(run()))\n"
        "print('RESULT', json.dumps([first, second]))\n"
    )
    halves = np.array(in_process(code, "examples.gans"))
    whole = GAN(*networks(), seed=0)._draw(keras.random.normal, 8, (3,))
    np.testing.assert_array_equal(halves.reshape(8, 3), whole)


@pytest.mark.slow
def test_saved_and_loaded_goes_on_to_the_same_bits(tmp_path):
    def fresh():
        gan = GAN(*networks(), half_life=100, seed=3)
        gan.compile(loss=NonSaturating(0.1), regularizer=R1(0.5, interval=2), augmentation=DiffAugment(cutout=False))
        return gan

    data = images()
    whole = fresh()
    whole.fit(data, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    broken = fresh()
    broken.fit(data, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    broken.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert int(loaded.optimizer.iterations) == STEPS
    loaded.fit(data, batch_size=BATCH, epochs=2, initial_epoch=1, shuffle=False, verbose=0)
    for ours, theirs in zip(
        [*whole.variables, *whole.optimizer.variables],
        [*loaded.variables, *loaded.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.regularizer.interval == 2
    assert loaded.adversarial_loss.smoothing == 0.1
    assert loaded.augmentation.get_config() == {"colour": True, "translation": True, "cutout": False}


def test_only_players_in_training_move_their_statistics():
    gan = build("dcgan")
    before = {player: [np.array(w) for w in n.non_trainable_weights] for player, n in gan._players().items()}
    gan.evaluate(images(), batch_size=BATCH, verbose=0)
    for player, network in gan._players().items():
        for ours, theirs in zip(before[player], network.non_trainable_weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    trained(gan)
    for player, network in gan._players().items():
        for ours, theirs in zip(before[player], network.non_trainable_weights, strict=True):
            assert np.abs(ours - np.asarray(theirs)).max() > 1e-3


def test_a_round_of_the_discriminator_leaves_the_generator_alone():
    gan = GAN(*networks(), seed=0)
    gan.compile()
    before = gan.generator.get_weights(), gan.discriminator.get_weights()
    gan._update_players(keras.ops.convert_to_tensor(images(BATCH)), ["discriminator"])
    for ours, theirs in zip(before[0], gan.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before[1], gan.discriminator.get_weights(), strict=True))


def test_two_rounds_are_two_updates():
    gan = GAN(*networks(), discriminator_steps=2, seed=0)
    gan.compile()
    gan.fit(images(), batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    steps = {player: int(optimizer.iterations) for player, optimizer in gan.optimizer.by_player.items()}
    assert steps == {"discriminator": 2 * STEPS, "generator": STEPS}


def test_the_average_follows():
    gan = GAN(*networks(), half_life=16, ramp_up=1e9, seed=0)
    gan.compile()
    old = [np.array(w) for w in gan.average.weights]
    gan.train_on_batch(images(BATCH))
    share = 1 - 0.5 ** (BATCH / 16)
    for was, ours, theirs in zip(old, gan.average.weights, gan.generator.weights, strict=True):
        expected = was + share * (np.array(theirs) - was) if theirs.trainable else np.array(theirs)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    latents = np.random.default_rng(0).normal(size=(2, LATENT)).astype("float32")
    np.testing.assert_array_equal(gan.predict(latents, verbose=0), gan.average.predict(latents, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_losses_stay_finite_in_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    gan = GAN(dcgan_generator(SHAPE, latent_dim=LATENT, filters=4), dcgan_discriminator(SHAPE, filters=4), seed=0)
    gan.compile(regularizer=R1(0.1, interval=4))
    data = tf.data.Dataset.from_tensor_slices(images(64)).repeat().batch(BATCH)
    history = gan.fit(data, steps_per_epoch=100, epochs=5, shuffle=False, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert all(np.isfinite(w).all() for w in gan.get_weights())
    assert history["discriminator_loss"][-1] < history["discriminator_loss"][0]


def test_what_does_not_fit_together_is_refused():
    generator, discriminator = networks()
    with pytest.raises(ValueError, match="what the discriminator takes"):
        GAN(dcgan_generator((32, 32, 3), latent_dim=LATENT, filters=4), discriminator)
    with pytest.raises(ValueError, match="half_life"):
        GAN(generator, discriminator, half_life=0)
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="of its own"):
        GAN(generator, discriminator).compile(generator_optimizer=optimizer, discriminator_optimizer=optimizer)


def test_an_independent_pytorch_loop_takes_the_same_steps():
    torch = pytest.importorskip("torch")
    from torch import nn

    gan = build("dcgan", jit_compile=False)
    gan.optimizer.by_player["generator"].epsilon = 1e-8  # PyTorch's

    def block(kind, inputs, outputs, stride, bias):
        return kind(inputs, outputs, 4, stride, padding=stride - 1, bias=bias)

    def normalized(channels):
        return nn.BatchNorm2d(channels, eps=1e-5)

    generator = nn.Sequential(
        block(nn.ConvTranspose2d, LATENT, 8, 1, False), normalized(8), nn.ReLU(),
        block(nn.ConvTranspose2d, 8, 4, 2, False), normalized(4), nn.ReLU(),
        block(nn.ConvTranspose2d, 4, 3, 2, True), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        block(nn.Conv2d, 3, 4, 2, True), nn.LeakyReLU(0.2),
        block(nn.Conv2d, 4, 8, 2, False), normalized(8), nn.LeakyReLU(0.2),
        block(nn.Conv2d, 8, 1, 1, True), nn.Flatten(),
    )  # fmt: skip

    def as_torch(weight):
        value = torch.from_numpy(weight.numpy())
        return value.permute(3, 2, 0, 1) if value.ndim == 4 else value

    for ours, theirs in ((gan.generator, generator), (gan.discriminator, discriminator)):
        with torch.no_grad():
            for weight, parameter in zip(ours.trainable_weights, theirs.parameters(), strict=True):
                parameter.copy_(as_torch(weight))
    adam = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    sgd = torch.optim.SGD(discriminator.parameters(), lr=1e-2)
    cross_entropy = nn.functional.binary_cross_entropy_with_logits
    losses = {"generator_loss": [], "discriminator_loss": []}
    for step, start in enumerate(range(0, BATCH * STEPS, BATCH)):
        real = torch.from_numpy(images()[start : start + BATCH]).permute(0, 3, 1, 2)
        waves = np.sin((np.arange(BATCH * LATENT) * np.float32(1.7) + 13 * step).astype("float32"))
        fake = generator(torch.from_numpy(waves.reshape(BATCH, LATENT, 1, 1)))
        real_logits, fake_logits = discriminator(real), discriminator(fake)
        ones = torch.ones_like(real_logits)
        generator_loss = cross_entropy(fake_logits, ones)
        discriminator_loss = cross_entropy(real_logits, 0.9 * ones) + cross_entropy(fake_logits, 0 * ones)
        of_generator = torch.autograd.grad(generator_loss, list(generator.parameters()), retain_graph=True)
        of_discriminator = torch.autograd.grad(discriminator_loss, list(discriminator.parameters()))
        for network, gradients in ((generator, of_generator), (discriminator, of_discriminator)):
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.grad = gradient
        adam.step()
        sgd.step()
        losses["generator_loss"].append(generator_loss.item())
        losses["discriminator_loss"].append(discriminator_loss.item())

    result = trained(gan)
    for name, values in losses.items():
        assert result["losses"][name] == pytest.approx(np.mean(values), rel=1e-3)
    for ours, theirs in ((gan.generator, generator), (gan.discriminator, discriminator)):
        for weight, parameter in zip(ours.trainable_weights, theirs.parameters(), strict=True):
            np.testing.assert_allclose(as_torch(weight), parameter.detach(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((8, 16, 16, 1)), np.zeros(8, int), r"shape \(batch, 16, 16, 3\)"),
        (np.full((8, *SHAPE), np.nan), np.zeros(8, int), "NaN"),
        (np.full((8, *SHAPE), 255.0), np.zeros(8, int), r"divide bytes by 127\.5"),
        (np.zeros((8, *SHAPE)), None, "Received: images alone"),
        (np.zeros((8, *SHAPE)), np.full(8, CLASSES), "class ids from 0 to 2"),
        (np.zeros((8, *SHAPE)), np.full(8, -1), "class ids from 0 to 2"),
        (np.zeros((8, *SHAPE)), np.zeros((8, 2)), r"Labels of 8 images have the shape \(8,\)"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(images, labels, message):
    gan = build("projection")
    images = images.astype("float32")
    with pytest.raises(ValueError, match=message):
        gan.fit(images, labels, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices(images if labels is None else (images, labels)).batch(4)
    with pytest.raises(ValueError, match=message.replace("8", "4")):
        gan.fit(batches, verbose=0)


def test_no_batch_at_all_is_refused():
    with pytest.raises(ValueError, match="do its images fill one batch"):
        build("dcgan").fit(tf.data.Dataset.from_tensor_slices(images(3)).batch(4, drop_remainder=True))


def test_mismatched_labels_count_as_fake():
    gan, plain = build("matching"), build("projection")
    real, labels = images(4), np.array([0, 1, 1, 2])
    batch = tuple(map(keras.ops.convert_to_tensor, (real, labels)))
    losses, _ = gan.compute_losses(batch, training=())
    logits = np.asarray(gan.discriminator([real, labels]))
    latents = np.asarray(gan._draw(keras.random.normal, 4, (LATENT,)))  # the same at each call, here
    fake = np.asarray(gan.discriminator([np.asarray(gan.generator([latents, labels])), labels]))
    wrong = np.array(gan.discriminator([real, np.roll(labels, 1)]))
    wrong[2] = fake[2]  # its neighbour is of the same class
    expected = np.mean(np.maximum(1 - logits, 0)) + np.mean(np.maximum(1 + np.concatenate([fake, wrong]), 0))
    assert float(losses["discriminator"]) == pytest.approx(expected, rel=1e-5)
    without, _ = plain.compute_losses(batch, training=())
    assert float(losses["generator"]) == pytest.approx(float(without["generator"]), rel=1e-6)
    with pytest.raises(ValueError, match="needs networks that take labels"):
        GAN(*networks()).compile(matching_aware=True)


def test_generate_says_what_it_takes():
    gan = build("projection")
    latents = np.zeros((2, LATENT))
    assert gan.num_classes == CLASSES
    assert gan.generate(latents, [0, 2]).shape == (2, *SHAPE)
    for arguments, message in (
        ((latents[:, 1:], [0, 1]), r"shape \(count, 8\)"),
        ((latents,), "takes labels"),
        ((latents, [0, 3]), "from 0 to 2"),
        ((latents, [0]), r"have the shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            gan.generate(*arguments)
    plain = build("dcgan")
    assert plain.num_classes is None
    with pytest.raises(ValueError, match="takes no labels"):
        plain.generate(latents, [0, 1])


def test_a_label_that_is_no_class_makes_no_image():
    generator, _ = networks("projection")
    made = np.asarray(generator([np.zeros((3, LATENT)), np.array([0, CLASSES, -1])]))
    assert np.isfinite(made[0]).all()
    assert np.isnan(made[1:]).all()
