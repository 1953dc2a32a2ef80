"""Small image files of all kinds, drawn at random, and what stands in them."""

import io
import itertools
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# First row and column, and steps, of the seven passes of an interlaced PNG.
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


@dataclass
class Drawn:
    """A file.

    Attributes:
        contents: the file's bytes.
        suffix: the ending of its name.
        kind: a word or two on it.
        rgb: what it shows, uint8 (height, width, 3), as the PNG specification says; None: unknown.
        ids: what it says as a mask, uint8 (height, width); None: unknown.
        refused: whether it must be refused, though Pillow reads it.
        servable: whether a servable takes it.
    """

    contents: bytes
    suffix: str
    kind: str
    rgb: np.ndarray | None = None
    ids: np.ndarray | None = None
    refused: bool = False
    servable: bool = True


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    samples: np.ndarray,
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    palette: np.ndarray | None = None,
    transparent: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
    parts: int = 1,
    filters: Sequence[int] = (0,),
) -> bytes:
    """Write a PNG file of samples (height, width, channels), by the specification alone.

    Args:
        samples: from 0 to 2**depth - 1.
        depth: bits of a sample.
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        interlaced: whether in seven passes.
        palette: uint8 (count, 3).
        transparent: the chunk tRNS.
        before: whole chunks before the pixels.
        after: whole chunks after them.
        parts: chunks of pixels.
        filters: of rows, in turn: 0 none, 1 by the sample to the left, 2 by the row above.
    """
    height, width, channels = samples.shape
    passes = [samples[top::down, left::right] for top, left, down, right in PASSES] if interlaced else [samples]
    raw = b"".join(_rows(part, depth, channels, filters) for part in passes if part.size)
    deflated = zlib.compress(raw)
    ends = np.linspace(0, len(deflated), parts + 1).astype(int)
    pixels = b"".join(chunk(b"IDAT", deflated[a:b]) for a, b in itertools.pairwise(ends))
    return (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
        + before
        + (b"" if palette is None else chunk(b"PLTE", palette.tobytes()))
        + (b"" if transparent is None else chunk(b"tRNS", transparent))
        + pixels
        + after
        + chunk(b"IEND", b"")
    )


