"""Writes a trained stage as a published checkpoint: a Hugging Face folder and, on request, a GGUF pair.

    python -m lab.tiny.export --out models/tiny/instruct [--gguf .lab/gguf --kinds Q8_0,F16]
    python -m lab.tiny.export --plan thinking --out models/tiny/thinking

Reads `branch.pt`, of a plan that falls `state.pt` (or the file asked for) and tokenizer.json of the work folder. Weights are stored as bfloat16; the tied lm_head is not stored.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))  # the reference tools import each other by their plain names

import gguf_pair  # noqa: E402
import models as reference  # noqa: E402

from lab.tokenizer import ADDED  # noqa: E402

from . import config, text  # noqa: E402



def name_of(plan: config.Plan) -> str:
    """The checkpoint's name in the published form."""
    return "weft-tiny-Thinking" if plan.thinks else "weft-tiny-Instruct"


def spec_of(plan: config.Plan) -> reference.Spec:
    """The same sizes in the reference tools' terms."""
    shape = plan.shape
    return reference.Spec(
        hidden=shape.hidden, layers=shape.layers, heads=shape.heads, kv_heads=shape.kv_heads, head_dim=shape.head_dim,
        ffn=shape.ffn, vocab=text.VOCABULARY, tied=True, max_position=shape.max_positions, theta=shape.rope_theta,
        section=shape.mrope_section, v_hidden=shape.vision_hidden, v_layers=shape.vision_layers, v_heads=shape.vision_heads,
        v_ffn=shape.vision_ffn, taps=shape.taps, table_side=shape.position_side, entries=text.VOCABULARY - len(ADDED),
        min_pixels=plan.min_pixels, max_pixels=plan.max_pixels, video_min_pixels=plan.video_pixels[0], video_max_pixels=plan.video_pixels[1])


def weights_of(file: Path) -> dict[str, torch.Tensor]:
    """bfloat16 weights by published names."""
    state = torch.load(file, weights_only=True)["weights"]
    return {k: v.to(torch.bfloat16).contiguous() for k, v in state.items() if k != "lm_head.weight" and not k.startswith("heads.")}


def write_tokenizer(work: Path, out: Path, max_length: int) -> dict[str, int]:
    """tokenizer.json, tokenizer_config.json, vocab.json and merges.txt; returns added token -> id."""
    shutil.copyfile(Path(work) / "tokenizer.json", out / "tokenizer.json")
    data = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))
    reference.write_json(out / "tokenizer_config.json", {
        "add_bos_token": False, "add_prefix_space": False,
        "added_tokens_decoder": {str(t["id"]): {k: t[k] for k in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")}
                                 for t in data["added_tokens"]},
        "additional_special_tokens": [t for t, special in ADDED[1:] if special],
        "bos_token": None, "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": max_length, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None})
    (out / "vocab.json").write_text(json.dumps(data["model"]["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    (out / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    return {t["content"]: t["id"] for t in data["added_tokens"]}


def folder(plan: config.Plan, work: Path, out: Path, state: str | None = None) -> Path:
    """The Hugging Face folder of one state of the run. Every file a published checkpoint has; the two forms differ in weights and template."""
    state = state or ("state.pt" if plan.falls else "branch.pt")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    spec = spec_of(plan)
    ids = write_tokenizer(work, out, plan.shape.max_positions)
    template = (text.THINKING_TEMPLATE if plan.thinks else text.TEMPLATE).read_text(encoding="utf-8")
    (out / "chat_template.jinja").write_text(template, encoding="utf-8")
    reference.write_json(out / "chat_template.json", {"chat_template": template})
    reference.write_json(out / "config.json", reference.config_json(spec, ids))
    image, video = reference.processor_json(spec)
    reference.write_json(out / "preprocessor_config.json", image)
    reference.write_json(out / "video_preprocessor_config.json", video)
    # So small a model gains nothing from chance: the most likely token is the answer it knows.
    reference.write_json(out / "generation_config.json", {
        "bos_token_id": ids["<|endoftext|>"], "pad_token_id": ids["<|endoftext|>"], "do_sample": False,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]], "transformers_version": "4.57.0"})
    reference.write_tensors(out, weights_of(Path(work) / state), 1)
    (out / "model.safetensors").chmod(0o644)
    return out


def gguf_files(plan: config.Plan, hf: Path, out: Path, kind: str) -> tuple[Path, Path]:
    """The pair NAME-KIND.gguf and mmproj-NAME-KIND.gguf of an exported folder. kind: F16, or Q8_0 or another type with blocks of 32."""
    import gguf
    import numpy as np
    from safetensors.torch import load_file
    hf, out = Path(hf), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    spec = spec_of(plan)
    weights = {k: v.float().numpy() for k, v in load_file(hf / "model.safetensors").items()}
    files = out / f"{name_of(plan)}-{kind}.gguf", out / f"mmproj-{name_of(plan)}-{kind}.gguf"

    def add(writer, name, array):
        if array.ndim < 2 or name.startswith("v.position_embd"):
            writer.add_tensor(name, np.ascontiguousarray(array, np.float32))
        elif kind == "F16" or name.startswith("v.patch_embd"):
            writer.add_tensor(name, np.ascontiguousarray(array).astype(np.float16))
        else:
            stored = gguf.quants.quantize(np.ascontiguousarray(array), gguf.GGMLQuantizationType[kind])
            writer.add_tensor(name, stored, raw_dtype=gguf.GGMLQuantizationType[kind])

    def finish(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    writer = gguf.GGUFWriter(files[0], "qwen3vl")
    gguf_pair.text_keys(writer, spec, hf)
    for name, _, array in gguf_pair.text_tensors(spec, weights):
        add(writer, name, array)
    finish(writer)
    writer = gguf.GGUFWriter(files[1], "clip")
    gguf_pair.vision_keys(writer, spec)
    patch = weights["model.visual.patch_embed.proj.weight"]
    for t, suffix in ((0, ""), (1, ".1")):
        add(writer, "v.patch_embd.weight" + suffix, patch[:, :, t])
    for name, _, array in gguf_pair.vision_tensors(spec, weights):
        add(writer, name, array)
    finish(writer)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", default="long", choices=sorted(config.PLANS))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--state", help="file in the work folder")
    parser.add_argument("--out", type=Path, help="default: models/tiny/instruct, or thinking for a plan that teaches reasoning")
    parser.add_argument("--gguf", type=Path, help="also write GGUF pairs into this folder")
    parser.add_argument("--kinds", default="Q8_0,F16", help="of which types (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, F16)")
    args = parser.parse_args()
    plan = config.PLANS[args.plan]
    out = args.out or ROOT / "models" / "tiny" / plan.form
    print(folder(plan, args.work or ROOT / ".lab" / plan.name, out, args.state))
    for kind in args.kinds.split(",") if args.gguf else ():
        print(*gguf_files(plan, out, args.gguf, kind))


if __name__ == "__main__":
    main()
