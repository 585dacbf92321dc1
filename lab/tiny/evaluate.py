"""Held-out examination of an exported folder through transformers' model and `generate`, or of a running server.

Prompts come from the folder's own chat template and tokenizer; pixels from lab/pixels.py, which equals the published
processor bit for bit. Of a Thinking checkpoint the answer after its reasoning is marked; the row `reasoning` says how often it came to an end.

    python -m lab.tiny.evaluate --model models/tiny/instruct --count 50
    python -m lab.tiny.evaluate --server http://127.0.0.1:8080         the same through `weft serve`, many times faster
    python -m lab.tiny.evaluate --server http://127.0.0.1:8080 --name weft-tiny-thinking

Pictures come from the generator with fonts, seeds, sizes and (rows marked `new words`) words that training never saw.
Prints one table by task; figures are shares of right answers unless the row says otherwise.
"""

import argparse
import base64
import dataclasses
import difflib
import io
import json
import random
import re
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import Qwen3VLForConditionalGeneration
from transformers.utils.chat_template_utils import render_jinja_template

from lab import pixels

from . import actions, browser, chat, clips, fonts, goals, question, questions, scenes, several, words

# Row, lines of filler (11.3 tokens each), most questions.
RECALL = [("1K tokens", 90, 50), ("4K tokens", 360, 50), ("32K tokens", 2750, 12)]
SEED = 1_000_003            # training seeds are strings of the plan's seed; this one is used nowhere else
BATCH = 16
# Sizes a user may send; the processor brings them to the trained areas.
SCREEN_SIZES = [(256, 256), (288, 224), (260, 240), (300, 216), (224, 288), (320, 240), (400, 300), (480, 360), (640, 480)]
NEW_WORDS = {"settings": "list", "sign": "read", "page": "page to HTML"}     # kinds with rows of words that training never showed, and what is asked there
REASONING_MAX = 160         # tokens of reasoning that an answer may take more
PICTURE_SIZES = SCREEN_SIZES + [(512, 512)]


@dataclass
class Item:
    row: str
    question: question.Question
    image: Image.Image | clips.Clip | None = None


