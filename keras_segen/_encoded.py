"""Encoded images, looked at before decoding: whether the file is complete, and which decoder reads it exactly."""

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Markers of a JPEG's tables, among those of its frame.
TABLES = (0xC4, 0xC8, 0xCC)
# How wide and high a JPEG's three channels are where TensorFlow interpolates colours as Pillow does.
SAMPLINGS = [b"\x11\x11\x11", b"\x21\x11\x11", b"\x22\x11\x11"]

# What is said of files that are refused, here and by servables.
DAMAGED = "is damaged or truncated"
UNCLEAR = "has 16 bits and one transparent colour: save it with an alpha channel"
NOT_PLAIN = "is a JPEG in CMYK or of an unusual kind: save it as an ordinary RGB JPEG or as PNG"


def png_chunks(contents: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the name and the data of each chunk of a PNG file, up to its end, IEND.

    Pillow reads files whose end is missing, and TensorFlow does not.

    Raises:
        ValueError: If a chunk is cut off or has a wrong checksum, or IEND is missing.
    """
    view, at = memoryview(contents), len(SIGNATURE)
    while True:
        length = int.from_bytes(view[at : at + 4], "big")
        name, data, checksum = bytes(view[at + 4 : at + 8]), view[at + 8 : at + 8 + length], at + 8 + length
        if checksum + 4 > len(contents):
            raise ValueError("its end is missing")
        if zlib.crc32(data, zlib.crc32(name)) != int.from_bytes(view[checksum : checksum + 4], "big"):
            raise ValueError(f"wrong checksum of {name.decode('ascii', 'replace')}")
        yield name, data
        if name == b"IEND":
            return
        at = checksum + 4


def jpeg_segments(contents: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the data of each segment of a JPEG file, up to the pixels.

    Pillow reads some files whose end is missing, and TensorFlow does not.

    Raises:
        ValueError: If no end follows.
    """
    at = 2
    while at + 4 <= len(contents) and contents[at] == 0xFF and contents[at + 1] != 0xDA:  # start of scan
        marker = contents[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD9 or marker == 1:  # fill bytes, and markers without data
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(contents[at + 2 : at + 4], "big")
        yield marker, contents[at + 4 : at + 2 + length]
        at += 2 + length
    if contents.find(b"\xff\xd9", at) < 0:
        raise ValueError("its end is missing")


def plain_jpeg(contents: bytes) -> bool:
    """Tell whether a JPEG is of a kind that TensorFlow decodes exactly as Pillow does.

    This is 8 bits a channel, Huffman-coded, sequential or progressive; grey, or three channels of which the last two
    are as large as the first, half as wide, or half as wide and high; and nothing after the end but zeros.
    """
    if not contents.rstrip(b"\0").endswith(b"\xff\xd9"):
        return False
    frame = next(
        ((m, data) for m, data in jpeg_segments(contents) if 0xC0 <= m <= 0xCF and m not in (0xC4, 0xCC)), None
    )
    if frame is None or frame[0] > 0xC2:
        return False
    bits, sampling = frame[1][0], frame[1][7::3]
    return bits == 8 and (len(sampling) == 1 or sampling in SAMPLINGS)
