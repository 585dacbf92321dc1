"""Small random Qwen3-VL checkpoints of any shape, as Hugging Face folders laid out like the published ones.

Owns: Spec (one checkpoint's shape and how it is stored), its random weights, and the files of the folder. The weights
are f32 values that the storage type holds exactly, so the reference and the reader see the same numbers.
GGUF pairs are made from the same Spec in gguf_pair.py.

usage: python models.py OUT_DIR [--set key=value ...]   e.g. --set hidden=128 storage=f16 experts=4 seed=7"""
import argparse
import ast
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import tokenizer as bpe

TEMPLATES = Path(__file__).parent / "templates"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.bfloat16}
FP8_BLOCK = 128


@dataclass
class Spec:
    """One checkpoint. Sizes are counts; `taps` are 0-based ViT layers."""
    seed: int = 1
    # decoder
    hidden: int = 64
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 96
    vocab: int = 640
    tied: bool = True
    max_position: int = 262144
    theta: float = 5_000_000
    section: tuple = (12, 10, 10)
    rope: dict = field(default_factory=dict)  # rope_type, factor, original_max_position_embeddings, …
    # mixture of experts; 0: dense
    experts: int = 0
    experts_per_token: int = 2
    expert_ffn: int = 48
    mlp_only: tuple = ()
    sparse_step: int = 1
    norm_topk: bool = True
    # vision
    v_hidden: int = 32
    v_layers: int = 3
    v_heads: int = 2
    v_ffn: int = 64
    taps: tuple = (0, 1)
    table_side: int = 16
    # files
    storage: str = "bf16"          # f32 f16 bf16 fp8
    config_style: str = "published"  # published | parameters
    shards: int = 1
    expert_layout: str = "in_out"  # in_out (published) | out_in | separate
    template: str = "instruct"
    template_place: str = "jinja"  # jinja | tokenizer_config | json
    merges: str = "pairs"
    entries: int = 576
    min_pixels: int = 4 * 1024     # image; area
    max_pixels: int = 64 * 1024
    video_min_pixels: int = 4 * 1024  # over frames * height * width
    video_max_pixels: int = 64 * 1024
    pixel_keys: str = "size"       # size | min_max: how preprocessor_config.json names the two limits
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.5, 0.5, 0.5)

    @property
    def moe(self) -> bool:
        return self.experts > 0

    def is_moe_layer(self, layer: int) -> bool:
        return self.moe and layer not in self.mlp_only and (layer + 1) % self.sparse_step == 0


def shapes(spec: Spec) -> dict[str, tuple]:
    """Every tensor of the model by transformers' parameter names, [out, in] order; experts one by one, split."""
    s, out = spec, {}
    text, vision, merged = "model.language_model.", "model.visual.", 4 * spec.v_hidden
    out[text + "embed_tokens.weight"] = (s.vocab, s.hidden)
    for i in range(s.layers):
        layer = f"{text}layers.{i}."
        out[layer + "input_layernorm.weight"] = (s.hidden,)
        out[layer + "post_attention_layernorm.weight"] = (s.hidden,)
        out[layer + "self_attn.q_proj.weight"] = (s.heads * s.head_dim, s.hidden)
        out[layer + "self_attn.k_proj.weight"] = (s.kv_heads * s.head_dim, s.hidden)
        out[layer + "self_attn.v_proj.weight"] = (s.kv_heads * s.head_dim, s.hidden)
        out[layer + "self_attn.o_proj.weight"] = (s.hidden, s.heads * s.head_dim)
        out[layer + "self_attn.q_norm.weight"] = (s.head_dim,)
        out[layer + "self_attn.k_norm.weight"] = (s.head_dim,)
        if s.is_moe_layer(i):
            out[layer + "mlp.gate.weight"] = (s.experts, s.hidden)
            for e in range(s.experts):
                out[f"{layer}mlp.experts.{e}.gate_proj.weight"] = (s.expert_ffn, s.hidden)
                out[f"{layer}mlp.experts.{e}.up_proj.weight"] = (s.expert_ffn, s.hidden)
                out[f"{layer}mlp.experts.{e}.down_proj.weight"] = (s.hidden, s.expert_ffn)
        else:
            out[layer + "mlp.gate_proj.weight"] = (s.ffn, s.hidden)
            out[layer + "mlp.up_proj.weight"] = (s.ffn, s.hidden)
            out[layer + "mlp.down_proj.weight"] = (s.hidden, s.ffn)
    out[text + "norm.weight"] = (s.hidden,)
    if not s.tied:
        out["lm_head.weight"] = (s.vocab, s.hidden)

    def with_bias(name, *shape):
        out[name + ".weight"] = shape
        out[name + ".bias"] = (shape[0],)

    with_bias(vision + "patch_embed.proj", s.v_hidden, 3, 2, 16, 16)
    out[vision + "pos_embed.weight"] = (s.table_side ** 2, s.v_hidden)
    for i in range(s.v_layers):
        block = f"{vision}blocks.{i}."
        with_bias(block + "norm1", s.v_hidden)
        with_bias(block + "norm2", s.v_hidden)
        with_bias(block + "attn.qkv", 3 * s.v_hidden, s.v_hidden)
        with_bias(block + "attn.proj", s.v_hidden, s.v_hidden)
        with_bias(block + "mlp.linear_fc1", s.v_ffn, s.v_hidden)
        with_bias(block + "mlp.linear_fc2", s.v_hidden, s.v_ffn)
    for i in range(-1, len(s.taps)):
        merger = f"{vision}merger." if i < 0 else f"{vision}deepstack_merger_list.{i}."
        with_bias(merger + "norm", s.v_hidden if i < 0 else merged)
        with_bias(merger + "linear_fc1", merged, merged)
        with_bias(merger + "linear_fc2", s.hidden, merged)
    return out


