"""Pictures and clips through `weft dump`, back to the bytes that its decoders made, and the same by Pillow and ffmpeg.

A picture whose sides are multiples of 32 and whose area lies within the request's budget is not resized, so pixel_values hold
exactly the decoded bytes, normalised."""
import base64
import io
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from parity import weft

MODEL = Path(__file__).resolve().parent.parent / "golden" / "models" / "dense_tied" / "model"
PATCH, MERGE, TEMPORAL = 16, 2, 2
BUDGET = {"min_pixels": 32 * 32, "max_pixels": 1 << 24}


def data_url(data: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64," + base64.b64encode(data).decode()


def dump(parts: list[dict], stages: str, folder: str, text: str = "What is this?") -> Path:
    """Runs one request with these parts; returns the folder with the arrays."""
    request, out = Path(folder, "request.json"), Path(folder, "out")
    request.write_text(json.dumps({"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]}))
    weft("dump", "--model", str(MODEL), "--request", str(request), "--out", str(out), "--stages", stages)
    return out


def frames_of(values: np.ndarray, grid) -> np.ndarray:
    """pixel_values of one picture or clip -> uint8 frames [2 * t, height, width, 3]."""
    t, h, w = (int(n) for n in grid)
    blocks = values.reshape(t, h // MERGE, w // MERGE, MERGE, MERGE, 3, TEMPORAL, PATCH, PATCH)
    frames = blocks.transpose(0, 6, 1, 3, 7, 2, 4, 8, 5).reshape(t * TEMPORAL, h * PATCH, w * PATCH, 3)
    return np.rint((frames * 0.5 + 0.5) * 255).astype(np.uint8)


def decoded_pictures(files: list[bytes]) -> list[np.ndarray]:
    """Every picture as weft decodes it, all in one request."""
    with tempfile.TemporaryDirectory() as folder:
        out = dump([{"type": "image_url", "image_url": {"url": data_url(data)}, **BUDGET} for data in files], "pixels", folder)
        values, grids = np.load(out / "pixel_values.npy"), np.load(out / "image_grid_thw.npy")
    ends = np.cumsum(grids.prod(-1))
    return [frames_of(values[end - grid.prod():end], grid)[0] for end, grid in zip(ends, grids)]


def decoded_clip(data: bytes, **options) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Frames [2 * t, height, width, 3], grid, and the timestamps that the prompt shows."""
    part = {"type": "video_url", "video_url": {"url": data_url(data)}, **options}
    return decoded_part(part)


def decoded_part(part: dict) -> tuple[np.ndarray, np.ndarray, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        out = dump([part], "pixels,ids", folder)
        grid = np.load(out / "video_grid_thw.npy")[0]
        frames = frames_of(np.load(out / "video_pixel_values.npy"), grid)
        ids = np.load(out / "input_ids.npy").tolist()
        Path(folder, "ids.jsonl").write_text(json.dumps(ids) + "\n")
        text = json.loads(weft("detokenize", "--model", str(MODEL), "--file", str(Path(folder, "ids.jsonl"))).splitlines()[0])
    return frames, grid, stamps(text)


def stamps(text: str) -> list[str]:
    return [piece.rsplit("<", 1)[1] for piece in text.split(" seconds>")[:-1]]


# ---- pictures by Pillow ---------------------------------------------------------------------------------------------

def upright_srgb(data: bytes) -> np.ndarray:
    """exif_transpose, ImageCms to sRGB, transparency on white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    profile = image.info.get("icc_profile")
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
    if image.mode == "P":
        image = image.convert("RGB")
    if profile:
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        image = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=mode)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def waves(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """Smooth colours with a little noise: no two pixels alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin(x / (5 + 2 * k) + y / (4 + k) + seed) + rng.normal(0, 5, x.shape) for k in range(channels)]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


# ---- clips by ffmpeg ------------------------------------------------------------------------------------------------

def ffmpeg(*arguments: str, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], input=stdin, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout


def probe_times(path: Path) -> list[float]:
    """Presentation times of the frames, as ffprobe prints them."""
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)],
                          capture_output=True, text=True, timeout=120, check=True)
    return [float(line.split(",")[0]) for line in done.stdout.split()]


def all_frames(path: Path, width: int, height: int) -> np.ndarray:
    """Every frame as ffmpeg decodes it: [frames, height, width, 3]. Frames stay as many as there are."""
    raw = ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-sws_flags", "bilinear", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
