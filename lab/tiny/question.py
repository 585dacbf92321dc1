"""What a question is, and the forms that questions about all kinds of scene share."""

import json
from dataclasses import dataclass

from . import words


@dataclass
class Question:
    kind: str            # the row of the evaluation table
    text: str
    answer: str
    box: list | None = None      # the true box 0..1000, for located elements
    elements: list | None = None  # [(box, label)], for "all boxes"
    system: str = ""             # a system message before the picture (tool signatures)
    about: tuple = ()            # elements or properties of the scene that are asked about, as `thinking` reads them for this kind
    reasoning: object = None     # a thinking.Thought that comes before the answer
    free: tuple = ()             # parts of the answer, in order, that are free text of the picture: they are spelled letter by letter
    spans: tuple = ()            # the characters (first, past the last) of each token of the answer, once it stands in a sequence


def boxes_json(items) -> str:
    """[(box, label)] -> the published grounding form, compact. The label stands first: the digits then only look back at the name
    beside them, where the other order asks for the name in the question and its place in one step (docs/tiny-model.md)."""
    return json.dumps([{"label": n, "bbox_2d": b} for b, n in items], separators=(",", ":"), ensure_ascii=False)


def unlisted(names) -> tuple:
    """Those of the names that no list holds."""
    return tuple(n for n in names if n not in LISTED)


def point_json(box, label) -> str:
    point = [round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)]
    return json.dumps([{"label": label, "point_2d": point}], separators=(",", ":"), ensure_ascii=False)


def counted(n, noun) -> str:
    if n == 0:
        return f"There are no {words.plural(noun)}."
    return f"There is 1 {noun}." if n == 1 else f"There are {n} {words.plural(noun)}."


def locate(rng, scene, e, name):
    """A question for the box (or, less often, the point) of one element."""
    box = scene.relative(e)
    if rng.random() < 0.25:
        return Question("point", rng.choice([f"Point to the {name}.", f"Point at the {name}."]),
                        point_json(box, name), box)
    return Question("locate", rng.choice([f"Where is the {name}?", f"Where is the {name}?", f"Locate the {name}.",
                                          f"Find the {name}.", f"Show me the {name}.", f"Where's the {name}?"]),
                    boxes_json([(box, name)]), box)


LISTED = set(words.LABELS)

ASK_DESCRIBE = ["What is in this picture?", "What is in this image?", "Describe the image.", "Describe this picture.",
                "What do you see?", "What can you see in this picture?", "What is this?", "Describe what you see.",
                "What's in this picture?", "What is shown here?", "Describe the picture."]
ASK_READ = ["Read the text.", "What does it say?", "What text is in the picture?", "What is written here?",
            "Read the text in the image.", "What does this say?"]
