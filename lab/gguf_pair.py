"""GGUF pairs (text + mmproj) of the same random checkpoints, with a chosen storage type per tensor.

Owns the mapping from transformers' parameter names to llama.cpp's and the random valid blocks for the types that the
gguf package cannot quantise (K types): random bits under sane f16 scales, whose dequantised values are then the model's
exact weights. Everything else is quantised by the gguf package from the usual random weights.

usage: python gguf_pair.py OUT_DIR NAME [--types attn_q=Q4_K ... default=Q8_0] [--vision F16] [--split N] [--set key=value ...]"""
import argparse
import fnmatch
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import quants

import models

K_TYPES = {Type.Q4_K, Type.Q5_K, Type.Q6_K}
TEXT_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
              "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
              "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp"}
BLOCK_NAMES = {"norm1": "ln1", "norm2": "ln2", "attn.qkv": "attn_qkv", "attn.proj": "attn_out",
               "mlp.linear_fc1": "ffn_up", "mlp.linear_fc2": "ffn_down"}
# Like llama.cpp's Q4_K_M: the output side and half of v and down one step finer.
MIXES = {"Q4_K_M": {"token_embd*": "Q6_K", "output.weight": "Q6_K", "*attn_v*": "Q6_K", "*ffn_down*": "Q6_K",
                    "*ffn_gate_inp*": "F32", "*": "Q4_K"},
         "Q5_K_M": {"token_embd*": "Q6_K", "output.weight": "Q6_K", "*attn_v*": "Q6_K", "*ffn_gate_inp*": "F32", "*": "Q5_K"}}


