import io
import tarfile

import numpy as np
import pytest

from examples.archive_host import Host, tar_of
from keras_segen.data import _archives as archives
from keras_segen.data._archives import provide
from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE

FILES = {"kit/images/1.txt": b"one", "kit/images/2.txt": b"two", "kit/lists/all.txt": b"1 2"}


@pytest.fixture
def host():
    with Host() as host:
        yield host


def there(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_arrives_is_unpacked_and_nothing_else_is_left(host, tmp_path):
    for mode, name in (("w", "kit.tar"), ("w:gz", "kit.tgz")):
        folder = tmp_path / name / "new"
        provide(host.archive(tar_of(FILES, mode), f"/{name}", name=name), folder)
        assert there(folder) == FILES


def test_a_second_host_helps_out(host, tmp_path):
    host.files["/other"] = tar_of({"kit/false.txt": b"forged"})
    provide(host.archive(tar_of(FILES), "/gone", "/other", "/good"), tmp_path)
    assert there(tmp_path) == FILES
    assert [path for path, _ in host.asked] == ["/gone", "/other", "/good"]


def test_a_download_goes_on_where_it_broke_off(host, tmp_path):
    content = tar_of({"kit/noise": np.random.default_rng(0).bytes(200_000)})
    archive = host.archive(content, "/kit.tar")
    host.breaks = [150_000]
    with pytest.raises(InputError, match=rf"broke off after 150,000 of {len(content):,} bytes"):
        provide(archive, tmp_path)
    partial = tmp_path / f"{INCOMPLETE}kit.tar"
    assert partial.read_bytes() == content[:150_000]
    provide(archive, tmp_path)
    assert host.asked == [("/kit.tar", None), ("/kit.tar", "bytes=150000-")]
    assert there(tmp_path)["kit/noise"] == np.random.default_rng(0).bytes(200_000)
    assert not partial.exists()


def test_a_host_that_knows_no_parts_begins_anew(host, tmp_path):
    host.ranges = False
    archive = host.archive(tar_of(FILES), "/kit.tar")
    (tmp_path / f"{INCOMPLETE}kit.tar").write_bytes(b"some of it")
    provide(archive, tmp_path)
    assert there(tmp_path) == FILES


def test_a_download_that_had_only_to_be_checked_is_not_repeated(host, tmp_path):
    archive = host.archive(tar_of(FILES), "/kit.tar")
    (tmp_path / f"{INCOMPLETE}kit.tar").write_bytes(tar_of(FILES))
    provide(archive, tmp_path)
    assert there(tmp_path) == FILES


def test_an_archive_put_there_by_hand_is_used_and_kept(host, tmp_path):
    archive = host.archive(tar_of(FILES), "/gone")
    (tmp_path / "kit.tar").write_bytes(tar_of(FILES))
    provide(archive, tmp_path)
    assert there(tmp_path) == FILES | {"kit.tar": tar_of(FILES)}
    assert not host.asked
    (tmp_path / "kit.tar").write_bytes(b"something else")
    with pytest.raises(
        InputError, match=r"kit.tar: is not the published file, by its SHA-256: remove it, and fetch http"
    ):
        provide(archive, tmp_path)


def test_what_was_there_stays_and_the_marker_comes_last(host, tmp_path, monkeypatch):
    (tmp_path / "kit/images").mkdir(parents=True)
    (tmp_path / "kit/images/1.txt").write_text("mine")
    (tmp_path / "kit/zoo").mkdir()
    archive = host.archive(tar_of(FILES | {"kit/zoo/3.txt": b"three"}), "/kit.tar")
    moved = []
    rename = archives.Path.rename
    monkeypatch.setattr(archives.Path, "rename", lambda path, to: (moved.append(path.name), rename(path, to))[1])
    provide(archive, tmp_path, last="lists")
    assert there(tmp_path) == FILES | {"kit/images/1.txt": b"mine", "kit/zoo/3.txt": b"three"}
    assert moved[-1] == "lists"


def test_no_host_has_it(host, tmp_path):
    archive = host.archive(tar_of(FILES), "/gone", "/bad")
    host.files["/bad"] = b"forged"
    with pytest.raises(
        InputError,
        match=r"kit.tar: is not there, and could not be fetched \(127.0.0.1: .*404.*; 127.0.0.1: gave a file with "
        rf"another SHA-256\): fetch {archive.urls[0]} or {archive.urls[1]} by other means, and put it "
        rf"into {tmp_path} as kit.tar$",
    ):
        provide(archive, tmp_path)
    assert there(tmp_path) == {}
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"kit.tar is needed, and cannot be written: .*file: is a file"):
        provide(archive, tmp_path / "file")


def test_what_reaches_outside_or_is_damaged_is_refused(host, tmp_path):
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        member = tarfile.TarInfo("kit/link")
        member.type, member.linkname = tarfile.SYMTYPE, "../../outside"
        tar.addfile(member)
    gzipped = tar_of({"kit/noise": np.random.default_rng(0).bytes(50_000)}, "w:gz")
    contents = {
        "outside the destination": tar_of({"../outside.txt": b"!"}),
        "would link to": link.getvalue(),
        "ended before": gzipped[:20_000],
        "could not be opened successfully": b"no archive at all" * 100,
    }
    for i, (reason, content) in enumerate(contents.items()):
        folder = tmp_path / str(i) / "into"
        with pytest.raises(InputError, match=rf"kit.tar: cannot be unpacked \(.*({reason}).*fetch it again"):
            provide(host.archive(content, f"/{i}"), folder)
        assert set(there(folder)) == {"kit.tar"}
        assert not (folder.parent / "outside.txt").exists()
