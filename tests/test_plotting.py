import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from keras_segen import plotting


def test_palette_is_pascal_vocs(real_data):
    palette = plotting.voc_palette()
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {i: tuple(palette[i].tolist()) for i in known} == known
    assert len(np.unique(palette, axis=0)) == 256
    mask = Image.open(next(real_data("VOCdevkit/VOC2012/SegmentationClass").glob("*.png")))
    np.testing.assert_array_equal(np.array(mask.getpalette()).reshape(-1, 3)[:21], palette[:21])
    mask.close()


def test_overlay_colours_objects_alone():
    image = np.full((1, 3, 3), 100, np.uint8)
    drawn = plotting.overlay(image, np.array([[0, 1, 255]]), opacity=0.25)
    assert drawn[0].tolist() == [[100] * 3, [107, 75, 75], [100] * 3]


def test_overlay_of_a_high_image_is_that_of_its_rows():
    rng = np.random.default_rng(0)
    image, label_map = rng.integers(0, 256, (600, 4, 3), np.uint8), rng.integers(0, 256, (600, 4), np.uint8)
    drawn = plotting.overlay(image, label_map)
    np.testing.assert_array_equal(
        drawn, [plotting.overlay(*row)[0] for row in zip(image[:, None], label_map[:, None], strict=True)]
    )


def test_heat_lies_over_the_image_in_grey():
    image = np.array([[[255, 0, 0], [10, 20, 30], [10, 20, 30]]], np.uint8)
    drawn = plotting.heat_overlay(image, np.array([[0, 0.25, 1]], "float32"))[0].tolist()
    assert drawn[0] == [76, 76, 76]  # 0.299 of red
    grey = 0.299 * 10 + 0.587 * 20 + 0.114 * 30
    for pixel, heat in zip(drawn[1:], (0.25, 1), strict=True):
        share, colour = 0.8 * np.sqrt(heat), np.multiply(colormaps["inferno"](0.2 + 0.8 * heat)[:3], 255)
        np.testing.assert_allclose(pixel, grey * (1 - share) + colour * share, atol=0.51)


@pytest.mark.parametrize(
    ("heat", "message"),
    [(np.zeros((2, 2)), "Received: shapes"), (np.full((1, 2), 1.5), "1.5"), (np.full((1, 2), np.nan), "from 0 to 1")],
)
def test_heat_of_other_shapes_or_ranges_is_refused(heat, message):
    with pytest.raises(ValueError, match=message):
        plotting.heat_overlay(np.zeros((1, 2, 3), np.uint8), heat)


def test_large_images_are_thinned_out_in_a_comparison():
    image, mask = np.zeros((300, 1100, 3), np.uint8), np.zeros((300, 1100), np.uint8)
    image[::3, ::3] = 200
    mask[::3, ::3] = 1
    figure = plotting.comparison([image], [mask], [mask], ["ground", "disc"])
    left, middle, _ = (axis.images[0].get_array() for axis in figure.axes)
    np.testing.assert_array_equal(left, np.full((100, 367, 3), 200))  # each third pixel: 512 of a side at most
    np.testing.assert_array_equal(middle, np.broadcast_to([128, 0, 0], (100, 367, 3)))


