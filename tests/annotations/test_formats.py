"""Each format, in files as its tool writes them, against masks drawn by hand or by pycocotools."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import keras_segen as ks
from keras_segen.annotations import convert

HEIGHT, WIDTH = 20, 30


def save(path, pixels, **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, **options).save(path)


def photo(path, height=HEIGHT, width=WIDTH):
    save(path, np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(folder, name, part="masks"):
    return np.asarray(Image.open(folder / part / f"{name}.png"))


def box(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def of_boxes(*boxes):
    """Return a mask of (class, box) drawn one over the other."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for class_id, pixels in boxes:
        mask[pixels] = class_id
    return mask


def coco(tmp_path, *annotations, **changes):
    """Write a COCO file of one image and two categories, whose ids have gaps."""
    photo(tmp_path / "images" / "a.png")
    content = {
        "images": [{"id": 9, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": 9, "iscrowd": 0, **annotation} for i, annotation in enumerate(annotations)
        ],
        **changes,
    }
    return write(tmp_path / "coco.json", content)


CAT_BOX = {"category_id": 3, "segmentation": [[2, 1, 12, 1, 12, 9, 2, 9]]}
DOG_BOX = {"category_id": 7, "segmentation": [[20, 5, 25, 5, 25, 15, 20, 15]]}


def test_coco_polygons(tmp_path):
    converted = convert(coco(tmp_path, DOG_BOX, CAT_BOX), tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), of_boxes((1, box(1, 2, 9, 12)), (2, box(5, 20, 15, 25))))
    np.testing.assert_array_equal(
        read(tmp_path / "out", "a", "instances"), of_boxes((2, box(1, 2, 9, 12)), (1, box(5, 20, 15, 25)))
    )
    assert (tmp_path / "out" / "classes.txt").read_text() == "background\ncat\ndog\n"
    assert (tmp_path / "out/images/a.png").read_bytes() == (tmp_path / "images/a.png").read_bytes()
    assert converted.class_names == ("background", "cat", "dog")
    assert (converted.images, dict(converted.objects), converted.pixels[1]) == (1, {1: 1, 2: 1}, 80)
    pairs = ks.data.read_folder("all", tmp_path / "out")
    assert pairs.class_names == converted.class_names


@pytest.mark.parametrize("packed", [True, False])
def test_coco_run_lengths_and_crowds(tmp_path, packed):
    rng = np.random.default_rng(0)
    crowd = rng.random((HEIGHT, WIDTH)) < 0.4
    runs = coco_mask.encode(np.asfortranarray(crowd.astype(np.uint8)))["counts"].decode()
    if not packed:
        flat = np.concatenate([[0], crowd.T.ravel(), [2]])
        edges = np.flatnonzero(np.diff(flat))
        runs = np.diff(np.concatenate([[0], edges])).tolist()
    segmentation = {"size": [HEIGHT, WIDTH], "counts": runs}
    source = coco(tmp_path, CAT_BOX, {"category_id": 3, "iscrowd": 1, "segmentation": segmentation})
    converted = convert(source, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), crowd | box(1, 2, 9, 12))
    # A crowd is no object, and has room for one of its class.
    np.testing.assert_array_equal(read(tmp_path / "out", "a", "instances"), box(1, 2, 9, 12))
    assert dict(converted.objects) == {1: 1}


def test_coco_polygons_of_several_parts_equal_pycocotools(tmp_path):
    rng = np.random.default_rng(1)
    parts = [[x + 1.3, y, x + 7.1, y + 0.4, x + 3.7, y + 8.9] for x, y in rng.uniform(0, 15, (3, 2))]
    convert(coco(tmp_path, {"category_id": 7, "segmentation": parts}), tmp_path / "out")
    runs = coco_mask.frPyObjects(parts, HEIGHT, WIDTH)
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), 2 * coco_mask.decode(coco_mask.merge(runs)))