def _rows(samples: np.ndarray, depth: int, channels: int, filters: Sequence[int]) -> bytes:
    bits = (samples.reshape(len(samples), -1, 1) >> np.arange(depth)[::-1] & 1).reshape(len(samples), -1)
    rows = np.packbits(bits.astype(np.uint8), axis=1)
    step = max(1, channels * depth // 8)
    result = b""
    for i, row in enumerate(rows):
        kind = filters[i % len(filters)]
        before = np.zeros_like(row)
        if kind == 1:
            before[step:] = row[:-step]
        elif kind == 2 and i:
            before = rows[i - 1]
        result += bytes([kind]) + (row - before).tobytes()
    return result


def exif(orientation: int, *, little: bool = True, kind: int = 3) -> bytes:
    """Return EXIF with an orientation among other entries, without the word Exif before it."""
    order = "<" if little else ">"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    entries = [
        struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0"),
        struct.pack(order + "HHI", ORIENTATION, kind, 1) + value,
        struct.pack(order + "HHII", 0x0100, 4, 1, 7),
    ]
    head = (b"II" if little else b"MM") + struct.pack(order + "HIH", 42, 8, len(entries))
    return head + b"".join(entries) + bytes(4)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels (height, width, ...) upright, as EXIF's specification says where row 0 and column 0 are."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def draw_png(rng: np.random.Generator, height: int, width: int, *, mask: bool = False) -> Drawn:
    """Draw a PNG of any colour type and depth."""
    colour = int(rng.choice([0, 3] if mask else [0, 2, 3, 4, 6]))
    depth = int(rng.choice(DEPTHS[colour][:4] if mask else DEPTHS[colour]))
    channels = CHANNELS[colour]
    samples = rng.integers(0, 2**depth, (height, width, channels))
    if rng.random() < 0.5:  # few values, among which a transparent one is likely
        samples = samples[:1, :1] + np.zeros_like(samples)
        samples[rng.random((height, width)) < 0.5] = rng.integers(0, 2**depth, channels)
    palette = transparent = None
    if colour == 3:
        palette = rng.integers(0, 256, (2**depth, 3), dtype=np.uint8)
    if rng.random() < 0.4:
        if colour == 3:
            transparent = rng.integers(0, 256, int(rng.integers(1, 2**depth + 1)), dtype=np.uint8).tobytes()
            if rng.random() < 0.3:
                transparent = b"\xff" * (len(transparent) - 1) + b"\0"
        elif colour in (0, 2):
            transparent = struct.pack(f">{channels}H", *samples[0, 0])
    orientation = int(rng.integers(1, 9)) if rng.random() < 0.3 else 1
    rotation = b""
    if orientation > 1:
        rotation = chunk(b"eXIf", exif(orientation, little=rng.random() < 0.5, kind=int(rng.choice([3, 3, 4]))))
    if rng.random() < 0.1:
        rotation += chunk(b"tEXt", b"Comment\0what is to be seen")
    late = rng.random() < 0.3
    contents = png(
        samples,
        depth,
        colour,
        interlaced=rng.random() < 0.3,
        palette=palette,
        transparent=transparent,
        before=b"" if late else rotation,
        after=rotation if late else b"",
        parts=int(rng.choice([1, 1, 3])),
        filters=[int(f) for f in rng.integers(0, 3, 4)],
    )
    kind = f"PNG colour {colour}, {depth} bits" + ", tRNS" * (transparent is not None)
    rgb = turned(_seen(samples, depth, colour, palette, transparent), orientation)
    ids = None
    if colour in (0, 3) and samples.max() < 256:
        ids = turned(samples[..., 0].astype(np.uint8), orientation)
    return Drawn(contents, ".png", kind, rgb, ids, refused=colour == 2 and depth == 16 and transparent is not None)


def draw_mask(rng: np.random.Generator, height: int, width: int) -> Drawn:
    """Draw a PNG of class ids that is of this size when it is upright."""
    while True:
        drawn = draw_png(rng, *(int(side) for side in rng.permutation([height, width])), mask=True)
        if drawn.ids is not None and drawn.ids.shape == (height, width):
            return drawn


def cut_off(drawn: Drawn, count: int) -> Drawn:
    """Take bytes from a file's end."""
    kind, refused = f"{drawn.kind}, {count} bytes cut off", drawn.refused or drawn.suffix == ".png"
    return replace(drawn, contents=drawn.contents[:-count], kind=kind, rgb=None, ids=None, refused=refused)


def _seen(
    samples: np.ndarray, depth: int, colour: int, palette: np.ndarray | None, transparent: bytes | None
) -> np.ndarray:
    alpha = np.full(samples.shape[:2], 255)
    if colour == 3:
        assert palette is not None
        rgb = palette[samples[..., 0]].astype(int)
        if transparent is not None:
            alpha = np.array([*transparent, *[255] * (2**depth - len(transparent))])[samples[..., 0]]
    else:
        # Grey of 16 bits is rounded to 8; of colours, Pillow and TensorFlow take the upper 8 bits.
        levels = samples >> 8 if depth == 16 and colour else np.round(samples * 255 / (2**depth - 1)).astype(int)
        if transparent is not None:
            key = struct.unpack(f">{samples.shape[-1]}H", transparent)
            alpha = np.where((samples == key).all(-1), 0, 255)
        elif colour in (4, 6):
            alpha = levels[..., -1]
        rgb = np.repeat(levels[..., :1], 3, -1) if colour in (0, 4) else levels[..., :3]
    return np.round((rgb * alpha[..., None] + 255 * (255 - alpha[..., None])) / 255).astype(np.uint8)


def draw(rng: np.random.Generator, height: int, width: int) -> Drawn:
    """Draw a file of any format."""
    ways = [draw_png, _jpeg, _bmp, _webp, _gif, _tiff, _pillows_png]
    return ways[rng.choice(len(ways), p=[0.4, 0.25, 0.05, 0.05, 0.05, 0.1, 0.1])](rng, height, width)


def _picture(rng: np.random.Generator, height: int, width: int, mode: str) -> Image.Image:
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if rng.random() < 0.5:  # smooth
        pixels = (np.linspace(0, 255, height)[:, None, None] * np.linspace(0, 1, width)[:, None]).astype(
            np.uint8
        ) ^ pixels[0, 0]
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.uint16))
    if mode in ("I", "F"):
        return Image.fromarray(rng.integers(0, 2**20, (height, width)).astype({"I": np.int32, "F": np.float32}[mode]))
    if mode == "CMYK":
        return Image.frombytes("CMYK", (width, height), np.ascontiguousarray(pixels).tobytes())
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture if mode == "RGBA" else picture.convert("RGB").convert(mode)


