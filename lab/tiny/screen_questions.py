"""Questions about screens: lists, places, states, fields."""

import json

from . import words
from .question import ASK_DESCRIBE, Question, boxes_json, counted, locate, unlisted


def settings(rng, scene):
    elements, q = scene.elements, []
    names = [e.name for e in elements]
    with_state = [e.name + ("" if e.on is None else " (on)" if e.on else " (off)") for e in elements]
    q.append(Question("list", rng.choice(["List the settings.", "List the settings on this screen.", "Which settings are there?",
                                          "What settings are on this screen?", "List all items."]), ", ".join(names) + ".", free=unlisted(names)))
    q.append(Question("describe", rng.choice(ASK_DESCRIBE), "A settings screen with " + words.joined(with_state) + ".", free=unlisted(names)))
    switches = [e for e in elements if e.switch]
    on = [e.name for e in switches if e.on]
    if switches:
        q.append(Question("which on", rng.choice(["Which switches are on?", "Which settings are on?", "What is turned on?"]),
                          "None." if not on else words.joined(on) + ".", free=unlisted(on)))
    for e in elements:
        pick = rng.random()
        if e.switch:
            q.append(Question("switch state", rng.choice([f"Is {e.name} on?", f"Is {e.name} enabled?", f"Is {e.name} turned on?",
                                                          f"Is {e.name} on or off?"]),
                              f"The {e.name} switch is {'on' if e.on else 'off'}.", about=(e,)))    # the name first: its token finds what the word after it tells
            if pick < 0.6:
                q.append(locate(rng, scene, e.switch, f"{e.name} switch"))
        if pick > 0.4:
            q.append(locate(rng, scene, e.box, rng.choice([f"{e.name} row", f"{e.name} setting"])))
        if rng.random() < 0.3:
            q.append(Question("name at box", f"What is at {json.dumps(scene.relative(e.box), separators=(',', ':'))}?", e.name + ".", about=(e,), free=unlisted([e.name])))
    q.append(Question("count rows", rng.choice(["How many settings are there?", "How many rows are there?"]), counted(len(elements), "setting")))
    missing = rng.choice(words.SETTINGS)
    if missing not in names and rng.random() < 0.6:
        q.append(Question("not there", rng.choice([f"Where is the {missing} switch?", f"Is {missing} on?", f"Locate the {missing} row."]),
                          f"There is no {missing} on this screen.", about=(missing, "row")))
    if "title" in scene.facts:
        q.append(Question("title", "What is the title of this screen?", scene.facts["title"] + "."))
    if rng.random() < 0.5 and len(elements) <= 4:
        everything = [(scene.relative(e.box), e.name) for e in elements]
        q.append(Question("all boxes", rng.choice(["Locate all settings.", "Locate every row."]), boxes_json(everything), elements=everything, free=unlisted(names)))
    return q


def dialog(rng, scene):
    elements, facts, q = scene.elements, scene.facts, []
    names = [e.name for e in elements]
    buttons = "the button " + names[0] if len(names) == 1 else "the buttons " + words.joined(names)
    q.append(Question("describe", rng.choice(ASK_DESCRIBE), f'A dialog titled "{facts["title"]}" with {buttons}.'))
    q.append(Question("read", rng.choice(["What does the dialog say?", "What is the message?", "Read the message."]), facts["text"], free=(facts["text"],)))
    q.append(Question("title", rng.choice(["What is the title of the dialog?", "What is the title?"]), facts["title"] + "."))
    q.append(Question("list", rng.choice(["List the buttons.", "Which buttons are there?", "What buttons do you see?"]), ", ".join(names) + "."))
    q.append(Question("count rows", "How many buttons are there?", counted(len(names), "button")))
    for e in elements:
        q.append(locate(rng, scene, e.box, f"{e.name} button"))
        if rng.random() < 0.3:
            q.append(Question("name at box", f"What is at {json.dumps(scene.relative(e.box), separators=(',', ':'))}?", f"The {e.name} button.", about=(e,)))
    missing = rng.choice(words.BUTTONS)
    if missing not in names:
        q.append(Question("not there", f"Where is the {missing} button?", f"There is no {missing} button.", about=(missing, "button")))
    return q


