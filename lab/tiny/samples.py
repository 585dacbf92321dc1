"""Sample pictures for the page's front door, and the model card's table.

    python -m lab.tiny.samples --model models/tiny/instruct --out models/tiny

Draws scenes with seeds and fonts that training never used, keeps for each title the first one whose questions the model
answers right, and writes samples/*.png, samples/samples.json and the table between the marks in README.md.
A title without any right answer gets no sample.
"""

import argparse
import json
import random
from pathlib import Path

from PIL import Image

from . import evaluate, fonts, questions, scenes

SEED = 2_000_003
TRIES = 24
BYTES_MAX = 30_000
RATE_MIN = 0.6     # a task that the examination finds right less often gets no sample: the front door shall not flatter
# title, scene kind, question kind, exact question (None: any), elements in the scene (low, high)
WANTED = [
    ("What is in this picture?", "shapes", "describe", "What is in this picture?", (2, 3)),
    ("What colour is it?", "shapes", "colour", "What colour is the {shape}?", (2, 3)),
    ("What colour is the background?", "shapes", "background", "What colour is the background?", (1, 3)),
    ("Where is it?", "shapes", "locate", "Where is the {name}?", (2, 3)),
    ("Which shape is it?", "shapes", "shape", "What shape is {colour}?", (1, 3)),
    ("How many shapes?", "shapes", "count", "How many shapes are there?", (2, 3)),
    ("Is it there?", "shapes", "exists", None, (2, 3)),
    ("Above or below?", "shapes", "relation", None, (2, 3)),
    ("One colour of three", "shapes", "colour", "What colour is the {shape}?", (3, 3)),
    ("The colour of one shape", "shapes", "colour", "What is the colour of the {shape}?", (1, 1)),
    ("Which is the largest?", "shapes", "largest", None, (2, 3)),
    ("What is behind it?", "shapes", "background", "What color is the background?", (2, 3)),
    ("List the settings", "settings", "list", "List the settings.", (3, 5)),
    ("What does the sign say?", "sign", "read", "What does the sign say?", (1, 1)),
]
MARKS = ("<!-- figures -->", "<!-- end of figures -->")


def _question(scene, rng, kind, form):
    """A question of `kind` in exactly the wanted form, or None when this scene has none."""
    for q in questions.ask(scene, rng):
        if q.kind != kind:
            continue
        if form is None:
            return q if q.text.endswith("?") else None
        names = [form.format(shape=e.shape, name=e.name, colour=e.colour) for e in scene.elements]
        if q.text in names:
            return q
    return None


def _right(item, answer) -> bool:
    figures = evaluate.score(item, answer)
    return min(figures.values()) >= (1.0 if "characters alike" not in figures else 0.999)


def choose(answerer, title, kind, question_kind, form, wanted, seed):
    """(image, question) of the first scene with a right answer, or None. Figures of all tries do not matter here:
    the card's table tells how often such a question is answered right."""
    rng, paths, items = random.Random(f"{seed}/{title}"), fonts.paths(held_out=True), []
    for _ in range(TRIES * 40):
        if len(items) == TRIES:
            break
        scene = scenes.make(kind, rng, *rng.choice([(256, 256), (320, 256)]), paths)
        if not wanted[0] <= len(scene.elements) <= wanted[1]:
            continue
        q = _question(scene, rng, question_kind, form)
        if q and not (question_kind == "count" and "no " in q.answer):
            items.append(evaluate.Item(f"{kind}: {question_kind}", q, Image.fromarray(scene.image)))
    for start in range(0, len(items), 8):
        batch = items[start:start + 8]
        for item, answer in zip(batch, answerer([(i.question.text, i.image) for i in batch])):
            if _right(item, answer):
                return item.image, item.question
    return None


def _rate(figures: dict, kind: str, question_kind: str) -> float:
    """How often the examination found such questions right, by the strictest figure; 0 when it was not examined."""
    row = figures.get(f"few {kind}: {question_kind}") or figures.get(f"{kind}: {question_kind}") or {"none": 0.0}
    return min(v for k, v in row.items() if k != "n")


def write(answerer, out: Path, about: str, figures: dict) -> int:
    """Writes the samples; returns how many titles found one."""
    folder, entries = out / "samples", []
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for title, kind, question_kind, form, wanted in WANTED:
        if _rate(figures, kind, question_kind) < RATE_MIN:
            continue
        found = choose(answerer, title, kind, question_kind, form, wanted, SEED)
        if not found or len(entries) == 6:
            continue
        image, q = found
        file = folder / f"{len(entries) + 1}-{kind}-{question_kind}.png"
        image.save(file, optimize=True)
        if file.stat().st_size > BYTES_MAX:
            image.quantize(128).save(file, optimize=True)
        entries.append({"title": title, "image": file.name, "prompt": q.text, "answer": q.answer, "kind": question_kind})
        print(title, "|", q.text, "|", q.answer)
    (folder / "samples.json").write_text(json.dumps({"about": about, "samples": entries}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(entries)


def fill_card(card: Path, results: dict) -> None:
    """Puts the table between the card's marks."""
    text = card.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    card.write_text(f"{before}{MARKS[0]}\n{evaluate.table(results)}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a checkpoint folder, answered by transformers")
    source.add_argument("--server", help="address of a running server")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--about", default="", help="one honest line on what the model can and cannot do")
    parser.add_argument("--figures", type=Path, required=True, help="evaluation.json: goes into the card, decides which tasks get a sample")
    args = parser.parse_args()
    figures = json.loads(args.figures.read_text(encoding="utf-8"))
    fill_card(args.out / "README.md", figures)
    answerer = evaluate.ServerAnswerer(args.server) if args.server else evaluate.Answerer(args.model)
    print(write(answerer, args.out, args.about, figures), "samples")


if __name__ == "__main__":
    main()
