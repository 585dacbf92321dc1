"""The next `computer_use` action for a screen, a goal and the steps already done.

Owns the wording of tool signatures, goals and histories. The published function and argument names are used; the
descriptions are ours and vary, because every client words them differently. Coordinates are 0..1000 of width and height.
"""

import json

from . import words
from .question import Question

ACTIONS = ("key type mouse_move left_click left_click_drag right_click middle_click double_click triple_click scroll hscroll "
           "wait terminate answer").split()
FRAME = ("# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures "
         "within <tools></tools> XML tags:\n<tools>\n{}\n</tools>\n\nFor each function call, return a json object with function name and "
         "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>")
ABOUT = ["Use a mouse and a keyboard to work with a computer.", "Control the computer: one action at a time. The screen is 1000x1000.",
         "Use a mouse and keyboard to interact with a computer, and take screenshots. The screen's resolution is 1000x1000.",
         "Perform one action on the screen shown. Coordinates run from 0 to 1000."]


def signature(rng) -> str:
    """A system message with the tool's signature, short or long."""
    properties = {"action": {"type": "string", "enum": ACTIONS}, "coordinate": {"type": "array"}, "text": {"type": "string"},
                  "keys": {"type": "array"}, "pixels": {"type": "number"}, "time": {"type": "number"},
                  "status": {"type": "string", "enum": ["success", "failure"]}}
    if rng.random() < 0.6:
        for name in ("keys", "pixels", "time"):
            del properties[name]
        properties["action"]["enum"] = ["left_click", "type", "key", "scroll", "wait", "terminate"]
    if rng.random() < 0.5:
        properties["coordinate"]["description"] = rng.choice(["(x, y) of the mouse.", "The x and y coordinates, 0 to 1000."])
        properties["action"]["description"] = "The action to perform."
    tool = {"type": "function", "function": {"name": "computer_use", "description": rng.choice(ABOUT),
                                             "parameters": {"type": "object", "properties": properties, "required": ["action"]}}}
    return FRAME.format(json.dumps(tool, ensure_ascii=False))


def call(**arguments) -> str:
    return "<tool_call>\n" + json.dumps({"name": "computer_use", "arguments": arguments}, ensure_ascii=False) + "\n</tool_call>"


def _goal(rng, goal, done=()) -> str:
    """The goal and what has been done, as clients write it."""
    if not done and rng.random() < 0.6:
        return goal
    steps = " ".join(f"Step {i + 1}: {s}" for i, s in enumerate(done)) or "none"
    return rng.choice([f"Goal: {goal}\nDone so far: {steps}", f"The user query: {goal}\nTask progress: {steps}", f"{goal}\nPrevious actions: {steps}"])


def _click(rng, scene, box, goal, about, done=()):
    x0, y0, x1, y1 = relative = scene.relative(box)
    return Question("action", _goal(rng, goal, done), call(action="left_click", coordinate=[round((x0 + x1) / 2), round((y0 + y1) / 2)]), relative, about=about)


def _end(rng, goal, about, done=(), status="success"):
    return Question("action: end" if status == "success" else "action: give up", _goal(rng, goal, done), call(action="terminate", status=status), about=about)


def _switching(rng, name, on) -> str:
    return rng.choice([f"Turn {'on' if on else 'off'} {name}.", f"{'Enable' if on else 'Disable'} {name}.", f"Switch {name} {'on' if on else 'off'}."])


def _settings(rng, scene):
    came = ["I opened Settings."] if rng.random() < 0.5 else []
    for e in scene.elements:
        if e.switch:
            want = rng.random() < 0.5
            goal = _switching(rng, e.name, want)
            if e.on == want:
                yield _end(rng, goal, ("is", e, want), came + ([f"I clicked the {e.name} switch."] if rng.random() < 0.7 else []))
            else:
                yield _click(rng, scene, e.switch, goal, ("turn", e, want), came)
        else:
            yield _click(rng, scene, e.box, rng.choice([f"Open {e.name}.", f"Go to {e.name}.", f"Open the {e.name} settings."]), ("click", e), came)
    missing = rng.choice(words.SETTINGS)
    if missing not in [e.name for e in scene.elements]:
        yield _end(rng, _switching(rng, missing, True), ("missing", missing), came, "failure")


def _home(rng, scene):
    for e in scene.elements:
        yield _click(rng, scene, e.box, rng.choice([f"Open {e.name}.", f"Launch {e.name}.", f"Open the {e.name} app."]), ("click", e))
        if e.name == "Settings":
            for name in rng.sample(words.SETTINGS, 2):
                yield _click(rng, scene, e.box, _switching(rng, name, rng.random() < 0.5), ("through", e, name))
    missing = rng.choice(words.APPS)
    if missing not in [e.name for e in scene.elements]:
        yield _end(rng, f"Open {missing}.", ("missing", missing), (), "failure")


def _form(rng, scene):
    for e in scene.elements:
        if e.kind == "button":
            yield _click(rng, scene, e.box, rng.choice([f"Click {e.name}.", f"Press the {e.name} button.", f"Click the {e.name} button."]), ("click", e))
        elif e.kind == "checkbox":
            want = rng.random() < 0.5
            goal = f'{"Tick" if want else "Untick"} "{e.name}".'
            yield _end(rng, goal, ("is", e, want)) if e.on == want else _click(rng, scene, e.box, goal, ("turn", e, want))
        elif e.kind == "field":
            word = rng.choice(words.TRAIN_WORDS)
            goal = rng.choice([f'Type "{word}" into the {e.name} field.', f'Enter "{word}" as {e.name}.'])
            if e.value and rng.random() < 0.3:
                yield _end(rng, goal.replace(f'"{word}"', f'"{e.value}"'), ("holds", e), [f"I clicked the {e.name} field.", f'I typed "{e.value}".'])
            elif not e.value and rng.random() < 0.4:
                yield Question("action", _goal(rng, goal, [f"I clicked the {e.name} field."]), call(action="type", text=word), about=("type", e, word))
            else:
                yield _click(rng, scene, e.box, goal, ("fill", e))


def _dialog(rng, scene):
    for e in scene.elements:
        yield _click(rng, scene, e.box, rng.choice([f"Click {e.name}.", f"Press {e.name}.", f"Choose {e.name} in the dialog."]), ("click", e))
    missing = rng.choice(words.BUTTONS)
    if missing not in [e.name for e in scene.elements]:
        yield _end(rng, f"Click {missing}.", ("missing", missing), (), "failure")


MAKERS = {"settings": _settings, "home": _home, "form": _form, "dialog": _dialog}


def ask(scene, rng) -> list[Question]:
    """Goals for a screen with their next action, in random order, all under one tool signature. [] for other scenes."""
    if scene.kind not in MAKERS:
        return []
    found = list(MAKERS[scene.kind](rng, scene))
    rng.shuffle(found)
    system = signature(rng)
    for q in found:
        q.system = system
    return found
