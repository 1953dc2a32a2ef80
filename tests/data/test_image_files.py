import numpy as np
import pytest
from PIL import Image

from keras_segen.data._image_files import fingerprint, image_batches, image_files
from keras_segen.errors import InputError


def test_all_below_a_folder_by_size(tmp_path):
    for i, (name, side) in enumerate([("b/2.png", 4), ("a.jpg", 5), ("b/1.png", 4), ("c/d/e.bmp", 5)]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((side, 4, 3), 50 * i, np.uint8)).save(path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/x.png").write_bytes(b"")
    (tmp_path / "._1.png").write_bytes(b"macOS's own")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/2.png").write_bytes(b"")
    paths = image_files(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in paths] == ["a.jpg", "b/1.png", "b/2.png", "c/d/e.bmp"]
    (tmp_path / "linked").symlink_to(tmp_path / "b")  # seen once
    (tmp_path / "b/above").symlink_to(tmp_path)
    assert len(image_files(tmp_path)) == 4
    (tmp_path / "linked").unlink()
    (tmp_path / "b/above").unlink()
    batches = list(image_batches(paths))
    assert [batch.shape for batch in batches] == [(2, 5, 4, 3), (2, 4, 4, 3)]
    assert [batch[0, 0, 0, 0] for batch in batches] == [50, 100]
    assert [len(batch) for batch in image_batches(paths, 1)] == [1] * 4
    before = fingerprint(paths)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "b/2.png")
    assert fingerprint(paths) == before
    Image.fromarray(np.ones((4, 4, 3), np.uint8)).save(tmp_path / "b/2.png")
    assert fingerprint(paths) != before


def test_all_formats_are_found_and_what_is_skipped_is_told(tmp_path):
    for name in ("a.png", "b.WEBP", "c.gif", "d.tif", "e.tiff", "f.jpeg"):
        Image.new("L", (2, 2)).save(tmp_path / name)
    assert [path.name[0] for path in image_files(tmp_path)] == [*"abcdef"]
    for name in ("g.heic", "h.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"3 files that are not JPEG, .* are skipped: 2 \.heic, 1 \.txt$"):
        assert len(image_files(tmp_path)) == 6


def test_what_is_no_folder_of_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="none: does not exist"):
        image_files(tmp_path / "none")
    with pytest.raises(InputError, match="holds no image"):
        image_files(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is a file: name a folder"):
        image_files(tmp_path / "bad.png")
    with pytest.raises(InputError, match="bad.png: is not an image"):
        list(image_batches(image_files(tmp_path)))