def test_comparison_and_curves_are_drawn(tmp_path):
    image = np.random.default_rng(0).uniform(0, 255, (10, 12, 3))
    mask = np.zeros((10, 12), int)
    mask[3:6] = 1
    mask[0] = 255
    figure = plotting.comparison([image] * 2, [mask] * 2, [mask * 0] * 2, ["ground", "disc"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ground", "disc", "void"]
    plotting.save_figure(figure, tmp_path / "a.png")
    history = [{"epoch": float(i), "loss": 1.0 / (i + 1), "val_loss": 1.0, "learning_rate": 0.1} for i in range(3)]
    figure = plotting.curves(history)
    assert [axis.get_title() for axis in figure.axes] == ["loss"]
    assert len(figure.axes[0].lines) == 2
    plotting.save_figure(figure, tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as picture:
            assert np.asarray(picture).std() > 5


def test_a_grid_keeps_every_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 255, (5, 4, 6, 3)).astype(np.uint8)
    drawn = plotting.grid(images, 3, gap=1)
    assert drawn.shape == (9, 20, 3)
    np.testing.assert_array_equal(drawn[5:, 7:13], images[4])
    assert (drawn[5:, 14:] == 255).all()  # where a sixth would be
    assert (drawn[4] == 255).all()
    grey = plotting.grid(images[..., :1], 3)
    np.testing.assert_array_equal(grey[:4, :6], np.repeat(images[0, ..., :1], 3, -1))


def test_rows_and_animation_are_drawn(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3)).astype(np.uint8)
    figure = plotting.labelled_rows([images, images[::-1]], ["one", "two"])
    assert [axis.get_ylabel() for axis in figure.axes] == ["one", "two"]
    plotting.save_figure(figure, tmp_path / "rows.png")
    for i in range(3):
        plotting.save_image(images[i], tmp_path / f"{i}.png")
    plotting.save_animation(sorted(tmp_path.glob("?.png")), tmp_path / "all.gif", seconds=3)
    with Image.open(tmp_path / "all.gif") as animation:
        assert (animation.n_frames, animation.size) == (3, (8, 8))
        assert animation.info["duration"] == 1000


def test_confusions_are_shares_of_the_truth(tmp_path):
    matrix = np.array([[30, 10, 0, 0], [0, 5, 0, 5], [0, 0, 0, 0], [0, 0, 0, 0]])
    figure = plotting.confusions(matrix, ["ground", "cat", "dog", "cow"])
    axis = figure.axes[0]
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.75, 0.25, 0], [0, 0.5, 0.5]])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["ground", "cat"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["ground", "cat", "cow"]
    assert {text.get_text() for text in axis.texts} == {"75", "25", "50"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.class_ids(np.zeros((4, 4), np.uint8)), r"Received: shape \(4, 4\)"),
        (lambda: plotting.overlay(np.zeros((4, 4, 3)), np.zeros((4, 5), int)), r"\(4, 4, 3\) and \(4, 5\)"),
        (lambda: plotting.overlay(np.zeros((4, 4)), np.zeros((4, 4), int)), r"\(4, 4\) and \(4, 4\)"),
        (lambda: plotting.overlay(np.zeros((1, 1, 3)), np.array([[256]])), "from 0 to 255. Received: 256 to 256"),
        (lambda: plotting.overlay(np.zeros((1, 1, 3)), np.array([[1]]), opacity=2), "opacity=2"),
        (lambda: plotting.confusions(np.ones((2, 2), int), ["a"]), r"shape \(2, 2\), 4 counts, 1 names"),
        (lambda: plotting.confusions(np.zeros((2, 2), int), ["a", "b"]), "0 counts"),
        (lambda: plotting.comparison([], [], [], ["a"]), "A picture needs one image at least"),
        (
            lambda: plotting.comparison(*([np.full((2, 2, 3)[:n], 2)] for n in (3, 2, 2)), ["a"]),
            "1 names, and the id 2",
        ),
        (lambda: plotting.curves([]), "A picture needs one epoch at least"),
        (lambda: plotting.grid(np.zeros((0, 2, 2, 3), np.uint8), 2), "A picture needs one image at least"),
        (lambda: plotting.grid(np.zeros((2, 2, 3), np.uint8), 2), r"Received: shape \(2, 2, 3\)"),
        (lambda: plotting.grid(np.zeros((1, 2, 2, 3), np.uint8), 0), "columns=0, gap=2"),
        (lambda: plotting.grid(np.zeros((1, 2, 2, 3), np.uint8), 1, gap=-1), "columns=1, gap=-1"),
        (lambda: plotting.overlay(np.zeros((1, 1, 3)), np.zeros((1, 1))), "a label map of float64"),
        (lambda: plotting.labelled_rows([], []), "A picture needs one row at least"),
        (lambda: plotting.save_animation([], "a.gif"), "A picture needs one image at least"),
    ],
)
def test_what_cannot_be_drawn_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_images_of_any_channels_can_be_looked_at():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 6, 7), "uint8")
    grey, two, many = (plotting.displayable(image[..., :count]) for count in (1, 2, 7))
    np.testing.assert_array_equal(grey, image[..., :1].repeat(3, -1))
    np.testing.assert_array_equal(two, np.concatenate([image[..., :2], np.zeros((5, 6, 1), np.uint8)], -1))
    np.testing.assert_array_equal(many, image[..., :3])
    deep = np.array([[[90], [100], [610], [611]]], np.uint16)
    assert plotting.displayable(deep, (100, 610))[0, :, 0].tolist() == [0, 0, 255, 255]
    with pytest.raises(ValueError, match=r"An image is \(height, width, channels\)"):
        plotting.displayable(image[..., 0])
