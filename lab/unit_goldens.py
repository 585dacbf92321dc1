"""Makes the small tables that C unit tests read: tests/golden/{quants,resize,rope,smart_resize.json,video_sampling.json,
positions.json}.

Sources: gguf.quants for dequantisation, torch's uint8 antialiased bicubic for resizing, transformers' ROPE_INIT_FUNCTIONS
and get_rope_index, smart_resize of the published processors (pixels.py, checked against them in check_pixels.py).

usage: python unit_goldens.py [OUT_DIR]"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import quants
from transformers import AutoModelForImageTextToText, Qwen3VLTextConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding

import models
import pictures
import pixels
from goldens import GOLDEN

QUANT_TYPES = [Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K]
F16_FIELDS = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
              Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}


def make_quants(out: Path) -> None:
    """<type>.bin: random blocks; <type>.npy: what gguf makes of them, f32. Scales are finite f16, subnormal and negative
    ones among them; every other bit is random. f8_e4m3: all 256 codes, NaN included."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    for kind in QUANT_TYPES:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = 2048 if kind == Type.BF16 else 24
        raw = rng.integers(0, 256, (blocks, size), np.uint8)
        if kind == Type.BF16:
            raw[(raw[:, 1] & 0x7F) == 0x7F, 1] = 0x3F  # no infinities, no NaN
        for offset in F16_FIELDS.get(kind, []):
            scale = (rng.standard_normal(blocks) * 0.05).astype(np.float16)
            scale[:3] = np.float16([0, 3e-7, -2.5])
            raw[:, offset:offset + 2] = scale[:, None].view(np.uint8)
        (out / f"{kind.name.lower()}.bin").write_bytes(raw.tobytes())
        np.save(out / f"{kind.name.lower()}.npy", quants.dequantize(raw, kind).astype(np.float32).reshape(-1))
    codes = torch.arange(256, dtype=torch.uint8)
    (out / "f8_e4m3.bin").write_bytes(codes.numpy().tobytes())
    np.save(out / "f8_e4m3.npy", codes.view(torch.float8_e4m3fn).float().numpy())
    bits = np.arange(0, 65536, 7, dtype=np.uint16)
    bits = bits[(bits & 0x7C00) != 0x7C00]
    (out / "f16.bin").write_bytes(bits.tobytes())
    np.save(out / "f16.npy", bits.view(np.float16).astype(np.float32))


RESIZES = [(40, 30, 64, 64), (97, 61, 32, 32), (64, 64, 64, 32), (64, 33, 96, 33), (33, 64, 33, 96), (150, 101, 160, 96),
           (7, 5, 32, 32), (1, 40, 32, 64), (3, 3, 224, 32), (211, 64, 32, 64), (256, 17, 64, 32), (31, 31, 32, 32)]


def make_resize(out: Path) -> None:
    """<i>_in.npy [h, w, 3] uint8 -> <i>_out.npy, by torch's own kernel; half noise, half drawings."""
    out.mkdir(parents=True, exist_ok=True)
    for i, (w, h, out_w, out_h) in enumerate(RESIZES):
        rng = np.random.default_rng(i)
        rgb = np.array(pictures.scene(w, h, i)) if i % 2 and min(w, h) > 16 else rng.integers(0, 256, (h, w, 3), np.uint8)
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()
        y = torch.nn.functional.interpolate(x, size=(out_h, out_w), mode="bicubic", antialias=True)
        result = np.ascontiguousarray(y[0].permute(1, 2, 0).numpy())
        assert np.array_equal(result, pixels.resize(rgb, out_h, out_w))
        np.save(out / f"{i}_in.npy", rgb)
        np.save(out / f"{i}_out.npy", result)


def attempt(function, *arguments):
    try:
        return list(function(*arguments))
    except pixels.PixelError as fault:
        return str(fault)


