"""Random checkpoints of the published shapes, streamed to disk: for speed, memory and loading, not for meaning.

A tensor's bytes are slices of a small pool of random valid blocks of its type and spread, so that a 4B pair takes
seconds and little memory. Kinds: a GGUF pair in any type or mix, or a Hugging Face folder in bf16.

usage: python real_shape.py {2b,4b,8b,30b-a3b} OUT_DIR [--format gguf|hf] [--types Q4_K_M | Q8_0 | F16 | GLOB=TYPE ...]
       [--vision F16] [--layers N] [--experts N] [--tokenizer tokenizer.json]"""
import argparse
import fnmatch
import json
import math
import shutil
import struct
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

import gguf_pair
import models
from models import Spec

SHIPPED = dict(vocab=151936, section=(24, 20, 20), head_dim=128, table_side=48, min_pixels=65536, max_pixels=16777216,
               video_min_pixels=4096, video_max_pixels=25165824)
LARGE_VISION = dict(v_hidden=1152, v_layers=27, v_heads=16, v_ffn=4304, taps=(8, 16, 24))
SMALL_VISION = dict(v_hidden=1024, v_layers=24, v_heads=16, v_ffn=4096, taps=(5, 11, 17))
PRESETS = {
    "2b": dict(hidden=2048, layers=28, ffn=6144, heads=16, kv_heads=8, tied=True, **SMALL_VISION),
    "4b": dict(hidden=2560, layers=36, ffn=9728, heads=32, kv_heads=8, tied=True, **SMALL_VISION),
    "8b": dict(hidden=4096, layers=36, ffn=12288, heads=32, kv_heads=8, tied=False, **LARGE_VISION),
    "30b-a3b": dict(hidden=2048, layers=48, ffn=6144, heads=32, kv_heads=4, tied=False, experts=128, experts_per_token=8,
                    expert_ffn=768, **LARGE_VISION),
}
POOL_ELEMENTS = 1 << 20
SHARD_BYTES = 5_000_000_000