def held_out(count: int, seed: int = SEED, kinds=None, pages: Path | None = None, toolkit: Path | None = None) -> list[Item]:
    """`count` questions for each row of the table; kinds: only these scene kinds (and `text`), None: all; pages: scenes that
    a browser drew (rows `browser, …`), toolkit: that Qt drew (rows `toolkit, …`).

    Each kind has its own random sequence, so a part of the table equals the same part of the whole."""
    rows = {}
    wanted_kinds = kinds or [*questions.MAKERS, "actions", "several", "text"]      # clips: only through a server
    paths = fonts.paths(held_out=True)

    def offer(row, item):
        if len(rows.setdefault(row, [])) < count:
            rows[row].append(item)

    passes = [(kind, kind, 1.0) for kind in questions.MAKERS if kind in wanted_kinds and kind in scenes.MAKERS]
    if "shapes" in wanted_kinds:
        passes.insert(0, ("few shapes", "shapes", 0.5))     # one to three
    for name, kind, level in passes:
        rng = random.Random(f"{seed}/{name}")
        for i in range(count * 3):
            width, height = rng.choice(PICTURE_SIZES if kind == "shapes" else SCREEN_SIZES)
            scene = scenes.make(kind, rng, width, height, paths, level)
            image = Image.fromarray(scene.image)
            asked = set()
            for q in questions.ask(scene, rng):
                if q.kind not in asked:       # one question of a kind about a picture
                    offer(f"{name}: {q.kind}", Item(f"{name}: {q.kind}", q, image))
                    asked.add(q.kind)
    for kind in (k for k in NEW_WORDS if k in wanted_kinds):
        rng = random.Random(f"{seed}/{kind}/new")
        for i in range(count):
            width, height = rng.choice(SCREEN_SIZES)
            scene = scenes.make(kind, rng, width, height, paths, novel=True)
            wanted = NEW_WORDS[kind]
            row = f"{kind}: {wanted} (new words)"
            q = next(q for q in questions.ask(scene, rng) if q.kind == wanted)
            offer(row, Item(row, q, Image.fromarray(scene.image)))
    rng = random.Random(f"{seed}/actions")
    for i in range(count * 2 if "actions" in wanted_kinds else 0):
        kind = rng.choice(list(actions.MAKERS))
        scene = scenes.make(kind, rng, *rng.choice(SCREEN_SIZES), paths)
        for q in {q.kind: q for q in actions.ask(scene, rng)}.values():
            offer(q.kind, Item(q.kind, q, Image.fromarray(scene.image)))
    drawn = [(by, scene) for by, folder in (("browser", pages), ("toolkit", toolkit)) if folder for scene in browser.Store(folder).all()]
    for by, scene in drawn:
        if scene.kind in wanted_kinds:
            rng, image = random.Random(f"{seed}/{scene.kind}/{scene.elements[0].box}"), Image.fromarray(scene.image)
            name = f"{by}, {'few ' if scene.kind == 'shapes' and len(scene.elements) <= 3 else ''}{scene.kind}"
            for q in {q.kind: q for q in questions.ask(scene, rng)}.values():
                offer(f"{name}: {q.kind}", Item(f"{name}: {q.kind}", q, image))
    if "clips" in wanted_kinds:
        rng = random.Random(f"{seed}/clips")
        for _ in range(count * 2):
            clip = clips.make(rng, *rng.choice([(128, 96), (160, 128), (192, 128)]), rng.randint(2, 8))
            clip.begin = 0.0     # a list of frames has no other beginning
            for q in {q.kind: q for q in clips.ask(clip, rng)}.values():
                offer(q.kind, Item(q.kind, q, clip))
    for q in chat.questions(random.Random(f"{seed}/text"), count * 8) if "text" in wanted_kinds else ():
        offer(f"text: {q.kind}", Item(f"text: {q.kind}", q))
    rng = random.Random(f"{seed}/several")
    for _ in range(count * 2 if "several" in wanted_kinds else 0):
        size, kinds_here = rng.choice(PICTURE_SIZES), rng.choices(["shapes", "settings", "home", "dialog"], [3, 1, 1, 1], k=rng.choice([2, 2, 3]))
        made = [scenes.make(kind, rng, *(size if set(kinds_here) == {"shapes"} else (256, 256)), paths) for kind in kinds_here]
        images = [Image.fromarray(s.image) for s in made]
        for q in {q.kind if q.kind in ("which picture", "which kind", "pictures") else "one of them": q for q, _ in several.ask(made, rng)}.values():
            name = q.kind if q.kind in ("which picture", "which kind", "pictures") else "a question about one"
            if q.kind != "locate" and not q.elements and name not in ("describe",):
                offer(f"several: {name}", Item(f"several: {name}", q, images))
    for name, lines, asked in RECALL if "recall" in wanted_kinds else ():
        rng = random.Random(f"{seed}/recall/{name}")
        for _ in range(min(count, asked)):
            head, found = chat.recall(rng, lines, words.invented)
            q = found[0]
            offer(f"recall: {name}", Item(f"recall: {name}", dataclasses.replace(q, text=head + q.text)))
    return [item for row in rows.values() for item in row]


class Answer(str):
    """An answer's text. reasoning: what came before it; None from a model that does not reason. ended: whether an answer came at all
    after the reasoning."""
    reasoning: str | None = None
    ended: bool = True


def after_reasoning(text: str) -> Answer:
    """The answer in the output of a Thinking model, whose prompt ended with `<think>`."""
    reasoning, mark, rest = text.partition("</think>")
    answer = Answer(rest.lstrip("\n"))
    answer.reasoning, answer.ended = reasoning.strip("\n"), bool(mark)
    return answer


