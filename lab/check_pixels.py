"""Checks pixels.py against what is installed: torch's own uint8 antialiased bicubic (the function torchvision calls) and
transformers' smart_resize, patchify and alpha rules.

usage: python check_pixels.py [COUNT]"""
import ast
import math
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from transformers.image_transforms import convert_to_rgb
from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as image_source

import pixels


def torch_resize(rgb: np.ndarray, height: int, width: int, channels_last: bool) -> np.ndarray:
    x = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x.contiguous()
    y = torch.nn.functional.interpolate(x, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return y[0].permute(1, 2, 0).numpy()


def installed_functions(module: str, *names: str) -> list:
    """Functions out of a transformers source file that cannot be imported without torchvision."""
    tree = ast.parse((Path(transformers.__file__).parent / module).read_text())
    found = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in names}
    scope = {"math": math, "torch": torch}
    exec(compile(ast.Module([found[name] for name in names], []), module, "exec"), scope)
    return [scope[name] for name in names]


def same_or_both_fail(ours, theirs) -> bool:
    try:
        expected = theirs()
    except ValueError:
        expected = None
    try:
        return ours() == expected
    except pixels.PixelError:
        return expected is None


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    rng = np.random.default_rng(0)
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        sys.exit("torch resizes uint8 natively only with AVX2: nothing to compare with here")
    for i in range(count):
        h, w = rng.integers(3, 200, 2)
        out_h, out_w = (h if i % 5 == 0 else rng.integers(1, 300)), (w if i % 7 == 0 else rng.integers(1, 300))
        rgb = rng.integers(0, 256, (h, w, 3), np.uint8) if i % 2 else np.kron(
            rng.integers(0, 2, (h // 3 + 1, w // 3 + 1, 3), np.uint8) * 255, np.ones((3, 3, 1), np.uint8))[:h, :w]
        mine = pixels.resize(np.ascontiguousarray(rgb), out_h, out_w)
        for channels_last in (False, True):
            theirs = torch_resize(np.ascontiguousarray(rgb), int(out_h), int(out_w), channels_last)
            difference = np.abs(mine.astype(int) - theirs).max()
            assert difference == 0, (h, w, out_h, out_w, channels_last, difference)
    video_resize, patchify = installed_functions("models/qwen3_vl/video_processing_qwen3_vl.py", "smart_resize", "patchify")
    for _ in range(20000):
        h, w, frames = (int(x) for x in (rng.integers(1, 4000), rng.integers(1, 4000), rng.integers(1, 40)))
        low, high = int(rng.integers(1, 10 ** 6)), int(rng.integers(10 ** 6, 3 * 10 ** 7))
        assert same_or_both_fail(lambda: pixels.smart_resize(h, w, 32, low, high),
                                 lambda: image_source.smart_resize(h, w, 32, low, high))
        assert same_or_both_fail(lambda: pixels.smart_resize_video(frames, h, w, 2, 32, low, high),
                                 lambda: video_resize(frames, h, w, 2, 32, low, high))
    frames = rng.integers(0, 256, (6, 64, 96, 3), np.uint8)
    patches, t, h, w = patchify(
        None, torch.from_numpy(frames).permute(0, 3, 1, 2)[None].contiguous(), 16, 2, 2)
    mine, grid = pixels.patchify(frames)
    assert grid == (t, h, w) and np.array_equal(mine, patches[0].numpy())
    rgba = Image.fromarray(rng.integers(0, 256, (40, 50, 4), np.uint8), "RGBA")
    composed = Image.alpha_composite(Image.new("RGBA", rgba.size, (255,) * 4), rgba).convert("RGB")
    assert np.array_equal(np.array(composed), convert_to_rgb(rgba, return_numpy=True))
    print(f"resize: {count} cases equal to torch; smart_resize: 40,000 equal; patchify, alpha equal")


if __name__ == "__main__":
    main()
