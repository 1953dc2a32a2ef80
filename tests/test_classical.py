import functools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.metrics import jaccard_score

import keras_segen as ks
from examples.commands import answer, as_typed, read_json, run
from keras_segen.classical import GRID, METHODS, _grown, choose, otsu, region_growing, watershed
from keras_segen.data._folder import read_folder
from keras_segen.errors import InputError

pytest.importorskip("skimage", reason="scikit-image is missing: pip install -e '.[classical]'")

every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def rgb(grey):
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, -1)


def discs(seed=0, noise=6, bright=True):
    """Two discs of different brightness on ground that takes most of the image."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:60, :80]
    one, other = ((rows - y) ** 2 + (columns - x) ** 2 < r**2 for y, x, r in ((20, 22, 13), (38, 58, 15)))
    image = rgb(rng.normal(40.0 + 150 * one + 130 * other, noise))
    return (image if bright else 255 - image), (one | other).astype(np.uint8)


@every_method
def test_discs_are_found_to_the_pixel_whatever_is_bright(method):
    for bright, name in ((True, "bright"), (False, "dark")):
        image, truth = discs(bright=bright)
        for objects in (name, "rare"):
            found = method(image, objects=objects, sigma=0, min_size=0)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, truth)
        other = "dark" if bright else "bright"
        np.testing.assert_array_equal(method(image, objects=other, sigma=0, min_size=0), 1 - truth)


@every_method
def test_smoothing_finds_them_in_much_noise(method):
    image, truth = discs(noise=60)
    share = [np.mean(method(image, sigma=sigma, min_size=0) == truth) for sigma in (0, 2)]
    assert share[0] < 0.97 < share[1]


@every_method
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (8, 9)])
@pytest.mark.parametrize(("sigma", "min_size"), [(0, 0), (1.5, 0), (1, 400)])
def test_one_grey_is_all_ground(method, shape, sigma, min_size):
    for objects in GRID["objects"]:
        image = np.full((*shape, 3), (13, 200, 77), np.uint8)
        rounded = image + np.random.default_rng(0).uniform(0, 1e-9, image.shape)
        for one_grey in (image, rounded):
            assert not method(one_grey, objects=objects, sigma=sigma, min_size=min_size).any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_image_gives_a_map_of_zeros_and_ones(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    image = data.draw(arrays(np.uint8, (*shape, 3)))
    method = data.draw(st.sampled_from(sorted(METHODS)))
    options = {name: data.draw(st.sampled_from(GRID[name])) for name in METHODS[method].__kwdefaults__}
    found = METHODS[method](image, **options)
    assert found.shape == shape
    assert set(np.unique(found)) <= {0, 1}
    np.testing.assert_array_equal(METHODS[method](image.astype(np.float32), **options), found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_otsus_threshold_leaves_least_variance(seed):
    rng = np.random.default_rng(seed)
    grey = np.where(rng.random((20, 30)) < rng.uniform(0.2, 0.8), rng.normal(90, 30, (20, 30)), rng.normal(180, 25))
    grey = np.clip(grey, 0, 255).astype(int)
    grey[0, :2] = 0, 255  # each of the 256 bins is one grey then
    within = []
    for threshold in range(255):
        sides = grey[grey <= threshold], grey[grey > threshold]
        within.append(sum(side.size * side.var() for side in sides))
    expected = grey > np.argmin(within)
    np.testing.assert_array_equal(otsu(rgb(grey), objects="bright", sigma=0, min_size=0), expected)


def test_specks_and_holes_go_by_their_size():
    grey = np.full((30, 30), 20)
    grey[5:20, 5:20] = 200
    plain = (grey > 100).astype(int)
    grey[25, 20:25] = 200  # an object of 5 pixels
    grey[10, 8:12] = 20  # a hole of 4
    whole = (grey > 100).astype(int)
    hole_filled = np.maximum(whole, plain)
    for min_size, expected in ((0, whole), (4, whole), (5, hole_filled), (6, plain)):
        np.testing.assert_array_equal(otsu(rgb(grey), sigma=0, min_size=min_size), expected)


def test_edges_decide_for_watershed():
    # From dark to a shoulder there is no edge, from there to bright there is; Otsu's threshold lies below the shoulder.
    profile = np.array([0] * 12 + [30, 60, 90, 120] + [150] * 5 + [250] * 8)
    image = rgb(np.tile(profile, (10, 1)))
    inside = slice(16, 20)  # of the shoulder; Sobel's edge is two pixels wide, the fifth may go to either
    settings = {"objects": "bright", "sigma": 0, "min_size": 0}
    by_threshold, by_edges = otsu(image, **settings), watershed(image, margin=0.75, **settings)
    assert (by_threshold[:, inside] == 1).all()
    assert (by_edges[:, inside] == 0).all()
    for found in (by_threshold, by_edges):
        assert (found[:, :12] == 0).all()
        assert (found[:, 21:] == 1).all()


def test_likeness_decides_for_region_growing():
    # Beside a bright object a dim one of 150, its rim of 90 below Otsu's threshold: is the ground more like the rim?
    settings = {"objects": "bright", "sigma": 0, "min_size": 0}
    for ground, in_the_rim in ((10, 1), (50, 0)):
        grey = np.full((20, 40), ground)
        grey[:, 12:18] = 230
        grey[4:16, 24:36] = 90
        grey[5:15, 25:35] = 150
        np.testing.assert_array_equal(otsu(rgb(grey), **settings), grey > 90)
        expected = np.where(grey == 90, in_the_rim, grey > 90)
        np.testing.assert_array_equal(region_growing(rgb(grey), margin=0.3, **settings), expected)


def test_the_most_alike_pixel_joins_first_and_moves_the_mean():
    for greys, seeds, expected in [
        # 60 is 40 from 100 and joins it; their mean is 80, from which 45 is 35, less than its 45 from 0.
        ([0, 45, 60, 100], [1, 0, 0, 2], [1, 2, 2, 2]),
        # 40 joins 0, whose mean becomes 20; 61 is 41 from that, and 39 from 100.
        ([0, 40, 61, 100], [1, 0, 0, 2], [1, 1, 2, 2]),
        ([5, 5, 5, 5], [0, 0, 0, 7], [7, 7, 7, 7]),
    ]:
        for turn in (lambda x: x, np.transpose):
            grown = _grown(turn(np.array([greys], float)), turn(np.array([seeds])))
            np.testing.assert_array_equal(grown, turn(np.array([expected])))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_one_seed_finds_a_patch_of_one_grey(seed):
    rng = np.random.default_rng(seed)
    patches = np.kron(rng.permutation(12).reshape(3, 4), np.ones((5, 6), int))
    seeds = np.zeros_like(patches)
    for patch in range(12):
        seeds.flat[rng.choice(np.flatnonzero(patches == patch))] = patch + 1
    np.testing.assert_array_equal(_grown(patches * 17.0, seeds), patches + 1)


def test_wrong_arguments_are_named():
    image = np.zeros((4, 4, 3))
    for method in METHODS.values():
        with pytest.raises(ValueError, match=r"Received: \(4, 4\)"):
            method(image[..., 0])
        with pytest.raises(ValueError, match=r"Received: \(0, 4, 3\)"):
            method(image[:0])
        with pytest.raises(ValueError, match="objects='red'"):
            method(image, objects="red")
        with pytest.raises(ValueError, match="Received: NaN or inf"):
            method(image * np.nan)
        with pytest.raises(ValueError, match="sigma=-1"):
            method(image, sigma=-1)
        with pytest.raises(ValueError, match="min_size=-1"):
            method(image, min_size=-1)
    for method in (watershed, region_growing):
        with pytest.raises(ValueError, match="margin=1"):
            method(image, margin=1)


def test_settings_are_chosen_by_the_polarity_of_the_examples():
    bright, dark = ([discs(seed, bright=b) for seed in range(2)] for b in (True, False))
    most = [(image, 1 - mask) for image, mask in dark]  # the objects are bright, and most of the image
    for examples, objects in ((bright, "bright"), (dark, "dark"), (bright + dark, "rare"), (most, "bright")):
        chosen, mean_iou = choose(otsu, examples)
        assert chosen["objects"] == objects
        assert set(chosen) == {"objects", "sigma", "min_size"}
        assert mean_iou == 1


@every_method
def test_what_is_chosen_is_no_worse_than_its_neighbours(method):
    examples = [discs(seed, noise=45) for seed in range(2)]
    for _, mask in examples:
        mask[:15] = 255

    def mean_iou(options):
        truth = np.concatenate([mask.ravel() for _, mask in examples])
        found = np.concatenate([method(image, **options).ravel() for image, _ in examples])
        return jaccard_score(truth[truth != 255], found[truth != 255], average="macro")

    chosen, reached = choose(method, examples)
    assert reached == pytest.approx(mean_iou(chosen), abs=1e-9)
    assert reached > mean_iou({**chosen, "sigma": 0})
    last = "min_size"  # which was tried with the others as they are now
    assert reached == pytest.approx(max(mean_iou({**chosen, last: value}) for value in GRID[last]), abs=1e-9)


def test_examples_that_tell_nothing_are_refused():
    image, mask = discs()
    with pytest.raises(InputError, match="1 examples hold no pixel but void"):
        choose(otsu, [(image, np.full_like(mask, 255))])
    with pytest.raises(ValueError, match=r"Received: ids \[0, 1, 2\]"):
        choose(otsu, [(image, mask), (image, mask * 2)])
    with pytest.raises(
        ValueError, match="one of the functions otsu, watershed, region_growing. Received: method='nope'"
    ):
        choose("nope", [(image, mask)])


def test_without_scikit_image_the_command_is_named(monkeypatch, make_folder, capsys):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(InputError, match=r"pip install 'keras-segen\[classical\]'"):
        otsu(discs()[0])
    assert run("baseline", "otsu", "--data", make_folder()) == 2
    error = capsys.readouterr().err
    assert "pip install" in error
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def disc_folder(draw_discs, tmp_path_factory):
    """Dark discs on light ground, val being harder."""
    root = draw_discs(tmp_path_factory.mktemp("data") / "discs", train=4, val=3, size=(60, 80))
    for split, noise in (("train", 6), ("val", 70)):
        for seed, path in enumerate(sorted((root / split / "images").iterdir())):
            image, mask = discs(seed, noise=noise, bright=False)
            path.unlink()
            Image.fromarray(image).save(path.with_suffix(".png"))
            mask[:9] = 255
            Image.fromarray(mask).save(root / split / "masks" / f"{path.stem}.png")
    return root


@pytest.fixture(scope="module")
def baseline(disc_folder, tmp_path_factory):
    """Score a method by command, once: what is printed, its scores, and its picture."""

    @functools.cache
    def score(name):
        path = tmp_path_factory.mktemp(name)
        printed = answer(path, "baseline", name, "--data", disc_folder, "--out", f"made/{name}.json").out
        return printed, read_json(path / f"made/{name}.json"), path / f"made/{name}.png"

    return score


@pytest.fixture(scope="module")
def iou_by_scikit_learn(disc_folder, baseline):
    """The IoU of ground and discs, by the same settings."""

    @functools.cache
    def iou(name):
        _, scores, _ = baseline(name)
        truths, found = [], []
        for path in sorted((disc_folder / "val/images").iterdir()):
            truths.append(np.asarray(Image.open(disc_folder / "val/masks" / path.name)).ravel())
            found.append(METHODS[name](ks.data.read_image(path), **scores["settings"]).ravel())
        truth, prediction = np.concatenate(truths), np.concatenate(found)
        counted = truth != 255
        return jaccard_score(truth[counted], prediction[counted], average=None)

    return iou


each_name = pytest.mark.parametrize("name", METHODS)


@each_name
def test_scores_name_their_baseline(baseline, name):
    _, scores, _ = baseline(name)
    assert scores["baseline"] == name


@each_name
def test_settings_are_chosen_on_the_training_images(baseline, name):
    _, scores, _ = baseline(name)
    # They need no smoothing; those of validation would have asked for it.
    assert (scores["settings"]["objects"], scores["settings"]["sigma"]) == ("dark", 0)


@each_name
def test_the_chosen_settings_are_printed(baseline, name):
    printed, _, _ = baseline(name)
    assert f"{name}: objects dark, sigma 0.0" in printed


@each_name
def test_what_settings_were_chosen_on_is_printed(baseline, name):
    printed, _, _ = baseline(name)
    assert "chosen on 4 training images" in printed


@each_name
def test_a_baselines_iou_is_scikit_learns(baseline, iou_by_scikit_learn, name):
    _, scores, _ = baseline(name)
    expected = iou_by_scikit_learn(name)
    assert list(scores["per_class_iou"].values()) == pytest.approx(expected.tolist(), abs=1e-9)
    assert scores["mean_iou"] == pytest.approx(expected.mean(), abs=1e-9)


@each_name
def test_a_baselines_mean_iou_is_printed(baseline, iou_by_scikit_learn, name):
    printed, _, _ = baseline(name)
    assert f"mean IoU                 {100 * iou_by_scikit_learn(name).mean():.2f}" in printed


@each_name
def test_a_baseline_is_scored_on_each_pixel_but_void(baseline, name):
    _, scores, _ = baseline(name)
    assert np.sum(scores["confusion_matrix"]) == 3 * 51 * 80


@each_name
def test_a_baseline_is_scored_on_the_validation_images(baseline, name):
    _, scores, _ = baseline(name)
    assert scores["images"] == 3


@each_name
def test_a_baseline_has_a_picture(baseline, name):
    *_, path = baseline(name)
    with Image.open(path) as picture:
        assert np.asarray(picture).std() > 5


@pytest.fixture
def wrong_data(disc_folder, tmp_path, monkeypatch):
    """A folder with data of three classes, and with data that lack one of two, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "discs").symlink_to(disc_folder)
    for root, ids in ((tmp_path / "three", (0, 1, 2)), (tmp_path / "bare", (0,))):
        for split in ("train", "val"):
            for part in ("images", "masks"):
                (root / split / part).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(root / split / "images/a.png")
            Image.fromarray(np.resize(np.array(ids, np.uint8), (8, 8))).save(root / split / "masks/a.png")
    (tmp_path / "bare/classes.txt").write_text("ground\ndisc\n")
    return tmp_path


