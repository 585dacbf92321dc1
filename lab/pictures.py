"""Small pictures and clips for tests: drawn here from a fixed seed, in the formats and odd sizes that people send."""
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import video


def scene(width: int, height: int, seed: int) -> Image.Image:
    """A gradient with a few shapes, a line of text and fine detail that resampling must get right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1), np.full((height, width), 90 + seed % 100)], -1)
    picture = Image.fromarray(base.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for i in range(5):
        x0, y0 = rng.integers(0, max(width * 2 // 3, 1)), rng.integers(0, max(height * 2 // 3, 1))
        x1, y1 = x0 + rng.integers(4, width // 2 + 5), y0 + rng.integers(4, height // 2 + 5)
        shape = draw.ellipse if i % 2 else draw.rectangle
        shape([int(v) for v in (x0, y0, x1, y1)], fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    draw.text((3, 3), "Exit 42", fill=(255, 255, 255))
    for i in range(0, width, 3):
        draw.point((i, height - 2), fill=(0, 0, 0))
    return picture


def moving_ball(frames: int, width: int, height: int) -> np.ndarray:
    out = []
    for i in range(frames):
        picture = Image.new("RGB", (width, height), (40, 60, 90 + 5 * i))
        x = i * (width - 16) // max(frames - 1, 1)
        ImageDraw.Draw(picture).ellipse((x, height // 3, x + 15, height // 3 + 15), fill=(250, 200, 20))
        out.append(np.array(picture))
    return np.stack(out)


def write_media(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scene(150, 101, 1).save(folder / "shapes.png", optimize=True)
    scene(211, 64, 2).save(folder / "wide.png", optimize=True)
    scene(23, 40, 3).save(folder / "small.png", optimize=True)
    alpha = scene(75, 60, 4).convert("RGBA")
    alpha.putalpha(Image.fromarray((np.mgrid[0:60, 0:75][1] * 255 // 74).astype(np.uint8)))
    alpha.save(folder / "alpha.png", optimize=True)
    scene(90, 70, 5).quantize(32).save(folder / "palette.png", optimize=True)
    scene(64, 96, 6).convert("L").save(folder / "gray.webp", lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    scene(131, 97, 7).save(folder / "turned.jpg", quality=90, exif=exif)
    video.write_avi(folder / "ball.avi", moving_ball(9, 72, 50), 4)
    video.write_avi(folder / "long.avi", moving_ball(25, 48, 64), 10)