def _at(scene, e) -> str:
    return f"What is at {json.dumps(scene.relative(e.box), separators=(',', ':'))}?"


def home(rng, scene):
    elements, q = scene.elements, []
    names = [e.name for e in elements]
    q.append(Question("list", rng.choice(["List the apps.", "Which apps are there?", "What apps are on this screen?", "List all icons."]), ", ".join(names) + ".", free=unlisted(names)))
    q.append(Question("describe", rng.choice(ASK_DESCRIBE), "A home screen with " + words.joined(names) + ".", free=unlisted(names)))
    q.append(Question("count rows", rng.choice(["How many apps are there?", "How many icons do you see?"]), counted(len(names), "app")))
    for e in elements:
        q.append(locate(rng, scene, e.box, rng.choice([f"{e.name} icon", f"{e.name} app", e.name])))
        if rng.random() < 0.3:
            q.append(Question("name at box", _at(scene, e), f"The {e.name} icon.", about=(e,), free=unlisted([e.name])))
    missing = rng.choice(words.APPS)
    if missing not in names:
        q.append(Question("not there", rng.choice([f"Where is the {missing} icon?", f"Find the {missing} app."]), f"There is no {missing} on this screen.", about=(missing, "icon")))
    if len(elements) <= 4:
        everything = [(scene.relative(e.box), e.name) for e in elements]
        q.append(Question("all boxes", rng.choice(["Locate all icons.", "Locate every app."]), boxes_json(everything), elements=everything, free=unlisted(names)))
    return q


def form(rng, scene):
    fields = [e for e in scene.elements if e.kind == "field"]
    ticks = [e for e in scene.elements if e.kind == "checkbox"]
    buttons = [e for e in scene.elements if e.kind == "button"]
    q = [Question("list", rng.choice(["List the fields.", "Which fields does the form have?"]), ", ".join(e.name for e in fields) + ".", about=("field",)),
         Question("list", rng.choice(["List the buttons.", "Which buttons are there?"]), ", ".join(e.name for e in buttons) + ".", about=("button",)),
         Question("describe", rng.choice(ASK_DESCRIBE), f"A form with the {'field' if len(fields) == 1 else 'fields'} {words.joined([e.name for e in fields])} and "
                  f"the {'button' if len(buttons) == 1 else 'buttons'} {words.joined([e.name for e in buttons])}.")] if fields else []
    for e in fields:
        q.append(locate(rng, scene, e.box, f"{e.name} field"))
        q.append(Question("value", rng.choice([f"What is in the {e.name} field?", f"What is the value of {e.name}?"]),
                          f"{e.value}" if e.value else f"The {e.name} field is empty.", about=(e,), free=(e.value,) if e.value else ()))
    for e in ticks:
        q.append(Question("switch state", f'Is "{e.name}" checked?', f"The {e.name} checkbox is {'checked' if e.on else 'not checked'}.", about=(e,)))
        q.append(locate(rng, scene, e.box, f"{e.name} checkbox"))
    for e in buttons:
        q.append(locate(rng, scene, e.box, f"{e.name} button"))
    for source, noun in ((words.FIELDS, "field"), (words.BUTTONS, "button")):
        missing = rng.choice(source)
        if missing not in [e.name for e in scene.elements]:
            q.append(Question("not there", f"Where is the {missing} {noun}?", f"There is no {missing} {noun}.", about=(missing, noun)))
    if fields:
        values = {e.name: e.value for e in fields}
        q.append(Question("form to JSON", rng.choice(["Read the form as JSON.", "Return the fields and their values as JSON.", "Give the form's contents as JSON."]),
                          json.dumps(values, ensure_ascii=False), about=tuple(values), free=tuple(json.dumps(v, ensure_ascii=False) for v in values.values() if v)))
    return q