def random_tensor(name: str, shape: tuple, rng: np.random.Generator) -> np.ndarray:
    """Scaled so that every stage matters in the logits: norms differ from one, biases from zero, attention is neither
    flat nor one-hot."""
    draw = rng.standard_normal(shape, dtype=np.float32)
    if name.endswith(".bias"):
        return 0.1 * draw
    if len(shape) == 1:  # norm weights
        return (1.4 if "q_norm" in name or "k_norm" in name else 1.0) + 0.2 * draw
    if "embed_tokens" in name:
        return 0.3 * draw
    if "pos_embed" in name:
        return 0.5 * draw
    gain = 1.5 if "mlp.gate.weight" in name or "lm_head" in name else 1.2
    return gain / np.sqrt(np.prod(shape[1:])) * draw


def make_weights(spec: Spec) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(spec.seed)
    return {name: torch.from_numpy(random_tensor(name, shape, rng)) for name, shape in shapes(spec).items()}


def fp8_blocks(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """e4m3 values, bf16 scale_inv per 128x128 block, and the f32 matrix they mean (value * scale_inv)."""
    rows, columns = weight.shape
    grid = (-(-rows // FP8_BLOCK), -(-columns // FP8_BLOCK))
    padded = torch.zeros(grid[0] * FP8_BLOCK, grid[1] * FP8_BLOCK)
    padded[:rows, :columns] = weight
    blocks = padded.view(grid[0], FP8_BLOCK, grid[1], FP8_BLOCK)
    scale = (blocks.abs().amax(dim=(1, 3)) / 448).clamp(min=1e-12).to(torch.bfloat16)
    wide = scale.float()[:, None, :, None]
    quantised = (blocks / wide).clamp(-448, 448).to(torch.float8_e4m3fn)
    exact = (quantised.float() * wide).reshape(padded.shape)[:rows, :columns].contiguous()
    quantised = quantised.reshape(padded.shape)[:rows, :columns].contiguous()
    return quantised, scale, exact


def fp8_stored(name: str) -> bool:
    """The -FP8 checkpoints hold the decoder's projections in FP8; routers, norms, embeddings and vision stay bf16."""
    return "language_model.layers" in name and "_proj.weight" in name


def store(spec: Spec, weights: dict) -> tuple[dict, dict]:
    """(stored, exact): what goes into the file by its name, and the f32 value of every tensor of `shapes`."""
    fused, in_out = spec.moe and spec.expert_layout != "separate", spec.expert_layout == "in_out"
    stored, exact = {}, {}
    for name, weight in weights.items():
        if spec.storage == "fp8" and fused and ".mlp.experts." in name:
            continue
        if spec.storage == "fp8" and fp8_stored(name):
            stored[name], stored[name[:-len("weight")] + "weight_scale_inv"], exact[name] = fp8_blocks(weight)
        else:
            stored[name] = weight.to(DTYPES[spec.storage])
            exact[name] = stored[name].float()
    if spec.storage == "fp8" and fused:
        for name, stack in fuse_experts(weights, spec, transpose=in_out).items():
            if ".mlp.experts." in name:
                values, scales, means = zip(*(fp8_blocks(matrix) for matrix in stack))
                stored[name], stored[name + "_scale_inv"] = torch.stack(values), torch.stack(scales)
                exact |= split_experts(name, torch.stack(means), transposed=in_out)
    elif fused:
        stored = fuse_experts(stored, spec, transpose=in_out)
    return stored, exact


def split_experts(name: str, stack: torch.Tensor, transposed: bool) -> dict:
    """A fused tensor as the single experts that fuse_experts took it from."""
    base, kind = name.rsplit(".", 1)
    matrices = stack.transpose(1, 2) if transposed else stack
    if kind == "down_proj":
        return {f"{base}.{e}.down_proj.weight": m.contiguous() for e, m in enumerate(matrices)}
    return {f"{base}.{e}.{part}.weight": half.contiguous()
            for e, m in enumerate(matrices) for part, half in zip(("gate_proj", "up_proj"), m.chunk(2))}


def fuse_experts(tensors: dict, spec: Spec, transpose: bool) -> dict:
    """Experts stacked as mlp.experts.gate_up_proj and .down_proj; `transpose`: [expert, in, out], the published order."""
    out = {name: t for name, t in tensors.items() if ".mlp.experts." not in name}
    for i in range(spec.layers):
        if not spec.is_moe_layer(i):
            continue
        base = f"model.language_model.layers.{i}.mlp.experts."
        part = lambda e, kind: tensors[f"{base}{e}.{kind}.weight"]  # noqa: E731
        gate_up = torch.stack([torch.cat([part(e, "gate_proj"), part(e, "up_proj")]) for e in range(spec.experts)])
        down = torch.stack([part(e, "down_proj") for e in range(spec.experts)])
        if transpose:
            gate_up, down = gate_up.transpose(1, 2), down.transpose(1, 2)
        out[base + "gate_up_proj"], out[base + "down_proj"] = gate_up.contiguous(), down.contiguous()
    return out


def config_json(spec: Spec, ids: dict) -> dict:
    s = spec
    kind = "qwen3_vl_moe" if s.moe else "qwen3_vl"
    rope = {"mrope_interleaved": True, "mrope_section": list(s.section), "rope_type": "default", **s.rope}
    text = {"attention_bias": False, "attention_dropout": 0.0, "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"], "dtype": "bfloat16", "head_dim": s.head_dim, "hidden_act": "silu",
            "hidden_size": s.hidden, "initializer_range": 0.02, "intermediate_size": s.ffn,
            "max_position_embeddings": s.max_position, "model_type": kind + "_text", "num_attention_heads": s.heads,
            "num_hidden_layers": s.layers, "num_key_value_heads": s.kv_heads, "rms_norm_eps": 1e-6, "use_cache": True,
            "vocab_size": s.vocab}
    if s.moe:
        text |= {"num_experts": s.experts, "num_experts_per_tok": s.experts_per_token,
                 "moe_intermediate_size": s.expert_ffn, "decoder_sparse_step": s.sparse_step,
                 "mlp_only_layers": list(s.mlp_only), "norm_topk_prob": s.norm_topk}
    else:
        text["tie_word_embeddings"] = s.tied
    if s.config_style == "published":
        text |= {"rope_scaling": rope, "rope_theta": s.theta}
    else:
        text["rope_parameters"] = {**rope, "rope_theta": s.theta}
    vision = {"deepstack_visual_indexes": list(s.taps), "depth": s.v_layers, "hidden_act": "gelu_pytorch_tanh",
              "hidden_size": s.v_hidden, "in_channels": 3, "initializer_range": 0.02, "intermediate_size": s.v_ffn,
              "model_type": kind if s.config_style == "published" else kind + "_vision", "num_heads": s.v_heads,
              "num_position_embeddings": s.table_side ** 2, "out_hidden_size": s.hidden, "patch_size": 16,
              "spatial_merge_size": 2, "temporal_patch_size": 2}
    out = {"architectures": ["Qwen3VLMoeForConditionalGeneration" if s.moe else "Qwen3VLForConditionalGeneration"],
           "image_token_id": ids["<|image_pad|>"], "model_type": kind, "text_config": text,
           "tie_word_embeddings": s.tied, "transformers_version": "4.57.0" if s.config_style == "published" else "5.23.0",
           "video_token_id": ids["<|video_pad|>"], "vision_config": vision,
           "vision_end_token_id": ids["<|vision_end|>"], "vision_start_token_id": ids["<|vision_start|>"]}
    if s.storage == "fp8":
        out["quantization_config"] = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                                      "weight_block_size": [FP8_BLOCK, FP8_BLOCK],
                                      "modules_to_not_convert": ["lm_head", "model.visual"]}
    return out


def processor_json(spec: Spec) -> tuple[dict, dict]:
    common = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "image_mean": list(spec.mean),
              "image_std": list(spec.std), "processor_class": "Qwen3VLProcessor"}
    size = {"longest_edge": spec.max_pixels, "shortest_edge": spec.min_pixels}
    image = {"size": size} if spec.pixel_keys == "size" else {"min_pixels": spec.min_pixels, "max_pixels": spec.max_pixels}
    image |= {**common, "image_processor_type": "Qwen2VLImageProcessorFast"}
    video = {"size": {"longest_edge": spec.video_max_pixels, "shortest_edge": spec.video_min_pixels}, **common,
             "video_processor_type": "Qwen3VLVideoProcessor"}
    return image, video


