"""Questions about a scene with their true answers.

Every question is derived from the scene's elements alone, so the same code teaches on pictures, on scenes written as
text, and examines on held-out pictures. Answers never guess: a question that the scene does not settle is not asked.
"""

import json

from . import pages, screen_questions, words
from .question import ASK_DESCRIBE, ASK_READ, Question, boxes_json, counted, locate


def _shape_questions(rng, scene):
    elements, q = scene.elements, []
    names = [e.name for e in elements]
    colour_word = rng.choice(["color", "colour"])
    where = lambda e: f"at the {scene.place(e.box)}".replace("at the center", "in the center")
    parts = [f"{words.with_article(e.name)} {where(e)}" for e in elements]
    text = words.joined(parts) + "."
    q.append(Question("describe", rng.choice(ASK_DESCRIBE), text[0].upper() + text[1:]))
    q.append(Question("count", rng.choice(["How many shapes are there?", "How many shapes do you see?",
                                           "Count the shapes.", "How many objects are there?"]), counted(len(elements), "shape")))
    for shape in rng.sample(words.SHAPES, 2) + [rng.choice(elements).shape]:
        q.append(Question("count", rng.choice([f"How many {shape}s are there?", f"How many {shape}s do you see?",
                                               f"Count the {shape}s.", f"How many {shape}s?"]),
                          counted(sum(e.shape == shape for e in elements), shape), about=("shape", shape)))
    colour = rng.choice(elements).colour
    q.append(Question("count", f"How many {colour} shapes are there?",
                      counted(sum(e.colour == colour for e in elements), f"{colour} shape"), about=("colour", colour)))
    for e in elements:
        if sum(o.shape == e.shape for o in elements) == 1:
            q.append(Question("colour", rng.choice([f"What {colour_word} is the {e.shape}?", f"What is the {colour_word} of the {e.shape}?",
                                                    f"Which {colour_word} is the {e.shape}?"]), f"The {e.shape} is {e.colour}.", about=(e,)))
            if rng.random() < 0.3:
                q.append(locate(rng, scene, e.box, e.shape))
        if sum(o.colour == e.colour for o in elements) == 1:
            q.append(Question("shape", rng.choice([f"What shape is {e.colour}?", f"Which shape is {e.colour}?",
                                                   f"What is the {e.colour} shape?"]), f"The {e.colour} shape is {words.with_article(e.shape)}.", about=(e,)))
        if names.count(e.name) == 1:
            q.append(locate(rng, scene, e.box, e.name))
            if rng.random() < 0.5:    # the step before a box: nine places instead of a million
                q.append(Question("place", rng.choice(["In which part of the picture is the {}?", "Whereabouts is the {}?", "In which part of the image is the {}?"])
                                  .format(e.name), f"The {e.name} is {where(e)}.", about=(e,)))
        if rng.random() < 0.4:
            q.append(Question("name at box", rng.choice(["What is at {}?", "What is in the box {}?"]).format(
                json.dumps(scene.relative(e.box), separators=(",", ":"))), words.with_article(e.name).capitalize() + ".", about=(e,)))
    name = rng.choice(names) if rng.random() < 0.5 else f"{rng.choice(list(words.COLOURS))} {rng.choice(words.SHAPES)}"
    q.append(Question("exists", rng.choice([f"Is there a {name}?", f"Can you see a {name}?", f"Do you see a {name}?"]),
                      f"Yes, there is {words.with_article(name)}." if name in names else f"No, there is no {name}.", about=(name,)))
    missing = f"{rng.choice(list(words.COLOURS))} {rng.choice(words.SHAPES)}"
    if missing not in names and rng.random() < 0.5:
        q.append(Question("not there", rng.choice([f"Where is the {missing}?", f"Locate the {missing}.", f"Find the {missing}."]),
                          f"There is no {missing}.", about=(missing,)))
    q.append(_relation(rng, scene, names))
    everything = [(scene.relative(e.box), e.name) for e in elements]
    q.append(Question("all boxes", rng.choice(["Locate all shapes.", "Find all objects and give their boxes.",
                                               "Locate every shape in the image, output in JSON.", "Detect all shapes.",
                                               "Where are the shapes?"]), boxes_json(everything), elements=everything))
    areas = sorted(((e.box[2] - e.box[0]) * (e.box[3] - e.box[1]), i) for i, e in enumerate(elements))
    if len(elements) > 1 and areas[-1][0] > 1.6 * areas[-2][0]:
        q.append(Question("largest", rng.choice(["Which shape is the largest?", "What is the biggest shape?"]),
                          f"The {elements[areas[-1][1]].name} is the largest.", about=(elements[areas[-1][1]],)))
    if scene.facts["background"]:
        q.append(Question("background", f"What {colour_word} is the background?", f"The background is {scene.facts['background']}."))
    return [x for x in q if x]


