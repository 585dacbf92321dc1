"""Tiny clips whose decoded pixels are known exactly: AVI with one PNG per frame (codec tag MPNG), written and read here.

Layout: RIFF 'AVI ' { LIST 'hdrl' { avih, LIST 'strl' { strh, strf } }, LIST 'movi' { 00dc … }, idx1 }."""
import io
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image


def _chunk(tag: bytes, body: bytes) -> bytes:
    return tag + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def write_avi(path, frames: np.ndarray, fps: float) -> None:
    """`frames` [n, h, w, 3] uint8 at a constant rate."""
    count, height, width, _ = frames.shape
    rate = Fraction(fps).limit_denominator(1001)
    pictures = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG", optimize=True)
        pictures.append(buffer.getvalue())
    largest = max(map(len, pictures))
    avih = struct.pack("<14I", round(1_000_000 / rate), 0, 0, 0x10, count, 0, 1, largest, width, height, 0, 0, 0, 0)
    strh = b"vidsMPNG" + struct.pack("<IHHIIIIIIIIHHHH", 0, 0, 0, 0, rate.denominator, rate.numerator, 0, count, largest,
                                     0xFFFFFFFF, 0, 0, 0, width, height)
    strf = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MPNG", width * height * 3, 0, 0, 0, 0)
    header = _chunk(b"LIST", b"hdrl" + _chunk(b"avih", avih) + _chunk(b"LIST", b"strl" + _chunk(b"strh", strh) + _chunk(b"strf", strf)))
    movie, index = b"movi", b""
    for picture in pictures:
        index += b"00dc" + struct.pack("<III", 0x10, len(movie), len(picture))
        movie += _chunk(b"00dc", picture)
    Path(path).write_bytes(_chunk(b"RIFF", b"AVI " + header + _chunk(b"LIST", movie) + _chunk(b"idx1", index)))


def read_avi(path) -> tuple[np.ndarray, float]:
    """([n, h, w, 3] uint8, frames a second) of a file written by write_avi."""
    data = Path(path).read_bytes()
    at = data.index(b"strh") + 8
    scale, rate = struct.unpack_from("<II", data, at + 20)
    frames, at = [], data.index(b"movi") + 4
    while data[at:at + 4] == b"00dc":
        size = struct.unpack_from("<I", data, at + 4)[0]
        frames.append(np.array(Image.open(io.BytesIO(data[at + 8:at + 8 + size])).convert("RGB")))
        at += 8 + size + (size & 1)
    return np.stack(frames), rate / scale