OVERLAPPING = {"category_id": 7, "segmentation": [[10, 1, 14, 1, 14, 5, 10, 5]]}  # 8 pixels of the cat's


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("smaller", 2), ("later", 1), ("void", 255)],
)
def test_overlaps_are_settled_as_asked(tmp_path, overlap, expected):
    source = coco(tmp_path, OVERLAPPING, CAT_BOX)
    with pytest.raises(ks.InputError, match=r"annotations\[1\]: 8 pixels of it belong to .*annotations\[0\] too"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    converted = convert(source, tmp_path / "out", overlap=overlap)
    mask = of_boxes((2, box(1, 10, 5, 14)), (1, box(1, 2, 9, 12)), (expected, box(1, 10, 5, 12)))
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), mask)
    assert converted.contested == 8
    # Of the instances, a void pixel is nobody's.
    instances = of_boxes(
        (1, box(1, 10, 5, 14)), (2, box(1, 2, 9, 12)), ({2: 1, 1: 2, 255: 0}[expected], box(1, 10, 5, 12))
    )
    np.testing.assert_array_equal(read(tmp_path / "out", "a", "instances"), instances)


def labelme(folder, shapes, name="a", **changes):
    photo(folder / f"{name}.png")
    content = {"version": "5.5.0", "imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    shapes = [{"group_id": None, "shape_type": "polygon", "flags": {}, **shape} for shape in shapes]
    return write(folder / f"{name}.json", {**content, "imageData": None, "shapes": shapes, **changes})


def test_labelme_shapes(tmp_path):
    bitmap = io.BytesIO()
    Image.fromarray(np.array([[1, 0], [1, 1]], bool)).save(bitmap, "PNG")
    labelme(
        tmp_path / "in",
        [
            {"label": "dog", "points": [[2, 1], [12, 1], [12, 9], [2, 9]]},
            {"label": "cat", "points": [[25, 3], [20, 8]], "shape_type": "rectangle"},
            {"label": "cat", "points": [[5, 15], [5, 18.2]], "shape_type": "circle"},
            {
                "label": "dog",
                "points": [[20, 12], [21, 13]],
                "shape_type": "mask",
                "mask": base64.b64encode(bitmap.getvalue()).decode(),
            },
            {"label": "__ignore__", "points": [[0, 0], [2, 0], [2, 1], [0, 1]]},
        ],
    )
    labelme(tmp_path / "in", [], name="empty")
    converted = convert(tmp_path / "in", tmp_path / "out")
    circle = np.add.outer((np.arange(HEIGHT) + 0.5 - 15) ** 2, (np.arange(WIDTH) + 0.5 - 5) ** 2) <= 3.2**2
    corner = np.zeros((HEIGHT, WIDTH), bool)
    corner[[12, 13, 13], [20, 20, 21]] = True
    objects = [(2, box(1, 2, 9, 12)), (1, box(3, 20, 8, 25)), (1, circle), (2, corner)]
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), of_boxes(*objects, (255, box(0, 0, 1, 2))))
    numbered = [(i + 1, pixels) for i, (_, pixels) in enumerate(objects)]
    np.testing.assert_array_equal(read(tmp_path / "out", "a", "instances"), of_boxes(*numbered))
    assert not read(tmp_path / "out", "empty").any()
    assert converted.class_names == ("background", "cat", "dog")
    assert (converted.images, converted.pixels[255]) == (2, 2)


def test_labelme_groups_are_one_object(tmp_path):
    shapes = [
        {"label": "cat", "points": [[x, 0], [x + 3, 0], [x + 3, 3], [x, 3]], "group_id": group}
        for x, group in ((0, 1), (5, None), (10, 1), (15, 2))
    ]
    labelme(tmp_path / "in", shapes)
    convert(tmp_path / "in", tmp_path / "out")
    assert read(tmp_path / "out", "a", "instances")[0, [0, 5, 10, 15]].tolist() == [1, 2, 1, 3]


