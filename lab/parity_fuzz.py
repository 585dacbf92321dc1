"""Unseen random models and conversations: runs transformers and weft on each and reports where they differ.

Shapes, storage, rotary scaling, pictures (sizes, formats), clips, tools, reasoning, templates are all drawn from the seed,
so a case can be made again by its number. A folder of a case that differs is kept.

usage: WEFT_BIN=… python parity_fuzz.py [--count N] [--seed S] [--case I] [--keep DIR] [--no-video] [--kind folder|gguf]"""
import argparse
import itertools
import json
import random
import shutil
import sys
import time
import traceback
from pathlib import Path

import numpy as np
from PIL import Image

import gguf_pair
import models
import pictures
import reference
import video

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "python"))
import parity  # noqa: E402

MARGIN_MIN = 2e-4  # a smaller gap between the best two tokens (or experts) decides nothing
WORDS = ("What is shown here? ", "It's 12:45, we'll see.\n", "Größe: 1,024.50 € ", "你好，世界 ", "e\u0301a\u0308 ", "def f(x):\n    return x\n",
         "🙂👩‍👩‍👧 ", "  \t two  spaces ", "Привет ", "{\"bbox_2d\": [1, 2]} ", "\r\n\r\n", "a" * 60 + " ", "<|im_en d|> ", "</ tool_call> ")


def random_spec(rng: random.Random) -> models.Spec:
    head_dim = rng.choice([32, 64, 64, 128, 128, 96])
    section = {32: [(6, 5, 5), (8, 4, 4)], 64: [(12, 10, 10), (16, 8, 8), (8, 12, 12)], 96: [(18, 15, 15)], 128: [(24, 20, 20), (32, 16, 16)]}[head_dim]
    kv_heads = rng.choice([1, 2, 3])
    v_heads = rng.choice([1, 2, 4])
    v_hidden = v_heads * rng.choice([8, 12, 16, 20, 24, 36, 64, 72])
    v_layers, layers = rng.randint(1, 5), rng.randint(1, 4)
    taps = tuple(sorted(rng.sample(range(v_layers), rng.randint(0, min(v_layers, layers, 3)))))
    rope = rng.choice([{}, {}, {}, {"rope_type": "linear", "factor": rng.choice([2.0, 3.5])},
                       {"rope_type": "yarn", "factor": rng.choice([2.0, 3.0]), "original_max_position_embeddings": rng.choice([32, 64, 4096])}])
    moe = rng.random() < 0.3
    experts = rng.randint(2, 8) if moe else 0
    hidden = rng.choice([48, 64, 80, 112])
    expert_ffn = rng.choice([24, 40, 72])
    spec = models.Spec(
        seed=rng.randrange(1 << 30), hidden=hidden, layers=layers, heads=kv_heads * rng.choice([1, 2, 4]), kv_heads=kv_heads,
        head_dim=head_dim, ffn=rng.choice([56, 96, 200]), vocab=rng.choice([602, 640, 777]), tied=rng.random() < 0.5,
        theta=rng.choice([10_000, 1_000_000, 5_000_000]), section=rng.choice(section), rope=rope, experts=experts,
        experts_per_token=rng.randint(1, experts) if moe else 0, expert_ffn=expert_ffn, mlp_only=(0,) if rng.random() < 0.2 else (),
        sparse_step=rng.choice([1, 1, 2]), v_hidden=v_hidden, v_layers=v_layers, v_heads=v_heads, v_ffn=rng.choice([40, 64, 130]),
        taps=taps, table_side=rng.choice([4, 12, 16, 24, 48]), storage=rng.choice(["f32", "f16", "bf16", "bf16", "fp8"]),
        config_style=rng.choice(["published", "parameters"]), shards=rng.choice([1, 1, 2, 4]),
        expert_layout=rng.choice(["in_out", "out_in", "separate"]), template=rng.choice(["instruct", "thinking"]),
        template_place=rng.choice(["jinja", "tokenizer_config", "json"]), merges=rng.choice(["pairs", "strings"]),
        min_pixels=rng.choice([1024, 4096, 16384]), max_pixels=rng.choice([20_000, 65_536, 150_000]),
        video_max_pixels=rng.choice([30_000, 100_000]), pixel_keys=rng.choice(["size", "min_max"]),
        mean=rng.choice([(0.5, 0.5, 0.5), (0.48, 0.46, 0.41)]), std=rng.choice([(0.5, 0.5, 0.5), (0.27, 0.26, 0.28)]))
    if spec.moe and spec.storage == "fp8" and spec.expert_layout != "separate":
        spec.expert_ffn = 128  # gate and up of a fused FP8 tensor end at a scale block, as in every published shape
    return spec