def make_smart_resize(out: Path) -> None:
    """image: [width, height, min, max, [height, width] | error]; video: [frames, width, height, min, max, …]."""
    rng = np.random.default_rng(6)
    shipped, image, video = (65536, 16777216), [], []
    sizes = [(1920, 1080), (1240, 1754), (1, 1), (1, 200), (1, 201), (200, 1), (40000, 2), (31, 31), (16, 16), (48, 48),
             (80, 80), (32, 6400), (32, 6401), (5000, 5000), (16384, 1024), (65535, 400), (112, 176), (272, 208)]
    sizes += [tuple(int(v) for v in np.exp(rng.uniform(0, 9, 2)).astype(int) + 1) for _ in range(150)]
    for i, (w, h) in enumerate(sizes):
        low, high = shipped if i % 3 else (int(rng.integers(1, 10 ** 5)), int(rng.integers(10 ** 5, 10 ** 7)))
        image.append([w, h, low, high, attempt(pixels.smart_resize, h, w, 32, low, high)])
    for i, (w, h) in enumerate(sizes):
        frames = [1, 2, 3, 5, 7, 16, 768][i % 7]
        low, high = (4096, 25165824) if i % 3 else (int(rng.integers(1, 10 ** 5)), int(rng.integers(10 ** 5, 10 ** 7)))
        video.append([frames, w, h, low, high, attempt(pixels.smart_resize_video, frames, h, w, 2, 32, low, high)])
    body = ",\n".join(f' "{name}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "\n ]"
                      for name, rows in (("image", image), ("video", video)))
    (out / "smart_resize.json").write_text("{\n" + body + "\n}\n")


def make_video_sampling(out: Path) -> None:
    """[total frames, native fps, wanted fps, indices, seconds of each pair as printed]."""
    rows = []
    for total, fps, wanted in [(9, 4, 2), (25, 10, 2), (2, 30, 2), (3, 1, 2), (4, 0.5, 2), (100, 29.97, 2), (301, 25, 2),
                               (48, 24, 1), (90, 30, 4), (1000, 60, 0.5), (37, 12.5, 2), (5, 2, 2)]:
        indices = pixels.sample_frames(total, fps, wanted)
        rows.append([total, fps, wanted, indices.tolist(), [f"{t:.1f}" for t in pixels.timestamps(indices, fps)]])
    (out / "video_sampling.json").write_text("[\n" + ",\n".join(" " + json.dumps(r) for r in rows) + "\n]\n")


ROPES = {
    "default": dict(rope_theta=5e6), "default_64": dict(rope_theta=1e4, head_dim=64), "linear": dict(rope_theta=5e6, rope_type="linear", factor=4.0),
    "dynamic": dict(rope_theta=1e4, rope_type="dynamic", factor=3.0, seq_len=10_000), "dynamic_short": dict(rope_theta=1e4, rope_type="dynamic", factor=3.0, seq_len=100),
    "yarn_3": dict(rope_theta=5e6, rope_type="yarn", factor=3.0, original_max_position_embeddings=262144),
    "yarn_2_64": dict(rope_theta=1e4, head_dim=64, rope_type="yarn", factor=2.0, original_max_position_embeddings=64),
    "yarn_betas": dict(rope_theta=1e6, rope_type="yarn", factor=4.0, original_max_position_embeddings=32768, beta_fast=16.0, beta_slow=2.0),
    "yarn_no_truncate": dict(rope_theta=1e6, rope_type="yarn", factor=4.0, original_max_position_embeddings=32768, truncate=False),
    "yarn_attention": dict(rope_theta=1e6, rope_type="yarn", factor=4.0, original_max_position_embeddings=32768, attention_factor=1.25),
    "yarn_mscale": dict(rope_theta=1e6, rope_type="yarn", factor=4.0, original_max_position_embeddings=32768, mscale=0.7, mscale_all_dim=1.1),
    "yarn_no_original": dict(rope_theta=1e6, rope_type="yarn", factor=2.0),
}
RECOMPOSED = [("24_20_20", [24, 20, 20], 128), ("12_10_10", [12, 10, 10], 64), ("16_8_8", [16, 8, 8], 64), ("6_5_5", [6, 5, 5], 32)]