def _encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def _jpeg(rng: np.random.Generator, height: int, width: int) -> Drawn:
    mode = str(rng.choice(["L", "RGB", "RGB", "RGB", "CMYK"]))
    options: dict[str, object] = {"quality": int(rng.integers(1, 101)), "progressive": bool(rng.random() < 0.3)}
    if mode == "RGB":
        options |= {"keep_rgb": True} if rng.random() < 0.2 else {"subsampling": int(rng.integers(0, 3))}
    if rng.random() < 0.2:
        options["restart_marker_blocks"] = 1
    kind = f"JPEG {mode}"
    contents = _encoded(_picture(rng, height, width, mode), "JPEG", **options)
    draws = rng.random(3)
    if draws[0] < 0.4:
        data = b"Exif\0\0" + exif(int(rng.integers(1, 9)), little=rng.random() < 0.5)
        segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
        at = 2 if rng.random() < 0.5 else 4 + struct.unpack(">H", contents[4:6])[0]  # before or after APP0
        contents = contents[:at] + segment + contents[at:]
        kind += ", EXIF"
    if draws[1] < 0.05:
        contents += b"\0" * int(rng.integers(1, 9)) if rng.random() < 0.5 else b"trailer"
        kind += ", trailer"
    servable = mode != "CMYK"
    if draws[2] < 0.05:
        turn = int(rng.integers(1, 9))
        servable &= turn == 1 or draws[0] < 0.4
        text = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="%d"/>' % turn
        contents = contents[:2] + b"\xff\xe1" + struct.pack(">H", len(text) + 2) + text + contents[2:]
        kind += ", XMP"
    return Drawn(contents, ".jpg", kind, servable=servable)


def _pillows_png(rng: np.random.Generator, height: int, width: int) -> Drawn:
    mode = str(rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]))
    picture = _picture(rng, height, width, mode)
    options: dict[str, object] = {}
    if mode in ("1", "L", "P") and rng.random() < 0.3:
        options["transparency"] = int(rng.choice([0, 255])) if mode == "1" else int(rng.integers(0, 256))
    if rng.random() < 0.3:
        options["exif"] = b"Exif\0\0" + exif(int(rng.integers(1, 9)))
    return Drawn(_encoded(picture, "PNG", **options), ".png", f"Pillow's PNG {mode}")


def _bmp(rng: np.random.Generator, height: int, width: int) -> Drawn:
    mode = str(rng.choice(["1", "L", "P", "RGB", "RGBA"]))
    return Drawn(_encoded(_picture(rng, height, width, mode), "BMP"), ".bmp", f"BMP {mode}")


def _webp(rng: np.random.Generator, height: int, width: int) -> Drawn:
    mode = str(rng.choice(["RGB", "RGBA"]))
    options: dict[str, object] = {"lossless": bool(rng.random() < 0.5)}
    if rng.random() < 0.3:
        options["exif"] = exif(int(rng.integers(1, 9)))
    return Drawn(_encoded(_picture(rng, height, width, mode), "WEBP", **options), ".webp", f"WebP {mode}")


def _gif(rng: np.random.Generator, height: int, width: int) -> Drawn:
    mode = str(rng.choice(["1", "L", "P", "RGBA"]))
    options: dict[str, object] = {}
    if rng.random() < 0.3:
        options |= {"save_all": True, "append_images": [_picture(rng, height, width, mode)]}
    return Drawn(_encoded(_picture(rng, height, width, mode), "GIF", **options), ".gif", f"GIF {mode}")


def _tiff(rng: np.random.Generator, height: int, width: int) -> Drawn:
    mode = str(rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"]))
    picture = _picture(rng, height, width, mode)
    options: dict[str, object] = {"compression": str(rng.choice(["raw", "tiff_adobe_deflate", "tiff_lzw", "packbits"]))}
    kind = f"TIFF {mode}"
    if rng.random() < 0.1:
        options |= {"save_all": True, "append_images": [picture]}
        kind += ", 2 pages"
    if rng.random() < 0.3:
        options["tiffinfo"] = {ORIENTATION: int(rng.integers(1, 9))}
    return Drawn(_encoded(picture, "TIFF", **options), ".tif", kind)


def pillows_reading(contents: bytes) -> np.ndarray | None:
    """Read an image with Pillow alone, as uint8 (height, width, 3); None if it cannot or must not be read."""
    try:
        image = Image.open(io.BytesIO(contents))
        if image.format == "TIFF" and (image.n_frames > 1 or image.mode in ("I", "F")):
            return None
        image.load()
    except (OSError, SyntaxError, ValueError, TypeError):
        return None
    ends = {"PNG": chunk(b"IEND", b""), "JPEG": b"\xff\xd9"}
    if ends.get(str(image.format), b"") not in contents:
        return None
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I;16", "I;16B"):
        levels = np.asarray(image).astype(np.float64) / 257
        levels[np.asarray(image) == image.info.get("transparency")] = 255
        return np.repeat(np.floor(levels + 0.5).astype(np.uint8)[..., None], 3, -1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image.getchannel("A"))
        return np.asarray(page)
    return np.asarray(image.convert("RGB"))