def for_gguf(spec: models.Spec, rng: random.Random) -> tuple[models.Spec, dict, dict, int]:
    """What a GGUF can say: rows of whole blocks, every layer alike, the template beside the tokenizer."""
    k_types = rng.random() < 0.5 and not spec.moe
    spec.hidden, spec.ffn, spec.expert_ffn = (256, 256, 64) if k_types else (64, 96, 64)
    if k_types:
        spec.heads, spec.kv_heads, spec.head_dim, spec.section = 2, 1, 128, (24, 20, 20)
    spec.v_hidden, spec.v_heads, spec.v_ffn = rng.choice([(32, 2, 64), (64, 1, 96), (288, 4, 96)])
    spec.mlp_only, spec.sparse_step, spec.template_place = (), 1, "jinja"
    kinds = ["Q4_K", "Q5_K", "Q6_K"] if k_types else ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "F16", "BF16", "F32"]
    names = ["token_embd*", "output.weight", "*attn_q.*", "*attn_k.*", "*attn_v.*", "*attn_output*", "*ffn_gate.*", "*ffn_up*", "*ffn_down*"]
    policy = {"*ffn_gate_inp*": "F32", **{name: rng.choice(kinds) for name in names}, "*": kinds[0]}
    return spec, policy, {"*": rng.choice(["F16", "F32", "Q8_0", "BF16"])}, rng.choice([0, 0, 9])


def random_picture(rng: random.Random, path: Path) -> str:
    width, height = rng.choice([(rng.randint(8, 320), rng.randint(8, 320)), (rng.randint(32, 200), rng.randint(2, 12)), (64, 64), (32, 33)])
    picture = pictures.scene(max(width, 4), max(height, 4), rng.randrange(10_000))
    kind = rng.choice(["png", "png", "alpha", "palette", "gray", "jpg", "webp"])
    name = f"{path.name}.{'png' if kind in ('png', 'alpha', 'palette', 'gray') else kind}"
    if kind == "alpha":
        picture.putalpha(Image.fromarray(np.random.default_rng(width).integers(0, 256, (picture.height, picture.width), np.uint8)))
    elif kind == "palette":
        picture = picture.quantize(rng.choice([2, 16, 200]))
    elif kind == "gray":
        picture = picture.convert("L")
    options = {}
    if kind == "jpg":
        options = {"quality": rng.choice([50, 90, 100]), "subsampling": rng.choice([0, 1, 2]), "progressive": rng.random() < 0.5}
        exif = Image.Exif()
        exif[0x0112] = rng.randint(1, 8)
        options["exif"] = exif
    elif kind == "webp":
        options = {"lossless": True}
    picture.save(path.parent / name, **options)
    return name


def random_request(rng: random.Random, folder: Path, spec: models.Spec, with_video: bool) -> dict:
    counter = iter(range(100))

    def part():
        kind = rng.choice(["text", "text", "image", "image", "video" if with_video else "image"])
        if kind == "text":
            return {"type": "text", "text": "".join(rng.choices(WORDS, k=rng.randint(1, 4)))}
        stem = folder / f"media{next(counter)}"
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": "file://{DIR}/" + random_picture(rng, stem)}}
        frames = rng.randint(2, 20)
        video.write_avi(folder / f"{stem.name}.avi", pictures.moving_ball(frames, rng.randint(32, 90), rng.randint(24, 90)), rng.choice([1, 2, 5, 10, 25]))
        return {"type": "video_url", "video_url": {"url": f"file://{{DIR}}/{stem.name}.avi"}}

    def content():
        return "".join(rng.choices(WORDS, k=3)) if rng.random() < 0.3 else [part() for _ in range(rng.randint(1, 3))]

    messages = [{"role": "system", "content": rng.choice(["Be brief.", [{"type": "text", "text": "Act."}]])}] if rng.random() < 0.5 else []
    request, tools = {"messages": messages}, rng.random() < 0.3
    if tools:
        request["tools"] = [{"type": "function", "function": {"name": "click", "description": "点击 \"it\" <now>", "parameters": {
            "type": "object", "properties": {"x": {"type": "integer", "default": 0}, "scale": {"type": "number", "maximum": 1.5}}}}}]
    for _ in range(rng.randint(1, 3)):
        messages.append({"role": "user", "content": content()})
        answer = {"role": "assistant", "content": rng.choice(["Yes.", "<think>\nhm\n</think>\n\nNo.", "Two\nlines"])}
        if spec.template == "thinking" and rng.random() < 0.4:
            answer["reasoning_content"] = "Let me think.\n"
        if tools and rng.random() < 0.7:
            answer["tool_calls"] = [{"id": str(i), "type": "function", "function": {"name": "click", "arguments": json.dumps({"x": i, "note": "é"})}}
                                    for i in range(rng.randint(1, 2))]
            answer["content"] = rng.choice([None, "", "Clicking."])
            messages += [answer, {"role": "tool", "tool_call_id": "0", "content": content()}]
        else:
            messages.append(answer)
    if messages[-1]["role"] == "assistant":
        messages.pop()
    if rng.random() < 0.3:
        request["chat_template_kwargs"] = {"add_vision_id": rng.random() < 0.8}
    return request


