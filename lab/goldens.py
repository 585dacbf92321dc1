"""Makes tests/golden/models: small random checkpoints, requests, and what transformers computes for them.

Each model folder holds model/ (the checkpoint), one folder per request (request.json, prompt.txt, arrays) and
manifest.json. Seeds are searched from the catalog's until the greedy tokens are safe: no near tie, no end token, not one
token over and over. Long arrays are stored as chosen rows; the manifest names the rows.

usage: python goldens.py [--out DIR] [--only NAME ...]"""
import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import gguf_pair
import models
import pictures
import reference
from models import Spec

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
MARGIN_GREEDY, MARGIN_ROUTER, DISTINCT_MIN = 0.01, 1e-4, 8
SEEDS_MAX = 200


def small(**changes) -> Spec:
    return Spec(**{**dict(layers=2, heads=2, kv_heads=1, vocab=608, v_hidden=16, v_heads=1, v_ffn=40, hidden=48), **changes})


def image(name: str) -> dict:
    return {"type": "image_url", "image_url": {"url": f"file://{{DIR}}/media/{name}"}}


def clip(name: str) -> dict:
    return {"type": "video_url", "video_url": {"url": f"file://{{DIR}}/media/{name}"}}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def user(*parts) -> dict:
    return {"role": "user", "content": parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(parts)}


CLICK = {"type": "function", "function": {
    "name": "click", "description": "Click at a point – größer, 点击.", "parameters": {
        "type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "minimum": 0}},
        "required": ["x", "y"]}}}
ZOOM = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object", "properties": {
    "bbox_2d": {"type": "array", "items": {"type": "number"}}, "strict": {"type": "boolean", "default": False}}}}}

ASK_IMAGE = {"messages": [user(image("shapes.png"), text("What is shown in this picture?"))]}
ASK_TEXT = {"messages": [{"role": "system", "content": "You are a helpful assistant."},
                         user("It's 7 o'clock; où est la Straße? 你好 e\u0301 🙂\n\n  Answer:")]}
TWO_IMAGES = {"messages": [user(text("Compare "), image("wide.png"), text(" and "), image("alpha.png"), text("."))],
              "chat_template_kwargs": {"add_vision_id": True}}
PHOTO = {"messages": [user(image("turned.jpg"), text("Read the text."))]}
TOOLS = {"messages": [{"role": "system", "content": "Act."}, user(image("small.png"), text("Click the red circle.")),
                      {"role": "assistant", "content": None, "tool_calls": [
                          {"id": "1", "type": "function", "function": {"name": "click", "arguments": "{\"x\": 500, \"y\": 250}"}},
                          {"id": "2", "type": "function", "function": {"name": "zoom", "arguments": "{\"bbox_2d\": [1, 2, 30, 40]}"}}]},
                      {"role": "tool", "tool_call_id": "1", "content": "done"},
                      {"role": "tool", "tool_call_id": "2", "content": [text("zoomed: "), image("wide.png")]}],
         "tools": [CLICK, ZOOM]}
THINK = {"messages": [{"role": "system", "content": [text("First.")]}, user("How many?"),
                      {"role": "assistant", "content": "<think>\nOne, two.\n</think>\n\nTwo."},
                      {"role": "system", "content": "Second."}, user(text("And "), image("small.png"), text("here?")),
                      {"role": "assistant", "reasoning_content": "I should look.", "content": "Let me see.", "tool_calls": [
                          {"id": "1", "type": "function", "function": {"name": "zoom", "arguments": "{}"}}]},
                      {"role": "tool", "tool_call_id": "1", "content": "nothing"}], "tools": [ZOOM]}
VIDEO = {"messages": [user(clip("long.avi"), text("Describe the video."))]}
MIXED = {"messages": [user(text("First the picture: "), image("small.png"), text("then the clip "), clip("ball.avi"),
                           text("and again "), image("gray.webp"), text(". What moves?"))],
         "chat_template_kwargs": {"add_vision_id": True}}
FOLLOW_UP = {"messages": [user(image("small.png"), text("What is it?")), {"role": "assistant", "content": "A circle."},
                          user("Are you sure?")]}

