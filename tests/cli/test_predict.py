"""`keras-segen predict` on folders, on what has results already, and on damaged files."""

import csv
import functools
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from examples.commands import answer, run
from keras_segen.data import read_ahead
from keras_segen.inference import explain
from keras_segen.models import unet, vae_decoder, vae_encoder
from keras_segen.plotting import heat_overlay
from keras_segen.training import VAE, Posterior
from keras_segen_cli.tasks import anomalies, images
from keras_segen_cli.tasks import prediction as command


def make_run(folder, model, kind="unet"):
    config = {"model": kind, "data": "shapes", "seed": 0, "image_size": 32, "class_names": ["a", "b", "c"]}
    (folder / "config.json").write_text(json.dumps(config))
    model.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def prototype(tmp_path_factory):
    """A run whose model has not learnt anything."""
    return make_run(tmp_path_factory.mktemp("run"), unet(3, filters=(4, 6)))


@pytest.fixture
def segmenter(prototype, tmp_path, monkeypatch):
    """The same, beside an empty folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return prototype


def draw_photos(root):
    """Draw a folder with sub-folders in which names occur twice."""
    for i, name in enumerate(["1.png", "left/1.png", "right/far/1.png", "right/2.png"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), np.uint8)).save(path)
    return root


@pytest.fixture
def photos(tmp_path):
    return draw_photos(tmp_path / "photos")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_keeps_its_sub_folders(segmenter, photos, tmp_path, capsys):
    Image.new("RGB", (8, 9)).save(tmp_path / "one.bmp")
    assert run("predict", segmenter, photos, tmp_path / "one.bmp", "--out", photos / "out") == 0
    assert "5 label maps and overlays" in capsys.readouterr().out
    stems = ["1", "left/1", "one", "right/2", "right/far/1"]
    assert files(photos / "out") == sorted(f"{stem}{end}" for stem in stems for end in (".png", "_overlay.png"))
    model = keras.saving.load_model(segmenter / "model.keras")
    for stem in set(stems) - {"one"}:
        image = np.asarray(Image.open(photos / f"{stem}.png"), "float32")
        expected = model.predict(image[None], verbose=0)[0].argmax(-1)
        np.testing.assert_array_equal(Image.open(photos / "out" / f"{stem}.png"), expected)
    # The results lie in the folder, and are not taken for images.
    assert run("predict", segmenter, photos, "--out", photos / "out", "--skip-existing") == 0
    assert "4 of 4 images have their results and are skipped" in capsys.readouterr().out


@pytest.fixture(scope="module")
def interrupted(prototype, tmp_path_factory):
    """A folder with results of which one is missing, and one more image; and when the whole ones were written."""
    path = tmp_path_factory.mktemp("interrupted")
    photos = draw_photos(path / "photos")
    answer(path, "predict", prototype, "photos/right", "--out", "out")
    times = {each: each.stat().st_mtime_ns for each in (path / "out/2.png", path / "out/2_overlay.png")}
    shutil.copy(photos / "1.png", photos / "right/new.png")
    (path / "out/far/1_overlay.png").unlink()  # the process died between the two
    return path, times


@pytest.fixture(scope="module")
def skipped(prototype, interrupted):
    """What is printed where the rest is predicted."""
    path, _ = interrupted
    return answer(path, "predict", prototype, "photos/right", "--out", "out", "--skip-existing").out


def test_results_that_are_there_are_not_overwritten(prototype, interrupted, monkeypatch, capsys):
    monkeypatch.chdir(interrupted[0])
    assert run("predict", prototype, "photos/right", "--out", "out") == 2
    assert "exists already: give --out another folder, or add --skip-existing" in capsys.readouterr().err


def test_images_that_are_skipped_are_counted(skipped):
    assert "1 of 3 images have their results and are skipped" in skipped


def test_images_that_are_not_skipped_are_counted(skipped):
    assert "2 label maps" in skipped


@pytest.mark.usefixtures("skipped")
def test_results_that_are_there_are_skipped_on_request(interrupted):
    _, times = interrupted
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.usefixtures("skipped")
def test_missing_results_are_added_to_those_that_are_there(interrupted):
    path, _ = interrupted
    assert files(path / "out") == sorted(
        f"{stem}{end}" for stem in ("2", "far/1", "new") for end in (".png", "_overlay.png")
    )


def test_a_damaged_image_is_named_and_the_others_have_results(segmenter, photos, capsys):
    whole = (photos / "left/1.png").read_bytes()
    (photos / "left/1.png").write_bytes(whole[: len(whole) // 2])  # its header says nothing of that
    assert run("predict", segmenter, photos, "--out", "out") == 1
    captured = capsys.readouterr()
    assert "3 label maps" in captured.out
    assert "failed: 1 of 4 images have no result: " in captured.err
    assert captured.err.count("left/1.png: is damaged or truncated") == 2  # when it is met, and at the end
    assert files(Path("out")) == sorted(
        f"{stem}{end}" for stem in ("1", "right/2", "right/far/1") for end in (".png", "_overlay.png")
    )
    (photos / "left/1.png").write_bytes(whole)
    assert run("predict", segmenter, photos, "--out", "out", "--skip-existing") == 0
    assert Path("out/left/1.png").exists()


@pytest.mark.parametrize("name", ["text.png", "empty.png", "nowhere.png"])
def test_what_is_no_image_is_refused_before_anything_is_written(segmenter, photos, capsys, name):
    (photos / "text.png").write_text("not an image")
    (photos / "empty.png").touch()
    assert run("predict", segmenter, photos / "1.png", photos / name, "--out", "out") == 2
    error = capsys.readouterr().err
    assert f"{name}: " in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


def test_two_images_that_would_have_one_result_are_refused(segmenter, photos, capsys):
    Image.new("RGB", (4, 4)).save(photos / "left/1.jpg")
    assert run("predict", segmenter, photos, "--out", "out") == 2
    assert "both it and" in capsys.readouterr().err


def test_images_are_read_ahead_by_pixels_and_no_further(segmenter, photos, monkeypatch):
    two_of_them = 20 * 30 + 21 * 30
    monkeypatch.setattr(images, "read_ahead", functools.partial(read_ahead, most=two_of_them))
    read, most = [], []
    monkeypatch.setattr(
        command.ImageKind, "read", lambda kind, path: read.append(path) or np.zeros((20, 30, 3), np.uint8)
    )
    plain = command.label_maps

    def spy(model, examples, **options):
        for done, example in enumerate(plain(model, examples, **options, batch_size=1)):
            most.append(len(read) - done)
            yield example

    monkeypatch.setattr(command, "label_maps", spy)
    assert run("predict", segmenter, photos, "--out", "out") == 0
    assert len(read) == 4
    assert max(most) <= 3  # one in hand, two ahead


def test_read_ahead_keeps_the_order_and_raises_at_an_items_turn():
    def reciprocal(x):
        return 1 / x

    results = read_ahead(reciprocal, [1, 2, 0, 4], [5, 5, 50, 5], most=12)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """The run of a VAE that has not learnt anything."""
    keras.utils.set_random_seed(0)
    vae = VAE(vae_encoder((16, 16, 3), latent_dim=2, filters=4), vae_decoder((16, 16, 3), latent_dim=2, filters=4))
    vae.compile(keras.optimizers.Adam())
    folder = make_run(tmp_path_factory.mktemp("vae"), vae, "vae")
    rng = np.random.default_rng(0)
    Posterior.of(rng.normal(size=(50, 2)), rng.normal(-100, 1, 8)).save(folder / "posterior.npz")
    return folder


@pytest.fixture(scope="module")
def reconstructed(autoencoder, tmp_path_factory):
    """A folder with photos and what the VAE makes of them, two at a time."""
    path = tmp_path_factory.mktemp("reconstructed")
    draw_photos(path / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anomalies, "CHUNK", 2)
        answer(path, "predict", autoencoder, "photos", "--out", "whole")
    return path


@pytest.fixture(scope="module")
def rows(reconstructed):
    """The rows of the table of scores."""
    with (reconstructed / "whole/anomalies.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def in_parts(autoencoder, reconstructed):
    """What is printed where the photos are looked at again, after one of them was damaged at first."""
    second = reconstructed / "photos/right/2.png"
    whole = second.read_bytes()
    command = ["predict", autoencoder, "photos", "--out", "parts"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anomalies, "CHUNK", 2)
        second.write_bytes(whole[:200])
        answer(reconstructed, *command, status=1)
        second.write_bytes(whole)
        return answer(reconstructed, *command, "--skip-existing").out


def test_a_vaes_scores_are_sorted(rows):
    scores = [float(row["anomaly_score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_each_image_has_a_score(reconstructed, rows):
    assert {row["image"] for row in rows} == {f"photos/{name}" for name in files(reconstructed / "photos")}


def test_each_image_has_a_reconstruction(reconstructed):
    names = ["1.png", "anomalies.csv", "left/1.png", "right/2.png", "right/far/1.png"]
    assert files(reconstructed / "whole") == names


def test_images_with_a_score_are_skipped_on_request(in_parts):
    assert "3 of 4 images have their results" in in_parts


@pytest.mark.usefixtures("in_parts")
def test_a_vaes_scores_are_kept_and_joined(reconstructed):
    one, other = ((reconstructed / name / "anomalies.csv").read_text() for name in ("parts", "whole"))
    assert one == other


def test_what_speaks_for_a_class_is_drawn(segmenter, tmp_path, capsys):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save("1.png")
    options = ["--explain", "b", "--explain-pixel", 3, 4, "--explain-stride", 2]
    assert run("predict", segmenter, "1.png", "--out", "out", *options) == 0
    assert "1 label maps and overlays, and explanations of b, in out" in capsys.readouterr().out
    assert files(tmp_path / "out") == ["1.png", "1_overlay.png", "1_why_b.png"]
    image = np.asarray(Image.open("1.png"))
    heat = explain(keras.saving.load_model(segmenter / "model.keras"), image, 1, region=(3, 4), stride=2)
    np.testing.assert_array_equal(Image.open("out/1_why_b.png"), heat_overlay(image, heat))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--explain", "d"], "--explain d: is neither a class nor its number from 0 to 2: the classes are a, b, c"),
        (["--explain", "b", "--explain-stride", 4], "--explain-stride 4: the model's encoder has maps of the strides"),
        (["--explain", "b", "--explain-pixel", 20, 0], "--explain-pixel 20 0: 1.png has 20 rows and 30 columns"),
        (["--explain-pixel", 2, 0], "--explain-pixel needs --explain CLASS"),
        (["--explain-stride", 2], "--explain-stride needs --explain CLASS"),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_line(segmenter, capsys, options, message):
    Image.new("RGB", (30, 20)).save("1.png")
    assert run("predict", segmenter, "1.png", "--out", "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_too_large_an_image_is_not_explained(segmenter, capsys, monkeypatch):
    monkeypatch.setattr(command.inference, "WHOLE", 599)
    Image.new("RGB", (30, 20)).save("1.png")
    assert run("predict", segmenter, "1.png", "--out", "out", "--explain", "b") == 2
    assert "1.png: has 600 pixels, and images of at most 599 are explained: make it smaller" in capsys.readouterr().err


def test_a_second_explanation_leaves_what_is_there(segmenter, photos):
    (photo, *_) = sorted(Path(photos).iterdir())
    assert run("predict", segmenter, photo, "--out", "twice") == 0
    label_map = Path("twice") / f"{photo.stem}.png"
    label_map.write_bytes(b"mine")
    assert run("predict", segmenter, photo, "--out", "twice", "--explain", 1, "--skip-existing") == 0
    assert label_map.read_bytes() == b"mine"
    assert len(list(Path("twice").iterdir())) == 3


def test_a_pixel_that_an_image_lacks_is_told_of_before_anything_is_written(segmenter, photos, capsys):
    larger, smaller = photos / "right/2.png", photos / "1.png"
    assert run("predict", segmenter, larger, smaller, "--out", "lacking", "--explain", 1, "--explain-pixel", 21, 0) == 2
    assert "name a pixel that all images have" in capsys.readouterr().err
    assert not Path("lacking").exists()
