"""Broken annotations get one line that names file, place and fix, and leave nothing behind."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import keras_segen as ks
from keras_segen.annotations import convert

SQUARE = [2, 1, 12, 1, 12, 9, 2, 9]
BOW_TIE = [2, 2, 10, 10, 10, 2, 2, 10]
NO_AREA = [5.1, 5.1, 5.2, 5.1, 5.2, 5.2]


def photo(path, height=20, width=30):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def refused(source, words, **options):
    """Convert, and return what is said; nothing may be left."""
    out = source.parent / "out"
    before = sorted(source.parent.rglob("*"))
    with pytest.raises(ks.InputError, match=words) as error:
        convert(source, out, **options)
    assert "\n" not in str(error.value)
    assert ": " in str(error.value)
    assert sorted(source.parent.rglob("*")) == before


def coco(folder, *, image=None, annotation=None, category=None, **changes):
    photo(folder / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30} | (image or {})],
        "categories": [{"id": 1, "name": "cat"} | (category or {})],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE]} | (annotation or {})],
        **changes,
    }
    return write(folder / "coco.json", content)


IMAGE, CATEGORY = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}, {"id": 1, "name": "cat"}
ANNOTATION = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": {"file_name": "b.png"}}, r"images\[0\]: its image b.png is not in .*--images"),
        ({"image": {"file_name": "../a.png"}}, r"images\[0\]: its image '../a.png' does not lie in"),
        ({"image": {"file_name": "/etc/passwd"}}, "does not lie in"),
        ({"image": {"file_name": "C:\\a.png"}}, "does not lie in"),
        ({"image": {"file_name": 5}}, "needs text as 'file_name', and has '5'"),
        ({"image": {"width": 31}}, r"a.png: is 30×20 pixels upright, and its annotations are of 31×20"),
        ({"images": [IMAGE, IMAGE]}, r"images\[1\]: the image's id 1 is also that of .*images\[0\]"),
        ({"images": [IMAGE, IMAGE | {"id": 2}]}, r"images\[1\]: its image .*a.png would have the name of"),
        ({"images": []}, "is of image 1, which is not listed"),
        ({"images": [], "annotations": []}, "holds no images"),
        ({"images": None}, "needs a list as 'images', and has none"),
        ({"annotation": {"category_id": 2}}, r"annotations\[0\]: is of category 2, which is not listed"),
        ({"annotation": {"image_id": 4}}, "is of image 4, which is not listed"),
        ({"annotations": [ANNOTATION, ANNOTATION]}, r"annotations\[1\]: the annotation's id 1 is also that of"),
        ({"categories": [CATEGORY, CATEGORY]}, "the category's id 1 is also that of"),
        ({"categories": [CATEGORY, CATEGORY | {"id": 2}]}, "names the class cat twice"),
        ({"categories": []}, "names 1 of the two classes"),
        ({"annotation": {"segmentation": [BOW_TIE]}}, r"annotations\[0\]: crosses itself at x 6.0, y 6.0: .*--repair"),
        ({"annotation": {"segmentation": []}}, "has no polygon: correct it, or add --repair"),
        ({"annotation": {"segmentation": None}}, "has no polygon"),
        ({"annotation": {"segmentation": [[]]}}, "is a polygon of 0 corners"),
        ({"annotation": {"segmentation": [[1, 2, 3]]}}, "has 3 numbers, and each corner needs two"),
        ({"annotation": {"segmentation": [["a", "b"]]}}, "is not a list of numbers"),
        ({"annotation": {"segmentation": [SQUARE[:4]]}}, "is a polygon of 2 corners"),
        ({"annotation": {"segmentation": [NO_AREA]}}, "covers no pixel of its image: remove it, or add --repair"),
        ({"annotation": {"segmentation": [[40, 0, 50, 0, 50, 5]]}}, "covers no pixel"),
        ({"annotation": {"segmentation": [[1e12, 0, 50, 0, 50, 5]]}}, "lies nowhere near the image"),
        ({"annotation": {"segmentation": {"size": [30, 20], "counts": [600]}}}, r"are of the size \[30, 20\]"),
        ({"annotation": {"segmentation": {"size": [20, 30], "counts": [599]}}}, "has run lengths of 599 pixels"),
        ({"annotation": {"segmentation": {"size": [20, 30], "counts": "~"}}}, "has run lengths that are damaged"),
        ({"annotation": {"segmentation": {"size": [20, 30], "counts": "oo"}}}, "has run lengths that break off"),
        ({"annotation": {"segmentation": {"counts": [600]}}}, "needs a list as 'size'"),
        ({"annotation": {"segmentation": 5}}, "needs a value as 'counts'"),
    ],
)
def test_coco(tmp_path, changes, words):
    refused(coco(tmp_path, **changes), words)


@pytest.mark.parametrize("segmentation", [[], [NO_AREA], [SQUARE[:4]]])
def test_repair_leaves_out_what_has_no_pixel(tmp_path, segmentation):
    converted = convert(coco(tmp_path, annotation={"segmentation": segmentation}), tmp_path / "out", repair=True)
    assert (converted.left_out, converted.pixels[1], converted.objects.total()) == (1, 0, 0)


def test_repair_fills_what_crosses_itself(tmp_path):
    converted = convert(coco(tmp_path, annotation={"segmentation": [BOW_TIE]}), tmp_path / "out", repair=True)
    mask = np.asarray(Image.open(tmp_path / "out/masks/a.png"))
    np.testing.assert_array_equal(mask, coco_mask.decode(coco_mask.frPyObjects([BOW_TIE], 20, 30))[..., 0])
    # Two triangles, left and right of the crossing at (6, 6).
    assert mask[6, [3, 8]].tolist() == [1, 1]
    assert mask[[3, 8], 6].tolist() == [0, 0]
    assert converted.left_out == 0


def test_what_nobody_can_repair(tmp_path):
    refused(coco(tmp_path, annotation={"segmentation": [[1e12, 0, 50, 0, 50, 5]]}), "nowhere near", repair=True)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1]", "needs a list as 'categories', and has none"),
        ("a.xml", "<a>", "is not XML"),
        ("a.xml", "<annotations><track/></annotations>", "is of a video"),
        ("a.yaml", "names: [", "is not YAML"),
        ("a.yaml", "5", "is not a data set of YOLO's"),
        ("a.yaml", "names: [a, b]", "names no images"),
        ("a.yaml", "train: x", "names no classes"),
        ("a.yaml", "names: {1: a}\ntrain: x", "number them from 0"),
        ("a.yaml", "names: [a]\ntrain: x", "its train is x, and .* does not exist"),
        ("a.txt", "", "is not of a known form"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, words):
    refused(write(tmp_path / name, content), words)


def test_nothing_and_an_empty_folder(tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is not of a known form")


def labelme(folder, **changes):
    photo(folder / "a.png")
    shape = {"label": "cat", "points": [[0, 0], [5, 0], [5, 5]], "shape_type": "polygon", "group_id": None}
    content = {"imagePath": "a.png", "imageHeight": 20, "imageWidth": 30, "shapes": [shape | changes]}
    write(folder / "a.json", content)
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape_type": "line"}, r"a.json: shapes\[0\]: is a line, which has no area"),
        ({"shape_type": "circle"}, "is a circle of 3 points, and has 2"),
        ({"shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": "!!"}, "its mask is damaged"),
        ({"points": [[0, 0], [8, 8], [8, 0], [0, 8]]}, "crosses itself"),
        ({"points": []}, "is a polygon of 0 corners"),
        ({"label": None}, "needs text as 'label', and has none"),
        ({"label": " "}, "has a class '': give it a name of one line"),
        ({"label": "cat\nand dog"}, r"has a class 'cat\\nand dog': give it a name of one line"),
        ({"group_id": [1]}, r"its group_id is '\[1\]', not a whole number"),
    ],
)
def test_labelme(tmp_path, changes, words):
    refused(labelme(tmp_path / "in", **changes), words)


def test_labelme_images_and_names(tmp_path):
    source = labelme(tmp_path / "in")
    refused(source, "its class cat is not among those of --classes", class_names=["ground", "dog"])
    content = json.loads((source / "a.json").read_text())
    for path, words in (("../../a.png", "does not lie in"), ("..\\a.png", "does not lie in"), ("b.png", "is not in")):
        write(source / "a.json", content | {"imagePath": path})
        refused(source, words)


def test_labelme_images_without_a_file_are_mentioned(tmp_path):
    source = labelme(tmp_path / "in")
    photo(source / "b.png")
    photo(source / "c.png")
    with pytest.warns(UserWarning, match="b.png and 1 more have no .json file: left out"):
        assert convert(source, tmp_path / "out").images == 1


def cvat(folder, shape, name="a.png"):
    photo(folder / "a.png")
    return write(
        folder / "annotations.xml",
        "<annotations><meta><task><labels><label><name>cat</name></label></labels></task></meta>"
        f'<image id="0" name="{name}" width="30" height="20">{shape}</image></annotations>',
    )


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<box label="dog" xtl="0" ytl="0" xbr="1" ybr="1"/>', r"image 0: box\[0\]: its label dog is not among"),
        ('<box label="cat" xtl="0" ytl="0" xbr="1"/>', "has no 'ybr'"),
        ('<box label="cat" xtl="0" ytl="0" xbr="1" ybr="x"/>', "its ybr is 'x', not a number"),
        ('<box label="cat" xtl="0" ytl="0" xbr="1" ybr="nan"/>', "its ybr is 'nan', not a number"),
        ('<polyline label="cat" points="0,0;1,1"/>', "is a polyline, which has no area"),
        ('<polygon label="cat" points="0,0;1"/>', "its points are not x,y;x,y"),
        ('<polygon label="cat" points=""/>', "its points are not x,y;x,y"),
        ('<polygon label="cat" points="0,0;8,8;8,0;0,8"/>', "crosses itself"),
        ('<mask label="cat" rle="1,2" left="0" top="0" width="2" height="2"/>', "has run lengths of 3 pixels"),
        ('<mask label="cat" rle="x" left="0" top="0" width="2" height="2"/>', "that are not whole numbers"),
        ('<mask label="cat" rle="0,4" left="29" top="0" width="2" height="2"/>', "ends at x 31, y 2"),
        ('<mask label="cat" rle="0,4" left="-1" top="0" width="2" height="2"/>', "begins at x -1"),
        ('<ellipse label="cat" cx="5" cy="5" rx="0" ry="2"/>', "is an ellipse of radii 0 and 2"),
        (
            f'<mask label="cat" rle="{10**13}" left="0" top="0" width="{10**7}" height="{10**6}"/>',
            r"mask\[0\]: is 10000000×1000000 pixels, and its image 30×20",
        ),
    ],
)
def test_cvat(tmp_path, shape, words):
    refused(cvat(tmp_path, shape), words)


def test_a_subset_of_cvat_that_climbs_out(tmp_path):
    source = cvat(tmp_path, "")
    source.write_text(source.read_text().replace(" width=", ' subset="../x" width='))
    refused(source, "its subset '../x' cannot name a folder")


def test_xml_of_another_kind(tmp_path):
    refused(write(tmp_path / "other.xml", "<foo/>"), "is XML of <foo>, not CVAT's")


def test_tasks_of_cvat_number_their_own_images(tmp_path):
    source = cvat(tmp_path, "")
    text = source.read_text().replace('id="0"', 'task_id="1" id="0"')
    image = '<image id="0" task_id="{}" name="b.png" width="30" height="20"/></annotations>'
    photo(tmp_path / "b.png")
    write(source, text.replace("</annotations>", image.format(1)))
    refused(source, "the image's id 0 is also that of")
    write(source, text.replace("</annotations>", image.format(2)))
    assert convert(source, tmp_path / "out").images == 2


def test_cvat_images(tmp_path):
    refused(cvat(tmp_path, "", name="b.png"), "image 0: its image b.png is not in")
    refused(cvat(tmp_path, "", name="../a.png"), "does not lie in")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 0 0 1 0 1 1", "train.txt: line 1: is of class 2, and there are 2"),
        ("0 0.5 0.5 0.2 0.2", r"is a box \(class x y width height\), not a polygon"),
        ("0 0 0 1 0 1 1 0", "has 7 numbers"),
        ("0 0 0 1 0 1 1.5", r"has a corner outside \[0, 1\]"),
        ("0 0 0 1 0 1 nan", r"has a corner outside \[0, 1\]"),
        ("cat 0 0 1 0 1 1", "is not a class and a polygon"),
        ("0", "is a polygon of 0 corners"),
        ("0 0 0 0.9 0.9 0.9 0 0 0.9", "crosses itself"),
    ],
)
def test_yolo(tmp_path, line, words):
    photo(tmp_path / "set/images/train/train.png")
    write(tmp_path / "set/labels/train/train.txt", line)
    write(tmp_path / "set/data.yaml", "names: [cat, dog]\ntrain: images/train\n")
    refused(tmp_path / "set", words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("names: [cat, null]", "has the class None, which is no text"),
        ("names: [cat, no]", "has the class False, which is no text"),
        ("names: {0: cat, a: dog}", r"numbers its classes \[0, 'a'\]"),
        ("names: [cat, dog]\nnc: 5", "says nc: 5, and names 2 classes"),
        ("names: [cat, 'cat ']", "names the class cat twice"),
    ],
)
def test_yolo_names(tmp_path, content, words):
    photo(tmp_path / "set/images/train/a.png")
    write(tmp_path / "set/labels/train/a.txt", "")
    refused(write(tmp_path / "set/data.yaml", f"{content}\ntrain: images/train\n"), words)


def test_yolo_labels_that_fit_no_image(tmp_path):
    photo(tmp_path / "set/images/train/a.png")
    source = write(tmp_path / "set/data.yaml", "names: [cat]\ntrain: images/train\n")
    refused(source, "a.png: has no .*labels/train/a.txt, nor has any other image")
    write(tmp_path / "set/labels/train/a.txt", "")
    write(tmp_path / "set/labels/train/B.txt", "")
    refused(source, "B.txt: has no image of its name")


def test_yolo_images_outside(tmp_path):
    photo(tmp_path / "in/elsewhere/images/a.png")
    source = write(tmp_path / "in/set/data.yaml", "names: [cat]\ntrain: ../elsewhere/images\n")
    refused(source, "its train is ../elsewhere/images, and .* lies outside the data set's folder")
    write(tmp_path / "in/set/train.txt", "../elsewhere/images/a.png\n")
    refused(write(source, "names: [cat]\ntrain: train.txt\n"), "lists ../elsewhere/images/a.png, which lies outside")


def test_yolo_images_elsewhere(tmp_path):
    photo(tmp_path / "set/photos/a.png")
    refused(write(tmp_path / "set/data.yaml", "names: [cat]\ntrain: photos\n"), "does not lie in a folder `images`")
    write(tmp_path / "set/list.txt", "images/b.png\n")
    refused(write(tmp_path / "set/data.yaml", "names: [cat]\ntrain: list.txt\n"), "lists images/b.png, which does not")


def colours(folder, mask, table="cat,255,0,0\nground,0,0,0\n"):
    photo(folder / "images/a.png")
    (folder / "masks").mkdir()
    Image.fromarray(mask).save(folder / "masks/a.png")
    if table is not None:
        write(folder / "colours.txt", table)
    return folder


BLACK = np.zeros((20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("mask", "table", "words"),
    [
        (BLACK + np.uint8(9), "cat,255,0,0\nground,0,0,0\n", "a.png: has the colour 9 9 9 at row 0, column 0, which"),
        (BLACK[:10], "cat,255,0,0\nground,0,0,0\n", "a.png: is 30×10 pixels, and its image 30×20"),
        (BLACK, None, "colours.txt: does not exist"),
        (BLACK, "cat,255,0\n", "line 1: is not a name and a colour"),
        (BLACK, "cat,0,0,256\n", "line 1: is not a name and a colour"),
        (BLACK, "cat,0,0,0\ndog,0,0,0\n", r"lists the colour \(0, 0, 0\) 2 times"),
        (BLACK, "ground,0,0,0\n", "names 1 of the two classes"),
    ],
)
def test_colours(tmp_path, mask, table, words):
    refused(colours(tmp_path / "in", mask, table), words)


def test_colours_without_partners(tmp_path):
    source = colours(tmp_path / "in", BLACK)
    photo(source / "images/b.png")
    refused(source, "b.png: has no mask")
    (source / "images/b.png").rename(source / "masks/b.png")
    refused(source, "b.png: has no image of its name")
    refused(source, "a table of colours is for the format colours", colours="x.txt", format="cvat_masks")


def test_two_files_of_one_name(tmp_path):
    source = colours(tmp_path / "in", BLACK)
    Image.fromarray(BLACK).save(source / "masks/a.bmp")
    refused(source, "a.png: has the same name as a.bmp but for the ending")


def test_a_mask_of_16_bits(tmp_path):
    source = colours(tmp_path / "in", BLACK)
    Image.fromarray(np.full((20, 30), 300, np.uint16)).save(source / "masks/a.png")
    refused(source, "a.png: is of mode I;16, and colours have 8 bits")


def test_cvat_masks_that_no_list_names(tmp_path):
    source = tmp_path / "in"
    for name in ("a b", "c"):
        photo(source / f"JPEGImages/{name}.png")
        photo(source / f"SegmentationClass/{name}.png")
    write(source / "labelmap.txt", "background:0,0,0::\ncat:9,9,9::\n")
    write(source / "ImageSets/Segmentation/train.txt", "a b\n")
    write(source / "ImageSets/Segmentation/val.txt", "\n")
    refused(source, "c.png: is in no list of ImageSets/Segmentation")
    write(source / "ImageSets/Segmentation/val.txt", "c\n")
    assert convert(source, tmp_path / "out").images == 2


def test_a_folder_without_an_image_among_masks_of_objects(tmp_path):
    photo(tmp_path / "in/a/images/a.png")
    (tmp_path / "in/a/masks").mkdir()
    (tmp_path / "in/b/masks").mkdir(parents=True)
    refused(tmp_path / "in", "b: has no folder images")
    (tmp_path / "in/b/images").mkdir()
    refused(tmp_path / "in", "images: holds no image")
    photo(tmp_path / "in/b/images/b.png")
    (tmp_path / "in/b/masks").rmdir()
    refused(tmp_path / "in", "b: has no masks")


def test_one_mask_an_object(tmp_path):
    photo(tmp_path / "in/a/images/a.png")
    (tmp_path / "in/a/masks").mkdir()
    mask = np.zeros((20, 30), np.uint8)
    Image.fromarray(mask).save(tmp_path / "in/a/masks/0.png")
    refused(tmp_path / "in", "0.png: covers no pixel of its image")
    mask[0, :2] = 255, 128
    Image.fromarray(mask).save(tmp_path / "in/a/masks/0.png")
    refused(tmp_path / "in", "0.png: holds 2 values beside 0")
    Image.fromarray(mask[:10]).save(tmp_path / "in/a/masks/0.png")
    refused(tmp_path / "in", "0.png: is 30×10 pixels, and its image 30×20")
    refused(tmp_path / "in", "leave --images out", images=tmp_path)
    refused(tmp_path / "in", "its objects are of one class", class_names=["ground", "a", "b"])
    (tmp_path / "in/b/images").mkdir(parents=True)
    refused(tmp_path / "in", "images: holds no", format="object_masks")


def test_a_folder_that_exists_stays(tmp_path):
    source = coco(tmp_path)
    convert(source, tmp_path / "out")
    refused(source, "out: exists already: name another folder")


def test_splits_of_its_own_need_no_other(tmp_path):
    photo(tmp_path / "set/images/train/train.png")
    write(tmp_path / "set/labels/train/train.txt", "")
    source = write(tmp_path / "set/data.yaml", "names: [cat, dog]\ntrain: images/train\n")
    refused(source, "has splits of its own, train", split="val")


def test_a_damaged_image_is_named(tmp_path):
    source = coco(tmp_path)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    refused(source, "a.png: .*(truncated|damaged|cut)")
