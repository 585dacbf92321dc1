"""The published image and video processors in numpy.

Sources: smart_resize of transformers' models/qwen2_vl/image_processing_qwen2_vl.py and
models/qwen3_vl/video_processing_qwen3_vl.py (Apache-2.0); the resampling arithmetic is that of torch's antialiased
bicubic on uint8 (what torchvision calls), written from its description and checked against torch itself in
check_pixels.py. Alpha is composed onto white by Pillow, as transformers' convert_to_rgb does."""
import math

import numpy as np
from PIL import Image, ImageOps


class PixelError(ValueError):
    pass


def smart_resize(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    if max(height, width) / min(height, width) > 200:
        raise PixelError("aspect ratio is over 200")
    h_bar, w_bar = round(height / factor) * factor, round(width / factor) * factor
    if h_bar * w_bar > max_pixels:
        beta = math.sqrt(height * width / max_pixels)
        h_bar = max(factor, math.floor(height / beta / factor) * factor)
        w_bar = max(factor, math.floor(width / beta / factor) * factor)
    elif h_bar * w_bar < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        h_bar = math.ceil(height * beta / factor) * factor
        w_bar = math.ceil(width * beta / factor) * factor
    return h_bar, w_bar


def smart_resize_video(frames: int, height: int, width: int, temporal: int, factor: int, min_pixels: int,
                       max_pixels: int) -> tuple[int, int]:
    if frames < temporal:
        raise PixelError("too few frames")
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) / min(height, width) > 200:
        raise PixelError("aspect ratio is over 200")
    h_bar, w_bar = round(height / factor) * factor, round(width / factor) * factor
    t_bar = round(frames / temporal) * temporal
    if t_bar * h_bar * w_bar > max_pixels:
        beta = math.sqrt(frames * height * width / max_pixels)
        h_bar = max(factor, math.floor(height / beta / factor) * factor)
        w_bar = max(factor, math.floor(width / beta / factor) * factor)
    elif t_bar * h_bar * w_bar < min_pixels:
        beta = math.sqrt(min_pixels / (frames * height * width))
        h_bar = math.ceil(height * beta / factor) * factor
        w_bar = math.ceil(width * beta / factor) * factor
    return h_bar, w_bar


def _cubic(x: float) -> float:
    """The Keys kernel with a = -0.5."""
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    if x < 2.0:
        return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return 0.0


def _taps(size_in: int, size_out: int) -> tuple[list, int]:
    """For each output index (first input index, int16 weights), and the fixed-point precision."""
    scale = size_in / size_out
    stretch = max(scale, 1.0)
    support = 2.0 * stretch
    rows, largest = [], 0.0
    for i in range(size_out):
        centre = scale * (i + 0.5)
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), size_in)
        weights = [_cubic((j + low - centre + 0.5) / stretch) for j in range(high - low)]
        total = sum(weights)
        weights = [w / total for w in weights] if total else weights
        largest = max(largest, max(weights))
        rows.append((low, weights))
    precision = 0
    while precision < 22 and int(0.5 + largest * (1 << (precision + 1))) < (1 << 15):
        precision += 1
    fixed = [(low, np.array([int(w * (1 << precision) + math.copysign(0.5, w)) for w in weights], np.int64))
             for low, weights in rows]
    return fixed, precision


def _pass(rgb: np.ndarray, size_out: int, axis: int) -> np.ndarray:
    if rgb.shape[axis] == size_out:
        return rgb
    taps, precision = _taps(rgb.shape[axis], size_out)
    source = np.moveaxis(rgb, axis, 0).astype(np.int64)
    out = np.empty((size_out,) + source.shape[1:], np.uint8)
    for i, (low, weights) in enumerate(taps):
        total = np.tensordot(weights, source[low:low + len(weights)], axes=1) + (1 << (precision - 1))
        out[i] = np.clip(total >> precision, 0, 255)
    return np.moveaxis(out, 0, axis)


def resize(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """[h, w, 3] uint8 to [height, width, 3]: horizontal pass first, uint8 between the passes."""
    return np.ascontiguousarray(_pass(_pass(rgb, width, 1), height, 0))


def load_image(path) -> np.ndarray:
    """[h, w, 3] uint8: EXIF orientation applied, alpha composed onto white."""
    image = ImageOps.exif_transpose(Image.open(path))
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"))


def patchify(frames: np.ndarray, patch: int = 16, merge: int = 2, temporal: int = 2) -> tuple[np.ndarray, tuple]:
    """[frames, h, w, 3] uint8 -> ([patches, 3*temporal*patch*patch] uint8, (t, h, w)): 2x2 block by block, values in the
    order (channel, t, y, x). One frame is used twice; an odd count repeats its last."""
    if pad := -len(frames) % temporal:
        frames = np.concatenate([frames, np.repeat(frames[-1:], pad, 0)])
    count, height, width, channels = frames.shape
    t, h, w = count // temporal, height // patch, width // patch
    x = frames.transpose(0, 3, 1, 2).reshape(t, temporal, channels, h // merge, merge, patch, w // merge, merge, patch)
    x = x.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return np.ascontiguousarray(x.reshape(t * h * w, channels * temporal * patch * patch)), (t, h, w)


def normalise(patches: np.ndarray, mean, std) -> np.ndarray:
    """Fused as in transformers' torchvision backend: (x - 255*mean) / (255*std) in f32."""
    per_channel = patches.shape[1] // 3
    mean = np.repeat(np.float32(mean) * np.float32(255), per_channel)
    std = np.repeat(np.float32(std) * np.float32(255), per_channel)
    return (patches.astype(np.float32) - mean) / std


def image_patches(rgb: np.ndarray, min_pixels: int, max_pixels: int) -> tuple[np.ndarray, tuple]:
    height, width = smart_resize(rgb.shape[0], rgb.shape[1], 32, min_pixels, max_pixels)
    return patchify(resize(rgb, height, width)[None])


def sample_frames(total: int, native_fps: float, fps: float = 2.0, low: int = 4, high: int = 768) -> np.ndarray:
    count = min(max(int(total / native_fps * fps), low), high, total)
    return np.linspace(0, total - 1, count).round().astype(int)


def video_patches(frames: np.ndarray, min_pixels: int, max_pixels: int) -> tuple[np.ndarray, tuple]:
    """`frames`: the sampled ones, before an odd count is padded."""
    height, width = smart_resize_video(len(frames), frames.shape[1], frames.shape[2], 2, 32, min_pixels, max_pixels)
    return patchify(np.stack([resize(f, height, width) for f in frames]))


def timestamps(indices, native_fps: float) -> list[float]:
    """Mean time in seconds of each pair of sampled frames."""
    indices = list(indices) + ([indices[-1]] if len(indices) % 2 else [])
    times = [i / native_fps for i in indices]
    return [(times[i] + times[i + 1]) / 2 for i in range(0, len(times), 2)]