def write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_tensors(folder: Path, tensors: dict, shards: int) -> None:
    """model.safetensors, or that many shards of near-equal size with their index."""
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    total, groups, used = sum(t.nbytes for t in tensors.values()), [{} for _ in range(shards)], 0
    for name, tensor in tensors.items():
        groups[min(used * shards // total, shards - 1)][name] = tensor
        used += tensor.nbytes
    where = {}
    for i, group in enumerate(groups):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file(group, folder / file, metadata={"format": "pt"})
        where |= {name: file for name in group}
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def write_text_files(spec: Spec, folder: Path) -> dict:
    """Tokenizer, template, processors, generation config: everything but config.json and weights. Returns token ids."""
    template = (TEMPLATES / f"{spec.template}.jinja").read_text(encoding="utf-8")
    ids = bpe.save(folder, spec.entries, spec.merges, template if spec.template_place == "tokenizer_config" else None)
    if spec.template_place == "jinja":
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    elif spec.template_place == "json":
        write_json(folder / "chat_template.json", {"chat_template": template})
    image, video = processor_json(spec)
    write_json(folder / "preprocessor_config.json", image)
    write_json(folder / "video_preprocessor_config.json", video)
    write_json(folder / "generation_config.json", {
        "bos_token_id": ids["<|endoftext|>"], "pad_token_id": ids["<|endoftext|>"], "do_sample": True,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]], "top_k": 20, "transformers_version": "4.57.0",
        **({"top_p": 0.8, "repetition_penalty": 1.0, "temperature": 0.7} if spec.template == "instruct" else
           {"top_p": 0.95, "temperature": 0.6})})
    return ids


def write_folder(spec: Spec, folder: Path, weights: dict | None = None) -> dict:
    """The whole checkpoint. Returns the exact f32 weights by the names of `shapes`."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = write_text_files(spec, folder)
    write_json(folder / "config.json", config_json(spec, ids))
    stored, exact = store(spec, make_weights(spec) if weights is None else weights)
    write_tensors(folder, stored, spec.shards)
    return exact


def parse_overrides(items: list[str]) -> Spec:
    """key=value pairs onto the default Spec; values in Python notation, bare words as strings."""
    known = {f.name for f in dataclasses.fields(Spec)}
    out = {}
    for item in items:
        key, _, text = item.partition("=")
        if key not in known:
            raise SystemExit(f"unknown key {key}; known: {' '.join(sorted(known))}")
        try:
            out[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            out[key] = text
    return Spec(**out)


def main() -> None:
    parser = argparse.ArgumentParser(description="make a small random Qwen3-VL checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    write_folder(parse_overrides(args.set), args.out)


if __name__ == "__main__":
    main()