class Answerer:
    """Greedy answers of a checkpoint folder, in batches, from nothing but its files."""

    def __init__(self, folder: Path):
        read = lambda name: json.loads((Path(folder) / name).read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.template = (Path(folder) / "chat_template.jinja").read_text(encoding="utf-8")
        self.size, self.generation = read("preprocessor_config.json"), read("generation_config.json")
        self.model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        hello = [[{"role": "user", "content": "Hello"}]]
        self.thinks = render_jinja_template(conversations=hello, chat_template=self.template, add_generation_prompt=True)[0][0].endswith("<think>\n")

    def _prepare(self, text, image, system=""):
        """(ids, normalised patches of each picture, their grids) of one question about a picture, a list of them or none."""
        content, patches, grids, limits = [{"type": "text", "text": text}], [], [], self.size["size"]
        for one in image if isinstance(image, list) else [image] if image is not None else []:
            content.insert(0, {"type": "image"})
            own, grid = pixels.image_patches(np.asarray(one.convert("RGB")), limits["shortest_edge"], limits["longest_edge"])
            patches.append(pixels.normalise(own, self.size["image_mean"], self.size["image_std"]))
            grids.append(grid)
        prompt = render_jinja_template(conversations=[_conversation(system, content)], chat_template=self.template,
                                       add_generation_prompt=True)[0][0]
        parts = prompt.split("<|image_pad|>")
        prompt = parts[0] + "".join("<|image_pad|>" * (grid[0] * grid[1] * grid[2] // 4) + part for grid, part in zip(grids, parts[1:]))
        return self.tokenizer.encode(prompt, add_special_tokens=False).ids, patches, grids

    @torch.no_grad()
    def __call__(self, items: list[tuple], limit: int = 220) -> list[Answer]:
        """Answers to (question, picture or None) or (question, picture or None, system message)."""
        ready = [self._prepare(*item) for item in items]
        pad, ends = self.generation["pad_token_id"], self.generation["eos_token_id"]
        length = max(len(r[0]) for r in ready)
        ids = torch.tensor([[pad] * (length - len(r[0])) + r[0] for r in ready])
        mask = torch.tensor([[0] * (length - len(r[0])) + [1] * len(r[0]) for r in ready])
        inputs = dict(input_ids=ids, attention_mask=mask, mm_token_type_ids=(ids == self.model.config.image_token_id).int())
        if any(r[2] for r in ready):
            inputs.update(pixel_values=torch.from_numpy(np.concatenate([p for r in ready for p in r[1]])),
                          image_grid_thw=torch.tensor([g for r in ready for g in r[2]]))
        self.model.model.rope_deltas = None
        out = self.model.generate(**inputs, max_new_tokens=limit + REASONING_MAX * self.thinks, do_sample=False, eos_token_id=ends, pad_token_id=pad)
        answers = []
        for row in out[:, length:].tolist():
            stop = next((i for i, t in enumerate(row) if t in ends), len(row))
            said = self.tokenizer.decode(row[:stop], skip_special_tokens=False)
            answers.append(after_reasoning(said) if self.thinks else Answer(said))
        return answers


def _conversation(system: str, content) -> list[dict]:
    return [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": content}]


def _data_url(image: Image.Image) -> str:
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()


def served(url: str) -> dict[str, dict]:
    """What a server says of each of its models, by name, in its order."""
    with urllib.request.urlopen(url.rstrip("/") + "/v1/models", timeout=30) as answer:
        return {m["id"]: m for m in json.load(answer)["data"]}


class ServerAnswerer:
    """Greedy answers of a running server with the OpenAI-compatible interface (`weft serve`), as a user gets them."""

    def __init__(self, url: str, name: str | None = None):
        self.url, models = url.rstrip("/"), served(url)
        self.model = name or next(iter(models))
        self.thinks = bool(models[self.model].get("weft", {}).get("thinking"))

    def __call__(self, items, limit: int = 220) -> list[Answer]:
        return [self._ask(*item, limit=limit + REASONING_MAX * self.thinks) for item in items]

    def _ask(self, text, image, system="", *, limit) -> Answer:
        content = [{"type": "text", "text": text}]
        if isinstance(image, clips.Clip):
            frames = [_data_url(Image.fromarray(f)) for f in image.frames]
            content.insert(0, {"type": "video", "video": frames, "fps": 2 / image.spacing})
        elif image is not None:
            content[:0] = [{"type": "image_url", "image_url": {"url": _data_url(one)}} for one in (image if isinstance(image, list) else [image])]
        body = {"model": self.model, "messages": _conversation(system, content), "temperature": 0, "max_tokens": limit}
        request = urllib.request.Request(self.url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            message = json.load(answer)["choices"][0]["message"]
        said = Answer(message.get("content") or "")
        if self.thinks:
            said.reasoning, said.ended = message.get("reasoning_content") or "", bool(said)
        return said


def overlap(a, b) -> float:
    """Intersection over union of two boxes."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, w) * max(0, h)
    return both / max(1e-9, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def centre_inside(box, true) -> bool:
    """Whether the centre of `box` lies in the box `true`."""
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return true[0] <= cx <= true[2] and true[1] <= cy <= true[3]


def parsed_boxes(answer: str) -> list[tuple[list[int], str]]:
    """[(box, label)] of an answer; [] when it is not valid JSON of boxes."""
    try:
        found = json.loads(answer)
        return [(b["bbox_2d"], b["label"]) for b in found if len(b["bbox_2d"]) == 4 and all(isinstance(v, int) for v in b["bbox_2d"])]
    except (ValueError, TypeError, KeyError):
        return []


def score(item: Item, answer: str) -> dict[str, float]:
    """Named figures of one answer, each 0..1."""
    q = item.question
    if q.elements:
        found = parsed_boxes(answer)
        right = sum(any(label == name and overlap(box, true) > 0.5 for box, label in found) for true, name in q.elements)
        return {"found (name and IoU > 0.5)": right / len(q.elements), "extra-free": float(len(found) <= len(q.elements))}
    if q.kind == "locate":
        found = parsed_boxes(answer)
        box = found[0][0] if found else [0, 0, 0, 0]
        return {"centre inside": float(bool(found) and centre_inside(box, q.box)), "IoU > 0.5": float(overlap(box, q.box) > 0.5)}
    if q.kind == "point":
        point = re.search(r'"point_2d":\s*\[(\d+),\s*(\d+)\]', answer)
        inside = point and q.box[0] <= int(point[1]) <= q.box[2] and q.box[1] <= int(point[2]) <= q.box[3]
        return {"inside": float(bool(inside))}
    if q.kind == "action" and q.box:
        click = re.search(r'"left_click",\s*"coordinate":\s*\[(\d+),\s*(\d+)\]', answer)
        return {"click inside": float(bool(click) and q.box[0] <= int(click[1]) <= q.box[2] and q.box[1] <= int(click[2]) <= q.box[3])}
    exact = float(answer.strip() == q.answer)
    if q.kind == "describe" and "shapes:" in item.row:
        names = lambda t: set(re.findall(r"(\w+ (?:circle|square|triangle|star|diamond|rectangle)) (?:at|in)", t))
        true, said = names(q.answer), names(answer)
        return {"exact": exact, "objects right": len(true & said) / max(1, len(true | said))}
    if q.kind == "clip: when":
        seconds = lambda t: [int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in re.findall(r"(\d+):(\d+):(\d+)", t)]
        true, said = seconds(q.answer), seconds(answer)
        return {"exact": exact, "both ends within 1 s": float(len(said) == 2 and all(abs(a - b) <= 1 for a, b in zip(true, said)))}
    if q.kind in ("describe", "read", "list", "title", "clip: describe"):
        return {"exact": exact, "characters alike": difflib.SequenceMatcher(None, q.answer, answer.strip(), autojunk=False).ratio()}
    if q.kind == "page to HTML":
        tags = lambda t: re.findall(r"<[^<>]*>", t)
        words = lambda t: " ".join(re.sub(r"<[^<>]*>|```(?:html)?", " ", t).split())
        return {"tags exact": float(tags(answer) == tags(q.answer)),
                "characters alike": difflib.SequenceMatcher(None, words(q.answer), words(answer), autojunk=False).ratio()}
    if q.kind == "form to JSON":
        return {"exact": exact, "fields right": _fields_right(answer, json.loads(q.answer))}
    return {"exact": exact}


def _fields_right(answer: str, true: dict) -> float:
    """The share of an object's fields that an answer has with the same value; fields that it invents count against it."""
    try:
        said = json.loads(answer)
    except ValueError:
        return 0.0
    if not isinstance(said, dict):
        return 0.0
    return sum(k in said and said[k] == v for k, v in true.items()) / max(1, len(true.keys() | said.keys()))


def examine(answerer, count: int, seed: int = SEED, show: int = 0, kinds=None, pages=None, toolkit=None) -> dict:
    """{row: {figure: mean, "n": questions}} of an answerer."""
    items = held_out(count, seed, kinds, pages, toolkit)
    items.sort(key=lambda i: (i.image is None, len(i.question.answer)))
    figures, shown = {}, {}
    for start in range(0, len(items), BATCH):
        batch = items[start:start + BATCH]
        if any(i.image is None for i in batch) and any(i.image is not None for i in batch):
            groups = [[i for i in batch if i.image is not None], [i for i in batch if i.image is None]]
        else:
            groups = [batch]
        for group in groups:
            longest = max(len(i.question.answer) for i in group)
            for item, answer in zip(group, answerer([(i.question.text, i.image, i.question.system) for i in group], limit=40 + longest)):
                for name, value in score(item, answer).items():
                    figures.setdefault(item.row, {}).setdefault(name, []).append(value)
                shown.setdefault(item.row, []).append((item.question.text, item.question.answer, answer))
                if answer.reasoning is not None:
                    figures.setdefault("reasoning", {}).setdefault("ended", []).append(float(answer.ended))
    for row in sorted(shown) if show else ():
        for text, wanted, got in shown[row][:show]:
            thought = "" if got.reasoning is None else f" | thought {got.reasoning!r}"
            print(f"{row} | {text} | wanted {wanted!r} | got {str(got)!r}{thought}")
    return {row: {**{k: round(float(np.mean(v)), 3) for k, v in f.items()}, "n": max(map(len, f.values()))}
            for row, f in sorted(figures.items())}


def table(results: dict) -> str:
    """The figures as a Markdown table."""
    lines = ["| task | questions | figures |", "|---|---|---|"]
    for row, f in results.items():
        lines.append(f"| {row} | {f['n']} | " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in f.items() if k != "n") + " |")
    return "\n".join(lines)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a checkpoint folder, answered by transformers")
    source.add_argument("--server", help="address of a running server, as http://127.0.0.1:8080")
    parser.add_argument("--name", help="with --server: which of its models; default: the first")
    parser.add_argument("--count", type=int, default=50, help="questions for each row")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--show", type=int, default=0, help="answers to print for each row")
    parser.add_argument("--kinds", nargs="*", help="only these: " + " ".join([*questions.MAKERS, "actions", "several", "text", "recall", "clips (server only)"]))
    parser.add_argument("--pages", type=Path, help="a folder that lab.tiny.browser filled with --held-out")
    parser.add_argument("--toolkit", type=Path, help="a folder that lab.tiny.toolkit filled with --held-out")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    began = time.time()
    results = examine(ServerAnswerer(args.server, args.name) if args.server else Answerer(args.model), args.count, args.seed, args.show, args.kinds, args.pages,
                      args.toolkit)
    print(table(results), goals.table(results), sep="\n\n")
    print(f"{sum(f['n'] for f in results.values())} questions, {time.time() - began:.0f} s, seed {args.seed}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