def before_end(ids: list, ends: set) -> list:
    """Up to the first end token: a GGUF names one of them, a folder several."""
    return list(itertools.takewhile(lambda i: i not in ends, ids))


def run_case(number: int, seed: int, folder: Path, kind: str | None, with_video: bool) -> tuple[list, str]:
    """(deviations, one line of description)."""
    rng = random.Random(f"{seed}/{number}")
    spec = random_spec(rng)
    as_gguf = kind == "gguf" or (kind is None and rng.random() < 0.35)
    model_dir, twin = folder / "model", folder / "twin"
    if as_gguf:
        spec, policy, vision_policy, split = for_gguf(spec, rng)
        path, exact = gguf_pair.write_pair(spec, model_dir, "m", policy, vision_policy, split, twin)
        run = reference.Reference(twin, exact, spec)
        what = f"gguf {policy.get('*attn_q.*')} vision {vision_policy['*']}"
    else:
        exact = models.write_folder(spec, model_dir)
        by_value = spec.storage == "fp8" or spec.expert_layout == "separate"
        path, run = model_dir, reference.Reference(model_dir, exact if by_value else None, spec)
        what = f"folder {spec.storage}"
    what += (f" hd {spec.head_dim} {spec.heads}/{spec.kv_heads} v {spec.v_hidden}/{spec.v_heads} taps {spec.taps}"
             f" {spec.rope.get('rope_type', 'default')}{f' moe {spec.experts}' if spec.moe else ''} {spec.template}")
    request = random_request(rng, folder, spec, with_video and not as_gguf)
    (folder / "original.json").write_text(json.dumps(request, ensure_ascii=False), encoding="utf-8")
    expected = run.run(request, folder)
    margins, prompt = expected.pop("margins"), expected.pop("prompt")
    greedy = expected.pop("greedy_ids").tolist()
    whole = {name: value for name, value in expected.items() if not name.endswith("_u8")}
    # pixel values are compared by their own rule, which the name of the u8 array selects
    whole = {name: value for name, value in whole.items() if "pixel_values" not in name} | {
        name: value for name, value in expected.items() if name.endswith("_u8")}
    placed = parity.place_request(folder / "original.json", folder, folder)
    out = folder / "out"
    out.mkdir()
    if margins["router"] < 1e-6:
        return [], what + " (router tie: skipped)"
    parity.dump(path, placed, out)
    faults = parity.compare_dump(out, whole, prompt, {}, spec.mean, spec.std)
    if margins["greedy"] < MARGIN_MIN or margins["router"] < 1e-5:
        return faults, what + " (greedy near tie: not compared)"
    got, ends = parity.generate(path, placed), set(run.model.generation_config.eos_token_id)
    if before_end(got, ends) != before_end(greedy, ends):
        faults.append(f"greedy ids {got}, expected {greedy} (margin {margins['greedy']:.4f})")
    return faults, what


def main() -> None:
    parser = argparse.ArgumentParser(description="compare weft with transformers on unseen random models")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int)
    parser.add_argument("--kind", choices=("folder", "gguf"))
    parser.add_argument("--no-video", action="store_true")
    parser.add_argument("--keep", type=Path, default=Path("parity-cases"))
    args = parser.parse_args()
    bad, started = 0, time.time()
    for number in [args.case] if args.case is not None else range(args.count):
        folder = args.keep.resolve() / f"{args.seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            faults, what = run_case(number, args.seed, folder, args.kind, not args.no_video)
        except parity.WeftFailed as fault:
            faults, what = [str(fault)], "weft failed"
        except Exception:  # the reference itself failed: the case is void, but say so
            faults, what = ["REFERENCE: " + traceback.format_exc()], "reference failed"
        print(f"case {number}: {'differs' if faults else 'equal'}: {what}", flush=True)
        for fault in faults:
            print("   ", fault, flush=True)
        bad += bool(faults)
        if not faults and args.case is None:
            shutil.rmtree(folder)
    print(f"{bad} differ, {time.time() - started:.0f} s")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
