"""Makes tests/worker/fixtures: small pictures and clips of every kind, and the pixels that Pillow and PyAV read from them.

<name>.<type> is the file. expected.bin holds one record a picture: name NUL, u32 width, u32 height, RGB rows; the RGB is
what convert_to_rgb of transformers makes of the upright picture (transparency composed onto white). clips.txt holds, a
line each: file, total frames, mean rate, then for every frame its time and an Adler-32 of its RGB.

colour.heic is waves(64, 96, 3, 1) saved by pillow-heif 1.x at quality 90 and no part of this script, since few machines have an
HEVC coder.

Needs PyAV beside lab/requirements.txt: pip install av==18.1.0.    usage: python media_fixtures.py [--out DIR]"""
import argparse
import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parent.parent / "tests" / "worker" / "fixtures"


def waves(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """Smooth colours with a little noise: what lossy coders are made for, yet no two pixels alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin(x / (5 + 2 * k) + y / (4 + k) + seed) + rng.normal(0, 5, x.shape) for k in range(channels)]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def upright_rgb(data: bytes) -> np.ndarray:
    """exif_transpose, then transformers' convert_to_rgb for pictures."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def raw_png(width: int, height: int, depth: int, colour: int, rows: list[bytes], chunks: dict | None = None,
            interlace: bool = False) -> bytes:
    """A PNG of a kind that Pillow does not write; `rows` without filter bytes (all passes one after the other)."""
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    extra = b"".join(chunk(name, body) for name, body in (chunks or {}).items())
    return (b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
            + chunk(b"IEND", b""))