def _relation(rng, scene, names):
    """Left/right or above/below of two unique shapes that are clearly apart on that axis."""
    unique = [e for e in scene.elements if names.count(e.name) == 1]
    if len(unique) < 2:
        return None
    a, b = rng.sample(unique, 2)
    horizontal = rng.random() < 0.5
    i = 0 if horizontal else 1
    ca, cb = (a.box[i] + a.box[i + 2]) / 2, (b.box[i] + b.box[i + 2]) / 2
    if abs(ca - cb) < 0.11 * (scene.width if horizontal else scene.height):
        return None
    sides = ("to the left of", "to the right of") if horizontal else ("above", "below")
    true, false = sides if ca < cb else sides[::-1]
    asked = rng.choice(sides)
    question = rng.choice([f"Is the {a.name} {asked} the {b.name}?",
                           f"Is the {a.name} {asked.replace('to the ', '')} the {b.name}?"])
    if rng.random() < 0.3:
        return Question("relation", f"Is the {a.name} {sides[0]} or {sides[1]} the {b.name}?",
                        f"The {a.name} is {true} the {b.name}.", about=(a, b, i))
    return Question("relation", question, f"The {a.name} is {true} the {b.name}.", about=(a, b, i))    # a yes or no would come before either name has found its place


def _sign_questions(rng, scene):
    e, text = scene.elements[0], scene.facts["text"]
    colour_word = rng.choice(["color", "colour"])
    return [Question("read", rng.choice(["What does the sign say?"] * 3 + ["Read the sign.", "What is written on the sign?"]),
                     f'The sign says "{text}".', free=(text,)),
            Question("read", rng.choice(ASK_READ), text, free=(text,)),
            Question("describe", rng.choice(ASK_DESCRIBE), f'{words.with_article(e.colour).capitalize()} sign that says "{text}".', free=(text,)),
            Question("colour", f"What {colour_word} is the sign?", f"The sign is {e.colour}."),
            Question("locate", rng.choice(["Where is the sign?", "Locate the sign.", "Find the sign."]),
                     boxes_json([(scene.relative(e.box), "sign")]), scene.relative(e.box))]


def _note_questions(rng, scene):
    text = scene.facts["text"]
    lines = text.split("\n")
    q = [Question("read", rng.choice(ASK_READ), text, free=(text,)),
         Question("describe", rng.choice(ASK_DESCRIBE), f'A note that says "{" ".join(lines)}".', free=(" ".join(lines),))]
    if len(lines) > 1:
        q.append(Question("read", "What is the first line?", lines[0], free=(lines[0],)))
        q.append(Question("read", "What is the last line?", lines[-1], free=(lines[-1],)))
        e = rng.choice(scene.elements)
        if lines.count(e.name) == 1:
            q.append(Question("locate", f'Where is "{e.name}"?', boxes_json([(scene.relative(e.box), e.name)]), scene.relative(e.box)))
    return q


MAKERS = {"shapes": _shape_questions, "settings": screen_questions.settings, "dialog": screen_questions.dialog,
          "home": screen_questions.home, "form": screen_questions.form, "sign": _sign_questions, "note": _note_questions,
          "page": pages.page_questions, "document": pages.document_questions}


def ask(scene, rng) -> list[Question]:
    """All questions about the scene, in random order and with the carelessness of typed questions."""
    found = MAKERS[scene.kind](rng, scene)
    rng.shuffle(found)
    for q in found:
        if q.kind not in ("locate", "point", "switch state", "not there") and rng.random() < 0.1:
            q.text = q.text[0].lower() + q.text[1:]
        if rng.random() < 0.08:
            q.text = q.text.rstrip("?.")
    return found


def as_text(scene, rng) -> str:
    """The scene written out: what a picture of it tells, for lessons that need no eyes."""
    place = lambda box: json.dumps(scene.relative(box), separators=(",", ":"))
    lines = []
    for e in scene.elements:
        line = f"{e.name} {place(e.box)}"
        if e.switch:
            line += f" {'on' if e.on else 'off'} {place(e.switch)}"
        elif e.on is not None:
            line += " ticked" if e.on else " not ticked"
        if e.kind == "field":
            line += f": {e.value or 'empty'}"
        lines.append(line)
    facts = scene.facts
    head = {"shapes": facts.get("background") or "picture", "settings": "settings " + facts.get("title", ""),
            "dialog": f"dialog {facts.get('title')}: {facts.get('text')}", "sign": f"{scene.elements[0].colour if scene.elements else ''} {facts.get('text')}",
            "note": facts.get("text")}.get(scene.kind, scene.kind)
    return head + rng.choice(["\n", "; "]) + rng.choice(["\n", "; "]).join(lines) + "\n"
