"""Questions about several pictures at once: which of them shows a thing, and any question about one of them by its number."""

import dataclasses

from . import questions
from .question import Question, counted

ORDINALS = ["first", "second", "third", "fourth"]
NOUNS = {"settings": "settings screen", "dialog": "dialog", "home": "home screen", "form": "form", "sign": "sign", "note": "note"}


def ask(made, rng) -> list[tuple[Question, int]]:
    """[(question, index of the picture that it is about)] about the scenes `made`, shown in that order."""
    found = []
    for i, scene in enumerate(made):
        ordinal = ORDINALS[i]
        for q in questions.ask(scene, rng):
            text = rng.choice([f"In the {ordinal} picture: {q.text}", f"In the {ordinal} image: {q.text}", f"Picture {i + 1}: {q.text}"])
            found.append((dataclasses.replace(q, text=text), i))
        elsewhere = {e.name for j, other in enumerate(made) if j != i for e in other.elements}
        own = [e for e in scene.elements if e.name not in elsewhere and sum(o.name == e.name for o in scene.elements) == 1]
        if own:
            e = rng.choice(own)
            text = rng.choice(["Which picture shows the {}?", "In which picture is the {}?", "Which image has the {}?"]).format(e.name)
            found.append((Question("which picture", text, f"The {ordinal} picture.", about=(e,)), i))
        if scene.kind in NOUNS and sum(s.kind == scene.kind for s in made) == 1:
            found.append((Question("which kind", f"Which picture is a {NOUNS[scene.kind]}?", f"The {ordinal} picture.", about=(scene.kind,)), i))
    found.append((Question("pictures", rng.choice(["How many pictures are there?", "How many images do you see?"]), counted(len(made), "picture")), 0))
    rng.shuffle(found)
    # A question of a kind of its own once in each half of the row, or the many about one picture are all that is heard.
    return sorted(found, key=lambda f: rng.random() * (0.5 if f[0].kind in ("which picture", "which kind", "pictures") else 1))