def interlaced_rows(pixels: np.ndarray) -> list[bytes]:
    """Adam7: seven passes over ever finer grids."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    return [row.tobytes() for y, x, dy, dx in passes for row in pixels[y::dy, x::dx] if row.size]


def pictures() -> dict[str, bytes]:
    rgb, grey = Image.fromarray(waves(29, 37, 3, 1)), Image.fromarray(waves(29, 37, 1, 2)[..., 0])
    rgba, la, cmyk = (Image.fromarray(waves(23, 31, n, n), mode) for n, mode in ((4, "RGBA"), (2, "LA"), (4, "CMYK")))
    small = Image.fromarray(waves(5, 7, 3, 3))
    files = {"colour.jpg": saved(rgb, "JPEG", quality=90), "sharp.jpg": saved(rgb, "JPEG", quality=95, subsampling=0),
             "wide.jpg": saved(rgb, "JPEG", quality=60, subsampling=1), "grey.jpg": saved(grey, "JPEG"),
             "progressive.jpg": saved(rgb, "JPEG", progressive=True), "cmyk.jpg": saved(cmyk, "JPEG"),
             "one.jpg": saved(Image.fromarray(waves(1, 1, 3, 4)), "JPEG"),
             "xmp.jpg": saved(small, "JPEG", xmp=b'<x tiff:Orientation="6"/>'),
             "colour.png": saved(rgb, "PNG"), "alpha.png": saved(rgba, "PNG"), "grey.png": saved(grey, "PNG"),
             "grey_alpha.png": saved(la, "PNG"), "palette.png": saved(rgb.quantize(40), "PNG"),
             "palette2.png": saved(rgb.quantize(3), "PNG"), "bits.png": saved(grey.convert("1"), "PNG"),
             "palette_key.png": saved(rgb.quantize(40), "PNG", transparency=3),
             "palette_alpha.png": saved(rgb.quantize(40), "PNG", transparency=bytes(range(0, 240, 6))),
             "key.png": saved(rgb, "PNG", transparency=rgb.getpixel((3, 3))),
             "grey_key.png": saved(grey, "PNG", transparency=grey.getpixel((3, 3))),
             "lossy.webp": saved(rgb, "WEBP", quality=80), "lossless.webp": saved(rgb, "WEBP", lossless=True),
             "alpha.webp": saved(rgba, "WEBP", quality=80), "alpha_lossless.webp": saved(rgba, "WEBP", lossless=True),
             "animated.webp": saved(rgba, "WEBP", save_all=True, append_images=[rgba.rotate(180)], duration=100)}
    for orientation in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[f"turn{orientation}.jpg"] = saved(small, "JPEG", exif=exif, quality=95)
    files["turn6.png"], files["turn8.webp"] = saved(small, "PNG", exif=_turned(6)), saved(small, "WEBP", exif=_turned(8))
    rng = np.random.default_rng(5)
    for name, colour, channels in (("grey16", 0, 1), ("colour16", 2, 3), ("grey_alpha16", 4, 2), ("alpha16", 6, 4)):
        deep = rng.integers(0, 600 if colour == 0 else 65536, (9, 13, channels)).astype(">u2")
        files[f"{name}.png"] = raw_png(13, 9, 16, colour, [row.tobytes() for row in deep])
    pixels = waves(11, 13, 4, 6)
    files["interlaced.png"] = raw_png(13, 11, 8, 2, interlaced_rows(np.ascontiguousarray(pixels[..., :3])), interlace=True)
    files["interlaced_alpha.png"] = raw_png(13, 11, 8, 6, interlaced_rows(pixels), interlace=True)
    files["grey4.png"] = raw_png(6, 3, 4, 0, [bytes([0x01, 0x5A, 0xFE])] * 3)
    return files


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def clip(container: str, codec: str, frames: int = 48, rate: int = 12, uneven: bool = False, **options) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, options={k.replace("_", "-"): v for k, v in options.items()})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000) if uneven else Fraction(1, rate)
        stream.codec_context.thread_count = 1
        for i in range(frames):
            y, x = np.mgrid[0:32, 0:64]
            rgb = np.stack([(x * 3 + i * 5) % 256, (y * 6 + i * 3) % 256, np.full_like(x, i * 5 % 256)], -1)
            frame = av.VideoFrame.from_ndarray(rgb.astype(np.uint8), "rgb24")
            frame.time_base, frame.pts = stream.codec_context.time_base, i * 80 + i % 3 * 17 if uneven else i
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return buffer.getvalue()


def clips() -> dict[str, bytes]:
    return {"b_frames.mp4": clip("mp4", "libx264", g="8", bf="3"), "uneven.mkv": clip("matroska", "libx264", uneven=True, g="10"),
            "open_groups.mp4": clip("mp4", "libx265", x265_params="open-gop=1:keyint=8:bframes=3:log-level=none:info=0"),
            "short.webm": clip("webm", "libvpx-vp9", frames=15), "uncounted.ts": clip("mpegts", "mpeg2video", frames=30, rate=25),
            "plain.avi": clip("avi", "mpeg4", frames=20)}


def clip_line(name: str, data: bytes) -> str:
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        rows = [(float(f.pts * f.time_base) if f.pts is not None else None, f.to_ndarray(format="rgb24"))
                for f in file.decode(stream)]
        rate = float(stream.average_rate)
    first = rows[0][0] or 0.0
    times = [first + i / rate if t is None else t for i, (t, _) in enumerate(rows)]
    sums = [zlib.adler32(np.ascontiguousarray(rgb).tobytes()) for _, rgb in rows]
    return f"{name} {len(rows)} {rate:.9g} " + " ".join(f"{t:.6f} {s}" for t, s in zip(times, sums))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for name, data in pictures().items():
        (out / name).write_bytes(data)
        rgb = upright_rgb(data)
        records.append(name.encode() + b"\0" + struct.pack("<II", rgb.shape[1], rgb.shape[0]) + rgb.tobytes())
    (out / "expected.bin").write_bytes(b"".join(records))
    lines = []
    for name, data in clips().items():
        (out / name).write_bytes(data)
        lines.append(clip_line(name, data))
    (out / "clips.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