# name: (spec, {request name: request})
FOLDERS = {
    "dense_tied": (small(heads=4, kv_heads=2, v_hidden=32, v_heads=2, taps=(0,)), {"text": ASK_TEXT, "image": ASK_IMAGE, "two_images": TWO_IMAGES}),
    "untied_f16": (small(tied=False, heads=2, kv_heads=2, layers=2, storage="f16", config_style="parameters", taps=(1, 3),
                         v_layers=4, merges="strings", template_place="json"), {"photo": PHOTO, "tools": TOOLS}),
    "head128": (small(head_dim=128, section=(24, 20, 20), table_side=48), {"image": ASK_IMAGE}),
    "section_16_8_8": (small(hidden=64, section=(16, 8, 8), theta=10_000), {"two_images": TWO_IMAGES}),
    "vision_head64": (small(v_hidden=64, v_heads=1, v_ffn=80, v_layers=2, taps=(1,)), {"image": ASK_IMAGE}),
    "vision_head72": (small(v_hidden=72, v_heads=1, v_ffn=100, v_layers=2, taps=(0,), table_side=12), {"photo": PHOTO}),
    "vision_head12": (small(v_hidden=24, v_heads=2, v_layers=4, taps=(0, 2, 3), layers=3), {"image": ASK_IMAGE, "follow_up": FOLLOW_UP}),
    "yarn": (small(theta=10_000, max_position=768, rope={"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 64}),
             {"image": ASK_IMAGE, "text": ASK_TEXT}),
    "linear": (small(theta=10_000, rope={"rope_type": "linear", "factor": 2.0}, config_style="parameters"), {"image": ASK_IMAGE}),
    "moe": (small(experts=5, experts_per_token=2, mlp_only=(0,), layers=3, shards=2), {"image": ASK_IMAGE}),
    "moe_out_in": (small(experts=5, experts_per_token=3, expert_layout="out_in", sparse_step=2, tied=False, norm_topk=False,
                         expert_ffn=40, config_style="parameters", storage="f16"), {"text": ASK_TEXT, "photo": PHOTO}),
    "fp8": (small(hidden=160, ffn=144, head_dim=64, heads=2, kv_heads=1, storage="fp8", shards=3), {"image": ASK_IMAGE}),
    "fp8_moe": (small(experts=4, storage="fp8", expert_layout="separate", experts_per_token=2), {"image": ASK_IMAGE}),
    "thinking": (small(template="thinking", template_place="tokenizer_config"), {"think": THINK, "video": VIDEO}),
    "video": (small(mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28), video_max_pixels=40 * 1024), {"video": VIDEO, "mixed": MIXED}),
    "gqa_f32": (small(heads=6, kv_heads=2, head_dim=32, section=(6, 5, 5), v_layers=2, taps=(1,), storage="f32", pixel_keys="min_max"),
                {"follow_up": FOLLOW_UP}),
}
# name: (spec, text types, vision types, tensors per split file, requests)
PAIRS = {
    "gguf_k": (small(hidden=256, ffn=256, heads=2, kv_heads=1, head_dim=128, section=(24, 20, 20), tied=False, v_layers=2, taps=(0,)),
               {"token_embd*": "Q6_K", "*0.attn_v*": "Q5_K", "*attn_v*": "Q6_K", "*ffn_down*": "Q5_K", "*": "Q4_K"},
               {"*": "F16"}, 0, {"image": ASK_IMAGE}),
    "gguf_legacy": (small(hidden=64, tied=False, v_hidden=32, v_ffn=64, v_layers=2, taps=(0,), ffn=64),
                    {"*attn_q.*": "Q4_0", "*attn_k.*": "Q4_1", "*attn_v.*": "Q5_0", "*attn_output*": "Q5_1", "output.weight": "BF16",
                     "*ffn_up*": "F32", "*ffn_down*": "F16", "*": "Q8_0"}, {"*ffn_down*": "F32", "*attn_qkv*": "BF16", "*": "Q8_0"},
                    0, {"text": ASK_TEXT, "image": ASK_IMAGE}),
    "gguf_moe_split": (small(hidden=64, experts=4, experts_per_token=2, expert_ffn=64, theta=10_000, template="thinking",
                             rope={"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64}),
                       {"*ffn_gate_inp*": "F32", "*_exps*": "Q8_0", "*": "F16"}, {"*": "F16"}, 10, {"photo": PHOTO, "think": THINK}),
}


def build(name: str, spec: Spec, folder: Path, twin: Path) -> tuple[Path, reference.Reference]:
    """Writes the checkpoint; returns the path to open and the reference that holds the same numbers."""
    shutil.rmtree(folder, ignore_errors=True)
    if name in PAIRS:
        _, types, vision_types, split, _ = PAIRS[name]
        path, exact = gguf_pair.write_pair(spec, folder, name, types, vision_types, split, twin)
        return path, reference.Reference(twin, exact, spec)
    exact = models.write_folder(spec, folder)
    by_value = spec.storage == "fp8" or spec.expert_layout == "separate"
    return folder, reference.Reference(folder, exact if by_value else None, spec)


def safe(result: dict, count: int = reference.GREEDY_TOKENS) -> bool:
    ids = result["greedy_ids"]
    return (len(ids) == count and len(set(ids.tolist())) >= DISTINCT_MIN and result["margins"]["greedy"] > MARGIN_GREEDY
            and result["margins"]["router"] > MARGIN_ROUTER)


def rows_of(count: int, wanted: int) -> list[int]:
    """About `wanted` rows spread over `count`, the last one among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, wanted)).round().astype(int).tolist()))


def write_request(folder: Path, request: dict, result: dict) -> dict:
    """Files of one request; returns its manifest entry."""
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps(request, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "prompt.txt").write_bytes(result["prompt"].encode())
    arrays, rows = {}, {}
    for key, value in result.items():
        if key in ("prompt", "margins", "pixel_values", "video_pixel_values"):
            continue
        if key.endswith("_u8"):  # before normalisation: exact, and a quarter of the size
            means = key.replace("_u8", "_means")
            arrays[means] = result[key[:-3]].astype(np.float64).mean(axis=1)
            rows[key[:-3]] = rows_of(len(value), 6)
            value = value[rows[key[:-3]]]
        elif key == "logits" or key.startswith("hidden_"):
            rows[key] = rows_of(len(value), 4)
            value = value[rows[key]]
        elif key == "position_ids":
            value = np.ascontiguousarray(value)
        arrays[key] = value
    for key, value in arrays.items():
        np.save(folder / f"{key}.npy", value)
    return {"name": folder.name, "rows": rows, "tokens": len(result["input_ids"]), "margins": result["margins"],
            "arrays": {key: [str(value.dtype), *value.shape] for key, value in arrays.items()}}


def make(name: str, out: Path) -> None:
    started = time.time()
    entry = PAIRS.get(name) or FOLDERS[name]
    spec, requests = entry[0], entry[-1]
    target = out / "models" / name
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as twin:
        for attempt in range(SEEDS_MAX):
            trial = dataclasses.replace(spec, seed=spec.seed + attempt)
            path, run = build(name, trial, target / "model", Path(twin))
            results = {}
            for key, request in requests.items():
                results[key] = run.run(request, out)
                if not safe(results[key]):
                    break
            else:
                break
        else:
            raise SystemExit(f"{name}: no seed of {SEEDS_MAX} gives safe greedy tokens")
    manifest = {"name": name, "model": str(path.relative_to(target)), "spec": dataclasses.asdict(trial),
                "requests": [write_request(target / key, requests[key], result) for key, result in results.items()]}
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    size = sum(f.stat().st_size for f in target.rglob("*") if f.is_file())
    print(f"{name}: seed {trial.seed}, {size // 1024} KiB, {time.time() - started:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="make the golden models anew")
    parser.add_argument("--out", type=Path, default=GOLDEN)
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    pictures.write_media(args.out / "media")
    for name in args.only or [*FOLDERS, *PAIRS]:
        make(name, args.out)


if __name__ == "__main__":
    main()