class Pool:
    """Random bytes of one storage type and spread, cut at random places."""

    def __init__(self, seed: int):
        self.rng, self.pools = np.random.default_rng(seed), {}

    def take(self, kind: Type, mean: float, std: float, elements: int) -> tuple[np.ndarray, int, int]:
        """(the pool's bytes, how many bytes `elements` need, bytes a block)."""
        key = (kind, mean, round(std, 6))
        if key not in self.pools:
            block, size = gguf.GGML_QUANT_SIZES[kind]
            values = (self.rng.standard_normal((POOL_ELEMENTS // 4096, 4096), dtype=np.float32) * std + mean)
            if kind in gguf_pair.K_TYPES:
                raw = gguf_pair.random_blocks(kind, values.shape, std, self.rng)
            else:
                raw = quants.quantize(values, kind)
            self.pools[key] = (np.ascontiguousarray(raw).view(np.uint8).reshape(-1), block, size)
        raw, block, size = self.pools[key]
        return raw, elements // block * size, size

    def write(self, file, kind: Type, mean: float, std: float, elements: int) -> int:
        raw, total, size = self.take(kind, mean, std, elements)
        left = total
        while left:
            start = int(self.rng.integers(0, len(raw) // size)) * size
            piece = raw[start:start + left]
            file.write(piece.data)
            left -= len(piece)
        return total


def spread(name: str, shape: tuple) -> tuple[float, float]:
    """(mean, std) of a tensor, by its transformers or GGUF name."""
    if name.endswith("bias"):
        return 0.0, 0.02
    if len(shape) == 1:
        return 1.0, 0.1
    if "embd" in name or "embed" in name:
        return 0.0, 0.02
    return 0.0, 1.0 / math.sqrt(math.prod(shape[1:]) if len(shape) < 3 or "patch" in name else shape[-1])


def text_files(spec: Spec, folder: Path, tokenizer: Path | None) -> dict:
    """Everything beside the weights; with a real tokenizer.json its ids take the small one's place."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = models.write_text_files(spec, folder)
    if tokenizer:
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
        ids = {t["content"]: t["id"] for t in json.loads(tokenizer.read_text(encoding="utf-8"))["added_tokens"]}
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        config.pop("added_tokens_decoder")
        models.write_json(folder / "tokenizer_config.json", config)
        generation = json.loads((folder / "generation_config.json").read_text())
        generation |= {"bos_token_id": ids["<|endoftext|>"], "pad_token_id": ids["<|endoftext|>"],
                       "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]]}
        models.write_json(folder / "generation_config.json", generation)
    models.write_json(folder / "config.json", models.config_json(spec, ids))
    return ids


def text_shapes(spec: Spec, shapes: dict):
    """(GGUF name, shape) of the text file."""
    base = "model.language_model."
    fixed = {"lm_head.weight": "output.weight", base + "embed_tokens.weight": "token_embd.weight", base + "norm.weight": "output_norm.weight"}
    for name, shape in shapes.items():
        if name in fixed:
            yield fixed[name], shape
        elif name.startswith(base + "layers.") and ".experts." not in name:
            layer, _, rest = name[len(base + "layers."):].partition(".")
            yield f"blk.{layer}.{gguf_pair.TEXT_NAMES[rest.removesuffix('.weight')]}.weight", shape
        elif ".experts.0." in name:
            layer, kind = name.split(".")[3], name.split(".")[-2].removesuffix("_proj")
            yield f"blk.{layer}.ffn_{kind}_exps.weight", (spec.experts, *shape)


def vision_shapes(spec: Spec, shapes: dict):
    half = (spec.v_hidden, 3, 16, 16)
    yield "v.patch_embd.weight", half
    yield "v.patch_embd.weight.1", half
    for name, _, shape in gguf_pair.vision_tensors(spec, shapes):
        yield name, shape


def choose(policy: dict, name: str, shape: tuple) -> Type:
    if len(shape) < 2 or name == "v.position_embd.weight" or "ffn_gate_inp" in name:
        return Type.F32  # as converters keep them
    for pattern, kind in policy.items():
        if fnmatch.fnmatch(name, pattern):
            kind = Type[kind]
            if "patch_embd" in name and kind not in (Type.F32, Type.F16):
                return Type.F16
            block = gguf.GGML_QUANT_SIZES[kind][0]
            if shape[-1] % block:  # as llama.cpp's quantiser: rows that do not divide fall back
                return Type.Q8_0 if shape[-1] % 32 == 0 else Type.F16
            return kind
    return Type.F16


def write_gguf(path: Path, arch: str, keys, tensors: list, policy: dict, pool: Pool) -> int:
    writer = gguf.GGUFWriter(path, arch)
    keys(writer)
    kinds = []
    for name, shape in tensors:
        kind = choose(policy, name, shape)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        kinds.append(kind)
        writer.add_tensor_info(name, shape, np.dtype(np.float32), math.prod(shape) // block * size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    writer.write_padding(file, file.tell())
    for (name, shape), kind in zip(tensors, kinds):
        writer.write_padding(file, pool.write(file, kind, *spread(name, shape), math.prod(shape)))
    writer.close()
    return path.stat().st_size


def hf_tensors(spec: Spec, shapes: dict):
    """(name, shape) as stored: experts fused as [expert, in, out]."""
    for name, shape in shapes.items():
        if ".experts." not in name:
            yield name, shape
        elif ".experts.0.gate_proj" in name:
            base = name.split("experts.")[0] + "experts."
            yield base + "gate_up_proj", (spec.experts, spec.hidden, 2 * spec.expert_ffn)
            yield base + "down_proj", (spec.experts, spec.expert_ffn, spec.hidden)


def write_hf(folder: Path, tensors: list, pool: Pool) -> int:
    """bf16 safetensors, in shards of at most 5 GB with their index."""
    groups, used = [[]], 0
    for name, shape in tensors:
        if groups[-1] and used + 2 * math.prod(shape) > SHARD_BYTES:
            groups.append([])
            used = 0
        groups[-1].append((name, shape))
        used += 2 * math.prod(shape)
    where, total = {}, 0
    for i, group in enumerate(groups):
        name = "model.safetensors" if len(groups) == 1 else f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors"
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for tensor, shape in group:
            header[tensor] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + 2 * math.prod(shape)]}
            at += 2 * math.prod(shape)
            where[tensor] = name
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / name, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor, shape in group:
                pool.write(file, Type.BF16, *spread(tensor, shape), math.prod(shape))
        total += at
    if len(groups) > 1:
        models.write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description="stream a random checkpoint of a published shape to disk")
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--format", choices=("gguf", "hf"), default="gguf")
    parser.add_argument("--types", nargs="*", default=["Q4_K_M"], help="a mix, one type, or GLOB=TYPE …")
    parser.add_argument("--vision", default="F16")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--experts", type=int)
    parser.add_argument("--tokenizer", type=Path)
    args = parser.parse_args()
    changes = {k: getattr(args, k) for k in ("layers", "experts") if getattr(args, k)}
    spec = Spec(**{**SHIPPED, **PRESETS[args.preset], **changes})
    pool, shapes = Pool(1), models.shapes(spec)
    text_files(spec, args.out, args.tokenizer)
    if args.format == "hf":
        print(args.out, write_hf(args.out, list(hf_tensors(spec, shapes)), pool))
        return
    first = args.types[0]
    policy = gguf_pair.MIXES.get(first) or ({"*": first} if "=" not in first else dict(t.split("=", 1) for t in args.types))
    label = f"{args.preset}-{first if '=' not in first else 'mix'}"
    text = args.out / f"{label}.gguf"
    size = write_gguf(text, "qwen3vlmoe" if spec.moe else "qwen3vl", lambda w: gguf_pair.text_keys(w, spec, args.out),
                      list(text_shapes(spec, shapes)), policy, pool)
    mmproj = args.out / f"mmproj-{label}.gguf"
    size_vision = write_gguf(mmproj, "clip", lambda w: gguf_pair.vision_keys(w, spec), list(vision_shapes(spec, shapes)),
                             {"*": args.vision}, pool)
    for name in ("config.json", "preprocessor_config.json", "video_preprocessor_config.json", "tokenizer.json",
                 "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
        (args.out / name).unlink()  # a GGUF pair carries what it needs itself
    print(text, size, mmproj, size_vision)


if __name__ == "__main__":
    main()