def test_labelme_beside_a_folder_of_images(tmp_path):
    shapes = [{"label": "cat", "points": [[0, 0], [3, 0], [3, 3]]}]
    path = labelme(tmp_path / "in", shapes, imagePath="..\\photos\\a.png")
    (tmp_path / "photos").mkdir()
    (path.parent / "a.png").rename(tmp_path / "photos" / "a.png")
    convert(tmp_path / "in", tmp_path / "out", images=tmp_path / "photos")
    assert read(tmp_path / "out", "a").any()


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><name>t</name><labels>
<label><name>dog</name><type>any</type></label><label><name>cat</name><type>any</type></label>
</labels></task></meta>
<image id="0" name="sub/a.png" width="30" height="20">{}</image>
<image id="1" name="b.png" width="30" height="20"></image>
</annotations>"""


def cvat(tmp_path, shapes):
    photo(tmp_path / "images" / "sub" / "a.png")
    photo(tmp_path / "images" / "b.png")
    return write(tmp_path / "annotations.xml", CVAT.format(shapes))


def test_cvat_shapes(tmp_path):
    source = cvat(
        tmp_path,
        '<polygon label="dog" source="manual" occluded="0" points="2.00,1.00;12.00,1.00;12.00,9.00;2.00,9.00" '
        'z_order="0"><attribute name="sex">m</attribute></polygon>'
        '<box label="cat" occluded="0" xtl="20.00" ytl="3.00" xbr="25.00" ybr="8.00" z_order="0"></box>'
        '<ellipse label="dog" occluded="0" cx="5.00" cy="15.00" rx="4.00" ry="2.00" z_order="0"></ellipse>'
        '<mask label="cat" occluded="0" rle="1, 2, 2, 1" left="20" top="12" width="3" height="2" z_order="0"></mask>'
        '<box label="cat" occluded="0" xtl="12" ytl="12" xbr="18" ybr="14" rotation="90.00" z_order="0"></box>'
        '<tag label="dog" source="manual"></tag>',
    )
    converted = convert(source, tmp_path / "out")
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    ellipse = ((columns + 0.5 - 5) / 4) ** 2 + ((rows + 0.5 - 15) / 2) ** 2 <= 1
    runs = np.zeros((HEIGHT, WIDTH), bool)
    runs[[12, 12, 13], [21, 22, 22]] = True
    objects = [
        (1, box(1, 2, 9, 12)),
        (2, box(3, 20, 8, 25)),
        (1, ellipse),
        (2, runs),
        (2, box(10, 14, 16, 16)),
    ]
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), of_boxes(*objects))
    numbered = [(i + 1, pixels) for i, (_, pixels) in enumerate(objects)]
    np.testing.assert_array_equal(read(tmp_path / "out", "a", "instances"), of_boxes(*numbered))
    assert converted.class_names == ("background", "dog", "cat")
    assert not read(tmp_path / "out", "b").any()


def test_a_higher_layer_of_cvat_hides_a_lower_one(tmp_path):
    source = cvat(
        tmp_path,
        '<box label="cat" xtl="0" ytl="0" xbr="4" ybr="4" z_order="1"/>'
        '<box label="dog" xtl="2" ytl="2" xbr="10" ybr="10" z_order="-1"/>',
    )
    converted = convert(source, tmp_path / "out")
    expected = of_boxes((1, box(2, 2, 10, 10)), (2, box(0, 0, 4, 4)))
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), expected)
    assert converted.contested == 0


def test_several_subsets_of_cvat_are_splits(tmp_path):
    source = cvat(tmp_path, "")
    text = source.read_text().replace('name="sub/a.png"', 'name="a.png" subset="Train"')
    write(source, text.replace('name="b.png"', 'name="b.png" subset="Validation"'))
    (tmp_path / "images/sub").rename(tmp_path / "images/Train")
    convert(source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/train/images").iterdir()] == ["a.png"]
    assert [path.name for path in (tmp_path / "out/val/images").iterdir()] == ["b.png"]


def test_one_subset_of_cvat_is_no_split(tmp_path):
    source = cvat(tmp_path, "")
    write(source, source.read_text().replace(" width=", ' subset="Train" width='))
    convert(source, tmp_path / "out")
    assert len([*(tmp_path / "out/images").iterdir()]) == 2


def cvat_masks(tmp_path, mask, instances=None, names=("a",)):
    """Write what CVAT exports as "Segmentation mask 1.1": class ids and objects as colours."""
    colours = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    folder = tmp_path / "in"
    for name in names:
        photo(folder / "JPEGImages" / f"{name}.png")
        save(folder / "SegmentationClass" / f"{name}.png", colours[mask])
        if instances is not None:
            save(folder / "SegmentationObject" / f"{name}.png", ks.plotting.voc_palette()[instances])
    write(
        folder / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n",
    )
    write(folder / "ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in names))
    return folder


def test_cvat_masks(tmp_path):
    mask = of_boxes((1, box(1, 2, 9, 12)), (2, box(5, 20, 15, 25)), (1, box(1, 12, 9, 14)))
    instances = of_boxes((5, box(1, 2, 9, 12)), (9, box(5, 20, 15, 25)), (7, box(1, 12, 9, 14)))
    source = cvat_masks(tmp_path, mask, instances)
    converted = convert(source, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), mask)
    found = read(tmp_path / "out", "a", "instances")
    assert [found[2, 3], found[2, 13], found[7, 22]] == [
        sorted(np.dot(ks.plotting.voc_palette()[i], [65536, 256, 1]) for i in (5, 7, 9)).index(
            np.dot(ks.plotting.voc_palette()[i], [65536, 256, 1])
        )
        + 1
        for i in (5, 7, 9)
    ]
    np.testing.assert_array_equal(found > 0, instances > 0)
    assert dict(converted.objects) == {1: 2, 2: 1}
    assert converted.class_names == ("background", "cat", "dog")


def test_cvat_masks_of_several_subsets_are_splits(tmp_path):
    source = cvat_masks(tmp_path, box(0, 0, 2, 2).astype(np.uint8), names=("a", "b", "c"))
    (source / "ImageSets/Segmentation/default.txt").unlink()
    write(source / "ImageSets/Segmentation/train.txt", "a\nc\n")
    write(source / "ImageSets/Segmentation/val.txt", "b\n")
    convert(source, tmp_path / "out")
    assert len(ks.data.read_folder("train", tmp_path / "out")) == 2
    assert len(ks.data.read_folder("val", tmp_path / "out")) == 1
    assert not (tmp_path / "out/train/instances").exists()


def yolo(tmp_path, lines="0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n", names="names: [cat, dog]", **labels):
    for split in ("train", "val"):
        photo(tmp_path / "set" / "images" / split / f"{split}.png")
    write(tmp_path / "set/labels/train/train.txt", lines)
    return write(tmp_path / "set" / "data.yaml", f"path: /elsewhere\ntrain: images/train\nval: images/val\n{names}\n")


@pytest.mark.parametrize("named", ["names: [cat, dog]", "names:\n  0: cat\n  1: dog"])
def test_yolo_polygons(tmp_path, named):
    source = yolo(tmp_path, "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n\n1 0.8 0.5 1 0.5 1 1 0.8 1\n", named)
    converted = convert(source, tmp_path / "out")
    expected = of_boxes((1, box(2, 3, 10, 15)), (2, box(10, 24, 20, 30)))
    np.testing.assert_array_equal(read(tmp_path / "out/train", "train"), expected)
    np.testing.assert_array_equal(read(tmp_path / "out/train", "train", "instances"), expected)
    assert not read(tmp_path / "out/val", "val").any()  # it has no text file
    assert converted.class_names == ("background", "cat", "dog")


def test_yolo_as_roboflow_exports_it(tmp_path):
    for folder in ("train", "valid"):
        photo(tmp_path / f"set/{folder}/images/{folder}_jpg.rf.1.jpg")
        write(tmp_path / f"set/{folder}/labels/{folder}_jpg.rf.1.txt", "0 0 0 1 0 1 1 0 1 \n")
    paths = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    source = write(tmp_path / "set/data.yaml", f"{paths}\nnc: 1\nnames: ['cell']\n")
    with pytest.warns(UserWarning, match="its test is ../test/images, which does not exist: it is left out"):
        convert(source, tmp_path / "out")
    assert ks.data.folder_splits(tmp_path / "out") == ["train", "val"]
    assert read(tmp_path / "out/val", "valid_jpg.rf.1").all()


def test_a_skeletons_points_are_no_classes_of_cvat(tmp_path):
    source = cvat(tmp_path, "")
    labels = "<label><name>1</name><type>points</type><parent>body</parent></label></labels>"
    write(source, source.read_text().replace("</labels>", labels))
    assert convert(source, tmp_path / "out").class_names == ("background", "dog", "cat")


def test_yolo_without_yaml(tmp_path):
    photo(tmp_path / "in/images/a.png")
    write(tmp_path / "in/labels/a.txt", "1 0 0 0.5 0 0.5 0.5 0 0.5")
    write(tmp_path / "in/classes.txt", "cat\ndog\n")
    convert(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), 2 * box(0, 0, 10, 15))


TABLES = {
    "comma": "sky,128,128,128\nroad,128,64,128\nvoid,0,0,0\n",
    "heading": "name,r,g,b\nsky,128,128,128\nroad,128,64,128\nvoid,0,0,0\n",
    "cvat": "sky:128,128,128::\nroad:128,64,128::\nvoid:0,0,0::\n",
    "words": "128 128 128 sky\n128 64 128\troad\n0 0 0 void\n",
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_colours(tmp_path, table):
    ids = of_boxes((1, box(1, 2, 9, 12)), (2, box(15, 2, 18, 12)))
    save(tmp_path / "in/masks/a.png", np.array([[128, 128, 128], [128, 64, 128], [0, 0, 0]], np.uint8)[ids])
    photo(tmp_path / "in/images/a.png")
    write(tmp_path / "in/colours.txt", table)
    converted = convert(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), np.where(ids == 2, 255, ids))
    assert converted.class_names == ("sky", "road")
    assert not (tmp_path / "out/instances").exists()


def test_colours_of_splits_with_a_table_elsewhere(tmp_path):
    for split in ("train", "val"):
        for i in range(2):
            save(tmp_path / f"in/{split}/masks/{i}.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
            photo(tmp_path / f"in/{split}/images/{i}.png")
    table = write(tmp_path / "table.csv", "a,0,0,0\nb,1,1,1\n")
    convert(tmp_path / "in", tmp_path / "out", colours=table)
    assert ks.data.folder_splits(tmp_path / "out") == ["train", "val"]


def object_masks(tmp_path, *masks, name="a"):
    photo(tmp_path / f"in/{name}/images/{name}.png")
    for i, mask in enumerate(masks):
        save(tmp_path / f"in/{name}/masks/{i}.png", 255 * mask.astype(np.uint8))
    return tmp_path / "in"


def test_one_mask_an_object(tmp_path):
    source = object_masks(tmp_path, box(0, 0, 2, 2), box(0, 2, 2, 4))
    object_masks(tmp_path, name="empty")
    (source / "empty/masks").mkdir()
    converted = convert(source, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out", "a"), box(0, 0, 2, 4))
    instances = of_boxes((1, box(0, 0, 2, 2)), (2, box(0, 2, 2, 4)))
    np.testing.assert_array_equal(read(tmp_path / "out", "a", "instances"), instances)
    assert not read(tmp_path / "out", "empty").any()
    assert converted.class_names == ("background", "object")
    convert(source, tmp_path / "named", class_names=("ground", "nucleus"))
    assert (tmp_path / "named/classes.txt").read_text() == "ground\nnucleus\n"


def test_splits_join_one_by_one(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "v").mkdir()
    convert(coco(tmp_path / "t", CAT_BOX), tmp_path / "out", split="train")
    only_dogs = coco(tmp_path / "v", DOG_BOX, categories=[{"id": 7, "name": "dog"}])
    with pytest.raises(ks.InputError, match="names other classes than these .*--classes"):
        convert(only_dogs, tmp_path / "out", split="val")
    names = ks.data.read_class_names(tmp_path / "out/classes.txt")
    convert(only_dogs, tmp_path / "out", split="val", class_names=names)
    np.testing.assert_array_equal(read(tmp_path / "out/val", "a"), 2 * box(5, 20, 15, 25))
    assert ks.data.folder_splits(tmp_path / "out") == ["train", "val"]
    with pytest.raises(ks.InputError, match="exists already"):
        convert(only_dogs, tmp_path / "out", split="val", class_names=names)


def test_label_maps_come_back_from_polygons(tmp_path):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 4, (5, 6)).repeat(4, 0).repeat(5, 1).astype(np.uint8)
    speckled = np.where(rng.random((HEIGHT, WIDTH)) < 0.1, rng.integers(0, 4, (HEIGHT, WIDTH)), coarse).astype(np.uint8)
    maps = {"coarse.png": coarse, "speckled.png": speckled, "empty.png": np.zeros_like(coarse)}
    for name in maps:
        photo(tmp_path / name)
    names = ("background", "cat", "dog", "cow")
    count = ks.annotations.save_coco(tmp_path / "maps.json", maps.items(), names)
    converted = convert(tmp_path / "maps.json", tmp_path / "out")
    for name, label_map in maps.items():
        np.testing.assert_array_equal(read(tmp_path / "out", Path(name).stem), label_map)
    assert (converted.class_names, converted.objects.total()) == (names, count)


def test_ground_and_void_are_no_objects(tmp_path):
    label_map = np.array([[0, 0, 1, 255]], np.uint8)
    for names, count in (
        (("background", "cat"), 1),
        (("class_0", "class_1"), 1),
        (("sky", "cat"), 2),
        (("cat", "background"), 1),
    ):
        assert ks.annotations.save_coco(tmp_path / "a.json", [("a.png", label_map)], names) == count
