"""Sample pictures for the page's front door, and the model card's table.

    python -m lab.tiny.samples --model models/tiny/instruct --model models/tiny/thinking --out models/tiny --figures .lab/long/evaluation.json \
        --thinking-figures .lab/thinking/evaluation.json

Draws scenes with seeds and fonts that training never used, keeps for each title the first one whose questions every named model
answers right (the page offers the samples beside each of them), and writes samples/*.png, samples/samples.json and the table between the marks in README.md.
A title without any right answer gets no sample.
"""

import argparse
import json
import random
from pathlib import Path

from PIL import Image

from . import evaluate, fonts, goals, questions, scenes

SEED = 2_000_003
TRIES = 24
BYTES_MAX = 30_000
RATE_MIN = 0.6     # a task that the examination finds right less often gets no sample: the front door shall not flatter
# title, scene kind, question kind, exact question (None: any), elements in the scene (low, high)
WANTED = [
    ("What is in this picture?", "shapes", "describe", "What is in this picture?", (2, 3)),
    ("Where is it?", "shapes", "locate", "Where is the {name}?", (2, 3)),
    ("How many shapes?", "shapes", "count", "How many shapes are there?", (2, 3)),
    ("Find everything", "shapes", "all boxes", "Find all objects and give their boxes.", (3, 4)),
    ("Is it on?", "settings", "switch state", None, (3, 5)),
    ("Where is the setting?", "settings", "locate", None, (3, 5)),
    ("Which buttons are there?", "dialog", "list", "Which buttons are there?", (2, 3)),
    ("List the settings", "settings", "list", "List the settings.", (3, 5)),
    ("What does the sign say?", "sign", "read", "What does the sign say?", (1, 1)),
    ("On which side is it?", "shapes", "relation", None, (2, 3)),
    ("Which shape is it?", "shapes", "shape", "What shape is {colour}?", (1, 3)),
    ("What colour is it?", "shapes", "colour", "What colour is the {shape}?", (2, 3)),
    ("Is it there?", "shapes", "exists", None, (2, 3)),
    ("Which is the largest?", "shapes", "largest", None, (2, 3)),
    ("What colour is the background?", "shapes", "background", "What colour is the background?", (1, 3)),
]
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
THINKING_MARKS = ("<!-- figures of the Thinking checkpoint -->", "<!-- end of figures of the Thinking checkpoint -->")
THINKING_SECTION = f"""## The Thinking checkpoint

`thinking/` has the same vision tower and the same files; its decoder was taught further to say one to three short sentences before it answers (what it looks
for, where that is, what it counts), in the published Thinking form. The same questions as above, the answer after its reasoning marked; `reasoning` is the share of
answers whose reasoning came to an end.

{THINKING_MARKS[0]}
{THINKING_MARKS[1]}

"""
BEFORE = "## Size and training"       # the card's section before which a new one for the Thinking checkpoint is put


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


def choose(answerers, title, kind, question_kind, form, wanted, seed):
    """(image, question) of the first scene that all answer right, or None. Figures of all tries do not matter here:
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
        asked = [(i.question.text, i.image) for i in batch]
        for item, *answers in zip(batch, *(answerer(asked) for answerer in answerers)):
            if all(_right(item, answer) for answer in answers):
                return item.image, item.question
    return None


def _rate(figures: dict, kind: str, question_kind: str) -> float:
    """How often the examination found such questions right, by the strictest figure; 0 when it was not examined."""
    row = figures.get(f"few {kind}: {question_kind}") or figures.get(f"{kind}: {question_kind}") or {"none": 0.0}
    return min(v for k, v in row.items() if k != "n")


def write(answerers, out: Path, about: str, figures: dict) -> int:
    """Writes the samples; returns how many titles found one."""
    folder, entries = out / "samples", []
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for title, kind, question_kind, form, wanted in WANTED:
        if _rate(figures, kind, question_kind) < RATE_MIN:
            continue
        found = choose(answerers, title, kind, question_kind, form, wanted, SEED)
        if not found or len(entries) == 6:
            continue
        image, q = found
        file = folder / f"{len(entries) + 1}-{kind}-{question_kind.replace(' ', '-')}.png"
        image.save(file, optimize=True)
        if file.stat().st_size > BYTES_MAX:
            image.quantize(128).save(file, optimize=True)
        entries.append({"title": title, "image": file.name, "prompt": q.text, "answer": q.answer, "kind": question_kind})
        print(title, "|", q.text, "|", q.answer)
    (folder / "samples.json").write_text(json.dumps({"about": about, "samples": entries}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(entries)


def fill_card(card: Path, results: dict, marks=MARKS) -> None:
    """Puts the tables (goals, then all rows) between the card's marks; those of the Thinking checkpoint come with their section, the first time."""
    text = card.read_text(encoding="utf-8")
    if marks == THINKING_MARKS and marks[0] not in text:
        text = text.replace(BEFORE, THINKING_SECTION + BEFORE, 1)
    before, begin, rest = text.partition(marks[0])
    after = rest.partition(marks[1])[2]
    if not begin:
        raise ValueError(f"{card} has no place for the figures: {marks[0]}")
    tables = "\n\n".join(t for t in (goals.table(results), evaluate.table(results)) if t)
    card.write_text(f"{before}{marks[0]}\n{tables}\n{marks[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, action="append", help="a checkpoint folder, answered by transformers; may be repeated")
    source.add_argument("--server", help="address of a running server")
    parser.add_argument("--name", action="append", help="with --server: one of its models; may be repeated; default: all of them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--about", default="", help="one honest line on what the model can and cannot do")
    parser.add_argument("--figures", type=Path, required=True, help="evaluation.json: goes into the card, decides which tasks get a sample")
    parser.add_argument("--thinking-figures", type=Path, help="evaluation.json of the Thinking checkpoint: goes into the card too")
    args = parser.parse_args()
    figures = json.loads(args.figures.read_text(encoding="utf-8"))
    fill_card(args.out / "README.md", figures)
    if args.thinking_figures:
        fill_card(args.out / "README.md", json.loads(args.thinking_figures.read_text(encoding="utf-8")), THINKING_MARKS)
    answerers = [evaluate.ServerAnswerer(args.server, name) for name in args.name or evaluate.served(args.server)] if args.server else \
        [evaluate.Answerer(folder) for folder in args.model]
    print(write(answerers, args.out, args.about, figures), "samples")


if __name__ == "__main__":
    main()