@pytest.mark.usefixtures("wrong_data")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "three"], "three: holds 3 classes"),
        (["--data", "bare"], "no training mask holds disc"),
        (["--data", "shapes"], "shapes: is not a folder: a baseline tells two classes apart"),
        (["--data", "voc"], "voc: is not a folder"),
        (["--data", "nowhere"], "nowhere: is not a folder"),
        (["--data", "."], "images: does not exist"),
        (["--data", "discs", "--out", "scores.png"], "scores are written as JSON"),
    ],
    ids=as_typed,
)
def test_wrong_use_is_one_line_and_status_2(capsys, arguments, named):
    assert run("baseline", "otsu", *arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "named"),
    [
        ("mine.json", "mine.json: exists already"),
        ("other.json", "other.png: exists already"),
        ("mine.json/a.json", "mine.json"),
    ],
)
def test_files_that_exist_are_not_overwritten(disc_folder, tmp_path, capsys, out, named):
    (tmp_path / "mine.json").write_text("mine")
    (tmp_path / "other.png").write_text("mine")
    assert run("baseline", "otsu", "--data", disc_folder, "--out", tmp_path / out) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert not (tmp_path / "other.json").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["canny", "--data", "x"], "otsu"),
        (["otsu"], "--data"),
        (["otsu", "a_run", "--data", "x"], "There is no place for 'a_run'"),
        (["otsu", "--data", "x", "--real", "a", "--fake", "b"], "--real"),
        (["otsu", "--data", "x", "--samples", "9"], "--samples"),
        (["--data", "x"], "METHOD"),
    ],
    ids=as_typed,
)
def test_wrong_options_are_one_line_and_status_2(capsys, arguments, named):
    assert run("baseline", *arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("name", "objects", "least"), [("nuclei", "rare", 0.6), ("membranes", "bright", 0.45)])
def test_real_images(real_data, name, objects, least):
    def some(split, count):
        pairs = read_folder(split, real_data(name))
        batches = pairs.sample(count).dataset().unbatch().take(count)
        return [(image.numpy()[:256, :256], mask.numpy()[:256, :256]) for image, mask in batches]

    chosen, reached = choose(otsu, some("train", 12))
    assert chosen["objects"] == objects
    measure = ks.metrics.MeanIoU(2)
    for image, mask in some("val", 6):
        measure.update_state(mask, otsu(image, **chosen))
    assert min(reached, float(measure.result())) > least