def random_blocks(kind: Type, shape: tuple, std: float, rng: np.random.Generator) -> np.ndarray:
    """Bytes [rows, bytes per row] of random valid K blocks, near zero mean and the given spread."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    if shape[-1] % elements:
        raise ValueError(f"{kind.name} needs rows of a multiple of {elements}, not {shape[-1]}")
    raw = rng.integers(0, 256, (int(np.prod(shape)) // elements, size), np.uint8)

    def scales(unit: np.ndarray) -> None:
        def put(offset, value):
            raw[:, offset:offset + 2] = value.astype(np.float16)[:, None].view(np.uint8)
        if kind == Type.Q6_K:
            put(208, unit)
        else:  # d, dmin: the offset that centres 4-bit (7.5) or 5-bit (15.5) codes
            put(0, unit)
            put(2, unit * (7.5 if kind == Type.Q4_K else 15.5))

    spread = rng.uniform(0.5, 1.5, len(raw)).astype(np.float32)
    scales(0.01 * spread)
    scales(0.01 * spread * std / quants.dequantize(raw, kind).std())
    return raw.reshape(*shape[:-1], -1)


def stored_as(name: str, shape: tuple, weight: np.ndarray, kind: Type, rng) -> tuple[np.ndarray, np.ndarray]:
    """(file bytes or array, exact f32 values) of one tensor."""
    if kind == Type.F32:
        weight = weight.astype(np.float32)  # the writer takes the type from the array
        return weight, weight
    if kind == Type.F16:
        stored = weight.astype(np.float16)
        return stored, stored.astype(np.float32)
    raw = random_blocks(kind, shape, float(weight.std()), rng) if kind in K_TYPES else quants.quantize(weight, kind)
    return raw, quants.dequantize(raw, kind).reshape(shape)


def pick(policy: dict, name: str, shape: tuple) -> Type:
    if len(shape) < 2:
        return Type.F32
    for pattern, kind in policy.items():
        if fnmatch.fnmatch(name, pattern):
            return Type[kind]
    return Type.F16


def text_tensors(spec: models.Spec, weights: dict):
    """(GGUF name, f32 array, setter of the exact value) for the text file."""
    base = "model.language_model."
    for name, weight in weights.items():
        if name == "lm_head.weight":
            yield "output.weight", [name], weight
        elif name == base + "embed_tokens.weight":
            yield "token_embd.weight", [name], weight
        elif name == base + "norm.weight":
            yield "output_norm.weight", [name], weight
        elif name.startswith(base + "layers.") and ".experts." not in name:
            layer, _, rest = name[len(base + "layers."):].partition(".")
            yield f"blk.{layer}.{TEXT_NAMES[rest.removesuffix('.weight')]}.weight", [name], weight
    for i in range(spec.layers):
        if spec.is_moe_layer(i):
            for kind in ("gate", "up", "down"):
                parts = [f"{base}layers.{i}.mlp.experts.{e}.{kind}_proj.weight" for e in range(spec.experts)]
                yield f"blk.{i}.ffn_{kind}_exps.weight", parts, np.stack([weights[p] for p in parts])


def vision_tensors(spec: models.Spec, weights: dict):
    base = "model.visual."
    for name, weight in weights.items():
        if not name.startswith(base) or "patch_embed.proj.weight" in name:
            continue
        rest, _, end = name[len(base):].rpartition(".")
        if rest == "patch_embed.proj":
            out = "v.patch_embd"
        elif rest == "pos_embed":
            out = "v.position_embd"
        elif rest.startswith("blocks."):
            _, layer, part = rest.split(".", 2)
            out = f"v.blk.{layer}.{BLOCK_NAMES[part]}"
        elif rest.startswith("merger."):
            out = {"norm": "v.post_ln", "linear_fc1": "mm.0", "linear_fc2": "mm.2"}[rest.removeprefix("merger.")]
        else:
            _, index, part = rest.split(".")
            out = f"v.deepstack.{spec.taps[int(index)]}.{part.removeprefix('linear_')}"
        yield f"{out}.{end}", [name], weight


def text_keys(writer: gguf.GGUFWriter, spec: models.Spec, folder: Path) -> None:
    s, arch = spec, writer.arch
    writer.add_name("random " + arch)
    writer.add_uint32(f"{arch}.context_length", s.max_position)
    writer.add_uint32(f"{arch}.embedding_length", s.hidden)
    writer.add_uint32(f"{arch}.block_count", s.layers)
    writer.add_uint32(f"{arch}.feed_forward_length", s.ffn)
    writer.add_uint32(f"{arch}.attention.head_count", s.heads)
    writer.add_uint32(f"{arch}.attention.head_count_kv", s.kv_heads)
    writer.add_uint32(f"{arch}.attention.key_length", s.head_dim)
    writer.add_uint32(f"{arch}.attention.value_length", s.head_dim)
    writer.add_float32(f"{arch}.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_float32(f"{arch}.rope.freq_base", s.theta)
    writer.add_array(f"{arch}.rope.dimension_sections", [*s.section, 0])
    writer.add_uint32(f"{arch}.n_deepstack_layers", len(s.taps))
    if s.rope.get("rope_type", "default") != "default":
        writer.add_string(f"{arch}.rope.scaling.type", s.rope["rope_type"])
        writer.add_float32(f"{arch}.rope.scaling.factor", s.rope["factor"])
        if (length := s.rope.get("original_max_position_embeddings")) is not None:
            writer.add_uint32(f"{arch}.rope.scaling.original_context_length", length)
    if s.moe:
        writer.add_uint32(f"{arch}.expert_count", s.experts)
        writer.add_uint32(f"{arch}.expert_used_count", s.experts_per_token)
        writer.add_uint32(f"{arch}.expert_feed_forward_length", s.expert_ffn)
    add_tokenizer(writer, folder, s.vocab)


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, vocab: int) -> None:
    """tokenizer.ggml.*; rows past the tokenizer are padding entries, as converters write them."""
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens, types = [f"[PAD{i}]" for i in range(vocab)], [int(gguf.TokenType.UNUSED)] * vocab
    for token, i in data["model"]["vocab"].items():
        tokens[i], types[i] = token, int(gguf.TokenType.NORMAL)
    for added in data["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], int(kind)
    ids = {added["content"]: added["id"] for added in data["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    if (file := folder / "chat_template.jinja").exists():
        writer.add_chat_template(file.read_text(encoding="utf-8"))


def vision_keys(writer: gguf.GGUFWriter, spec: models.Spec) -> None:
    s, v = spec, "clip.vision."
    writer.add_type("mmproj")
    writer.add_name("random mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "qwen3vl_merger")
    writer.add_bool("clip.use_gelu", True)
    for key, value in (("image_size", s.table_side * 16), ("patch_size", 16), ("embedding_length", s.v_hidden),
                       ("feed_forward_length", s.v_ffn), ("block_count", s.v_layers), ("projection_dim", s.hidden),
                       ("attention.head_count", s.v_heads), ("spatial_merge_size", 2),
                       ("image_min_pixels", s.min_pixels), ("image_max_pixels", s.max_pixels)):
        writer.add_uint32(v + key, value)
    writer.add_float32(v + "attention.layer_norm_epsilon", 1e-6)
    writer.add_array(v + "image_mean", list(map(float, s.mean)))
    writer.add_array(v + "image_std", list(map(float, s.std)))
    writer.add_array(v + "is_deepstack_layers", [i in s.taps for i in range(s.v_layers)])


def write_pair(spec: models.Spec, folder: Path, name: str, text_policy: dict, vision_policy: dict, split: int = 0,
               twin: Path | None = None) -> tuple[Path, dict]:
    """Writes NAME.gguf (or NAME-0000i-of-0000n.gguf of `split` tensors each) and mmproj-NAME.gguf, and into `twin` the
    Hugging Face side without weights. Returns the path to open and the exact f32 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    twin = twin or folder
    twin.mkdir(parents=True, exist_ok=True)
    ids = models.write_text_files(spec, twin)
    models.write_json(twin / "config.json", models.config_json(spec, ids))
    rng = np.random.default_rng(spec.seed + 10_000)
    weights = {n: t.numpy() for n, t in models.make_weights(spec).items()}
    exact = {}

    def add(writer, policy, gguf_name, names, array):
        kind = pick(policy, gguf_name, array.shape)
        stored, values = stored_as(gguf_name, array.shape, array, kind, rng)
        raw = kind if kind not in (Type.F32, Type.F16) else None
        writer.add_tensor(gguf_name, np.ascontiguousarray(stored), raw_dtype=raw)
        for n, value in zip(names, values if len(names) > 1 else [values]):
            exact[n] = torch.from_numpy(np.ascontiguousarray(value))

    def finish(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    text = gguf.GGUFWriter(folder / f"{name}.gguf", "qwen3vlmoe" if spec.moe else "qwen3vl", split_max_tensors=split)
    text_keys(text, spec, twin)
    for gguf_name, names, array in text_tensors(spec, weights):
        add(text, text_policy, gguf_name, names, array)
    finish(text)
    vision = gguf.GGUFWriter(folder / f"mmproj-{name}.gguf", "clip")
    vision_keys(vision, spec)
    patch = "model.visual.patch_embed.proj.weight"
    halves = []
    for t, suffix in ((0, ""), (1, ".1")):
        half = np.ascontiguousarray(weights[patch][:, :, t])
        stored, values = stored_as("", half.shape, half, Type.F16 if "F16" in vision_policy.values() else Type.F32, rng)
        vision.add_tensor("v.patch_embd.weight" + suffix, stored)
        halves.append(values)
    exact[patch] = torch.from_numpy(np.stack(halves, axis=2))
    for gguf_name, names, array in vision_tensors(spec, weights):
        add(vision, {"v.position_embd*": "F32", **vision_policy}, gguf_name, names, array)
    finish(vision)
    first = sorted(folder.glob(f"{name}-00001-of-*.gguf")) if split else [folder / f"{name}.gguf"]
    return first[0], exact


def main() -> None:
    parser = argparse.ArgumentParser(description="make a small random GGUF pair")
    parser.add_argument("out", type=Path)
    parser.add_argument("name")
    parser.add_argument("--types", nargs="*", default=["*=Q8_0"], metavar="GLOB=TYPE", help="or one of " + " ".join(MIXES))
    parser.add_argument("--vision", default="F16")
    parser.add_argument("--split", type=int, default=0, help="tensors per file")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    policy = MIXES.get(args.types[0]) or dict(item.split("=", 1) for item in args.types)
    print(write_pair(models.parse_overrides(args.set), args.out, args.name, policy, {"*": args.vision}, args.split)[0])


if __name__ == "__main__":
    main()