def make_rope(out: Path) -> None:
    """<case>.npy: inv_freq f32; rope.json: settings and attention scaling of each case.
    rows_<section>_{cos,sin,positions}.npy: cos and sin of each pair at [N, 3] positions, interleaved, theta 10,000."""
    out.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, settings in ROPES.items():
        rope = dict(settings)
        head_dim, seq_len = rope.pop("head_dim", 128), rope.pop("seq_len", None)
        config = Qwen3VLTextConfig(head_dim=head_dim, max_position_embeddings=4096, rope_parameters={"rope_type": "default", **rope})
        kind = rope.get("rope_type", "default")
        initialise = Qwen3VLTextRotaryEmbedding.compute_default_rope_parameters if kind == "default" else ROPE_INIT_FUNCTIONS[kind]
        frequencies, scaling = initialise(config, None, **({"seq_len": seq_len} if seq_len else {}))
        np.save(out / f"{name}.npy", frequencies.numpy().astype(np.float32))
        cases[name] = {**settings, "head_dim": head_dim, "max_position_embeddings": 4096, "attention_scaling": float(scaling)}
    (out / "rope.json").write_text(json.dumps(cases, indent=1) + "\n")
    positions = np.random.default_rng(7).integers(0, 3000, (12, 3)).astype(np.int32)
    for name, section, head_dim in RECOMPOSED:
        config = Qwen3VLTextConfig(head_dim=head_dim, rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": section})
        cos, sin = Qwen3VLTextRotaryEmbedding(config)(torch.zeros(1), torch.from_numpy(positions.T.copy())[:, None].long())
        np.save(out / f"rows_{name}_positions.npy", positions)
        np.save(out / f"rows_{name}_cos.npy", cos[0, :, :head_dim // 2].numpy())
        np.save(out / f"rows_{name}_sin.npy", sin[0, :, :head_dim // 2].numpy())


def make_positions(out: Path) -> None:
    """Spans in prompt order, ["text", n] | ["image", t, h, w] | ["video", t, h, w] (patches; a video's pairs each preceded by
    `stamp` text tokens and one vision_start, followed by one vision_end), and get_rope_index of it as three lists and delta."""
    spec = models.Spec(hidden=32, layers=1, v_hidden=16, v_heads=1, v_layers=1, taps=(0,))
    config = models.config_json(spec, {name: i for i, name in enumerate(
        ["<|endoftext|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"])})
    from transformers import Qwen3VLConfig
    model = AutoModelForImageTextToText.from_config(Qwen3VLConfig(**config)).model
    mixes = [[["text", 5]], [["text", 3], ["image", 1, 4, 6], ["text", 4]], [["image", 1, 2, 2], ["text", 1], ["image", 1, 8, 2], ["text", 2]],
             [["text", 2], ["image", 1, 2, 12], ["text", 1]], [["text", 2], ["video", 3, 4, 2], ["text", 3]],
             [["text", 1], ["video", 2, 2, 6], ["text", 2], ["image", 1, 4, 4], ["text", 1], ["video", 1, 4, 4], ["text", 5]],
             [["text", 4], ["image", 1, 4, 4]], [["video", 2, 6, 4], ["image", 1, 6, 2], ["text", 1]]]
    cases = []
    for i, spans in enumerate(mixes):
        stamp, types, grids = 3 + i % 4, [], {"image": [], "video": []}
        for span in spans:
            if span[0] == "text":
                types += [0] * span[1]
                continue
            grids[span[0]].append(span[1:])
            tokens, (frames,) = span[2] * span[3] // 4, span[1:2]
            types += [1] * tokens if span[0] == "image" else ([0] * (stamp + 1) + [2] * tokens + [0]) * frames
            if span[0] == "image":
                types += [0]
        types = torch.tensor([types])
        tensors = {f"{k}_grid_thw": torch.tensor(v) if v else None for k, v in grids.items()}
        positions, delta = model.get_rope_index(torch.ones_like(types), types, **tensors)
        cases.append({"spans": spans, "stamp": stamp, "types": types[0].tolist(), "positions": positions[:, 0].tolist(), "delta": int(delta)})
    (out / "positions.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    out.mkdir(parents=True, exist_ok=True)
    make_quants(out / "quants")
    make_resize(out / "resize")
    make_smart_resize(out)
    make_video_sampling(out)
    make_rope(out / "rope")
    make_positions(out)


if __name__ == "__main__":
    main()
