"""Short reasoning before an answer, for the Thinking checkpoint: one to three true sentences that lead to it.

`reason` says only what the scene settles, in few and steady words, and in the order in which a small model can do the work: first
what is asked for, in words that no other kind of question shares, because the answer is read off the reasoning more than off the
question; then where a thing is before its box, each thing with a running number before the count, both places in percent before which comes first. Every statement about a thing remembers what it speaks of (`Thought.looks`), so that guides of attention can point there.
Owns the wording; refuses nothing: a kind of question without a rule of its own is an error of the lab and raises KeyError.
"""

import json
from dataclasses import dataclass, field

from . import chinese, words
from .clips import Clip


@dataclass
class Thought:
    """text: the reasoning. looks: (first character, past the last, things): what that part speaks of, boxes 0..1000 of a
    scene's elements, or (event, pairs of frames) of a clip."""
    text: str = ""
    looks: list = field(default_factory=list)

    def say(self, text: str, *things) -> "Thought":
        if things:
            self.looks.append((len(self.text), len(self.text) + len(text), list(things)))
        self.text += text
        return self


def at(scene, box) -> str:
    """`at the top left` ... `in the center`, as answers word it."""
    return f"at the {scene.place(box)}".replace("at the center", "in the center")


def percent(scene, box, axis: int) -> int:
    """The box's centre from the left (axis 0) or from the top (1), in percent of the picture."""
    return round((box[axis] + box[axis + 2]) / 2 * 100 / (scene.width, scene.height)[axis])


def _boxes(scene, elements) -> list:
    return [scene.relative(e.box) for e in elements]


def _said(thought, scene, elements, names, numbered=False, last=" and "):
    """Names the elements after each other, each part about its element: ` a (1), b (2) and c (3)`."""
    for i, (e, name) in enumerate(zip(elements, names)):
        lead = " " if i == 0 else last if i == len(elements) - 1 else ", "
        thought.say(f"{lead}{name}" + (f" ({i + 1})" if numbered else ""), scene.relative(e.box))
    return thought


def _seen(scene, elements, wanted, numbered=False) -> Thought:
    """`I count all shapes. I see a red circle (1) and a blue star (2).`; names of screens stand without article."""
    plain = scene.kind == "shapes"
    names = [words.with_article(e.name) if plain else e.name for e in elements]
    return _said(Thought(f"{wanted} I see"), scene, elements, names, numbered).say(".") if elements else Thought(f"{wanted} I see nothing.")


def _found(scene, wanted, box) -> Thought:
    return Thought(f"I need the {wanted}.").say(f" It is {at(scene, box)}.", scene.relative(box))


def _owner(scene, box):
    """(element, whether the box is its switch) for a box 0..1000 that a question holds."""
    for e in scene.elements:
        if e.switch and scene.relative(e.switch) == list(box):
            return e, True
    return next((e for e in scene.elements if scene.relative(e.box) == list(box)), None), False


def _row(scene, e, kind) -> str:
    same = [o for o in scene.elements if o.kind == kind]
    return f"{kind} {1 + next(i for i, o in enumerate(same) if o is e)} of {len(same)}"


def _wanted(q, scene, name, e) -> str:
    """`box of the red circle`; a bare name, as of an icon or a line of text, stands without article."""
    bare = e is not None and e.kind in ("icon", "text") and e.name == name
    return f"{'point on' if q.kind == 'point' else 'box of'} {'' if bare else 'the '}{name}"


def _locate(q, scene) -> Thought:
    name = json.loads(q.answer)[0]["label"]
    e, switch = _owner(scene, q.box)
    if scene.kind == "settings" and e:
        t = Thought(f"I need the {_wanted(q, scene, name, e)}.").say(f" {e.name} is {_row(scene, e, 'row')}", scene.relative(e.box))
        return t.say(f", its switch is {at(scene, e.switch)}." if switch else ".", q.box)
    box = e.box if e else [v * side / 1000 for v, side in zip(q.box, (scene.width, scene.height) * 2)]
    return _found(scene, _wanted(q, scene, name, e), box)


def _count(q, scene) -> Thought:
    if not q.about:
        return _seen(scene, scene.elements, "I count all shapes.", True)
    which, value = q.about
    wanted = f"{value} shapes" if which == "colour" else words.plural(value)
    thought, chosen = _seen(scene, scene.elements, f"I count the {wanted}."), [e for e in scene.elements if getattr(e, which) == value]
    if not chosen:
        return thought.say(f" None of them is {value}." if which == "colour" else f" None of them is {words.with_article(value)}.")
    thought.say(f" {value.capitalize()}:" if which == "colour" else f" {words.plural(value).capitalize()}:")
    return _said(thought, scene, chosen, [e.shape if which == "colour" else e.colour for e in chosen], True, ", ").say(".")


def _exists(q, scene) -> Thought:
    """What there is of the shape that is asked about. One that is not there begins as one that is: only looking tells."""
    shape = q.about[0].split(" ")[-1]
    same = [e for e in scene.elements if e.shape == shape]
    wanted = f"check for {words.with_article(q.about[0])}" if q.kind == "exists" else f"need the box of the {q.about[0]}"
    thought = Thought(f"I {wanted}. I see")
    if not same:
        return thought.say(f" no {shape}.")
    return _said(thought, scene, same, [words.with_article(e.name) for e in same]).say(".")


def _missing(q, scene) -> Thought:
    if scene.kind == "shapes":
        return _exists(q, scene)
    name, kind = q.about
    same = [e for e in scene.elements if e.kind == kind]
    asked = "state" if scene.kind == "settings" and q.text.startswith("Is ") else "box"
    thought = Thought(f"I need the {asked} of the {name}{'' if asked == 'state' else f' {kind}'}. I see")
    return _said(thought, scene, same, [e.name for e in same]).say(f", but no {name}.") if same else thought.say(f" no {kind}.")


def _relation(q, scene) -> Thought:
    a, b, axis = q.about
    side = ("left", "top")[axis]
    thought = Thought(f"From the {side}:").say(f" {a.name} {percent(scene, a.box, axis)} %", scene.relative(a.box))
    return thought.say(f", {b.name} {percent(scene, b.box, axis)} %.", scene.relative(b.box))


def _place(q, scene) -> Thought:
    e, box = q.about[0], scene.relative(q.about[0].box)
    return Thought(f"I need the place of the {e.name}.").say(f" It is {percent(scene, e.box, 0)} % from the left and {percent(scene, e.box, 1)} % from the top.", box)


def _name_at_box(q, scene) -> Thought:
    e = q.about[0]
    if e.kind == "row":
        return Thought("I look at the box.").say(f" It holds {_row(scene, e, 'row')}.", scene.relative(e.box))
    return Thought("I look at the box.").say(f" It is {at(scene, e.box)}.", scene.relative(e.box))


def _state(q, scene) -> Thought:
    e = q.about[0]
    if e.kind == "checkbox":
        return _found(scene, f"state of {e.name}", e.box).say(f" Its box {'has a' if e.on else 'has no'} tick.", scene.relative(e.box))
    thought = Thought(f"I need the state of {e.name}.").say(f" It is {_row(scene, e, 'row')}.", scene.relative(e.box))
    return thought.say(f" The knob of its switch is on the {'right' if e.on else 'left'}.", scene.relative(e.switch))


def _which_on(q, scene) -> Thought:
    """Every switch in turn; the answer then only collects."""
    thought, switches = Thought("I go through the switches:"), [e for e in scene.elements if e.switch]
    for i, e in enumerate(switches):
        thought.say(f"{',' if i else ''} {e.name} {'on' if e.on else 'off'}", scene.relative(e.box), scene.relative(e.switch))
    return thought.say(".")


def _value(q, scene) -> Thought:
    if scene.kind == "document":
        place, name = q.about
        if place == "table":
            return Thought(f"I need the count of {name} in the table.")
        keys = list(scene.facts["fields"])
        return Thought(f"I need the value of {name}. It is line {1 + keys.index(name)} of {len(keys)}.")
    e = q.about[0]
    return Thought(f"I need the value of {e.name}.").say(f" It is {_row(scene, e, 'field')}, {at(scene, e.box)}.", scene.relative(e.box))


def _list(q, scene) -> Thought:
    noun = {"settings": "rows", "home": "icons", "page": "list"}.get(scene.kind) or ("labels" if q.about == ("field",) else "buttons")
    return Thought(f"I read the {noun} from {'left to right' if noun == 'buttons' else 'top to bottom'}.")


def _read(q, scene) -> Thought:
    if scene.kind == "dialog":
        return Thought("I read the text between the title and the buttons.")
    if scene.kind == "sign":
        return Thought("I need the text of the sign.").say(f" It is {at(scene, scene.elements[0].box)}.", scene.relative(scene.elements[0].box))
    lines, text = scene.facts["text"].split("\n"), q.text.lower()
    which = "the first line" if "first line" in text else "the last line" if "last line" in text else "it" if len(lines) == 1 else "all of them"
    said = "There is 1 line" if len(lines) == 1 else f"There are {len(lines)} lines"
    at_line = scene.elements[0 if "first" in which else -1] if "line" in which else None
    return Thought(f"{said}.").say(f" I read {which}.", *([scene.relative(at_line.box)] if at_line else []))


def _describe(q, scene) -> Thought:
    things = {"shapes": "This is a drawing of shapes", "settings": "This is a list of settings", "home": "This is a home screen", "dialog": "This is a dialog",
              "form": "This is a form", "sign": "This is a sign", "note": "This is a note", "page": "This is a web page", "document": "This is a document"}
    return Thought(f"{things[scene.kind]}.")


def outline(html: str) -> list[str]:
    """The blocks of a page as `pages` writes it, in order: `a heading`, `a list of 3 items`."""
    found, inner = [], 0
    for line in html.split("\n"):
        if line.startswith(("<li>", "<tr>")):
            inner += 1
        elif line in ("</ul>", "</ol>", "</table>"):
            found.append(f"a table of {inner} rows" if line == "</table>" else f"a list of {inner} items")
            inner = 0
        else:
            names = {"<h1": "a heading", "<p>": "a paragraph", "<a ": "a link", "<bu": "a button", "<la": "a field"}
            found += [names[line[:3]]] if line[:3] in names else []
    return found


def _json(q, scene) -> Thought:
    thought = Thought("The fields are " if len(q.about) > 1 else "The field is ")
    thought.say(words.joined(list(q.about)) + ".")
    if scene.facts.get("table") and set(q.about) == set(scene.facts["fields"]) and "schema" not in q.text:
        thought.say(f" The table has {len(scene.facts['table'])} rows.")
    return thought


def _action(q, scene) -> Thought:
    """What the screen shows, what the goal wants of it, and so what is next."""
    what, *about = q.about
    if what == "missing":
        thought = _said(Thought(f"I look for {about[0]}. I see"), scene, scene.elements, [e.name for e in scene.elements])
        return thought.say(f", but no {about[0]}.")
    e = about[0]
    box, switch = scene.relative(e.box), scene.relative(e.switch or e.box)
    states = ("checked", "not checked") if e.kind == "checkbox" else ("on", "off")
    if what == "turn":
        thought = Thought().say(f"{e.name} is {states[0] if e.on else states[1]}", box, switch).say(f" and should be {states[0] if about[1] else states[1]}.")
        return thought.say(f" I click {'it' if e.kind == 'checkbox' else 'its switch'}, {at(scene, e.switch or e.box)}.", switch)
    if what == "is":
        return Thought().say(f"{e.name} is {states[0] if e.on else states[1]}", box, switch).say(", as it should be. I am done.")
    if what == "holds":
        return Thought().say(f'The {e.name} field holds "{e.value}"', box).say(", as it should. I am done.")
    if what == "type":
        return Thought().say(f"The {e.name} field is empty", box).say(" and was clicked. Now I type.")
    lead = f"For {about[1]} I open Settings." if what == "through" else f"I look for {e.name}."
    return Thought(lead).say(f" It is {at(scene, e.box)}. I click it{' first' if what == 'fill' else ''}.", box)


def _sum(q) -> Thought:
    """Written addition and subtraction: ones, then tens."""
    a, sign, b = q.about
    one, other, tens, more = a % 10, b % 10, a // 10, b // 10
    if sign == "+":
        thought = Thought(f"Ones: {one} + {other} = {one + other}.")
        carried = (one + other) // 10
        return thought.say(f" Tens: {tens} + {more}{' + 1' if carried else ''} = {tens + more + carried}.") if tens or more else thought
    borrowed = one < other
    thought = Thought(f"Ones: {one + 10 * borrowed} - {other} = {one + 10 * borrowed - other}.")
    return thought.say(f" Tens: {tens} - {more}{' - 1' if borrowed else ''} = {tens - more - borrowed}.") if tens or more else thought


# ---- clips -----------------------------------------------------------------------------------------------------------

def _shown(e, clip):
    return e, list(range(e.first, e.last + 1))


def _time(thought, clip, e, lead, pair=None) -> Thought:
    """Says the time stamp of one pair of frames that shows the event, its first one by default."""
    pair = e.first if pair is None else pair
    return thought.say(f"{lead} {clip.stamps()[pair]:.1f} seconds", (e, [pair]))


def _clip_seen(q, clip, numbered=False) -> Thought:
    """What comes, in the order of its coming."""
    events = sorted(clip.events, key=lambda e: (e.first, e.start))
    wanted = {"count": "I count the shapes", "exists": "I check for {}", "not there": "I need the time of the {}"}[q.kind.removeprefix("clip: ")]
    name = q.about[0] if q.about else ""
    thought = Thought(wanted.format(words.with_article(name) if q.kind == "clip: exists" else name) + ". I see")
    for i, e in enumerate(events):
        lead = " " if i == 0 else " and " if i == len(events) - 1 else ", "
        thought.say(f"{lead}{words.with_article(e.name)}" + (f" ({i + 1})" if numbered else ""), _shown(e, clip))
    return thought.say("." if events else " nothing.")


def _clip_motion(q, clip) -> Thought:
    e = q.about[0]
    axis = 0 if e.move[0] else 1
    ends = (("left", "right"), ("top", "bottom"))[axis]
    begins, comes = ends if e.move[axis] > 0 else ends[::-1]
    return (Thought(f"I follow the {e.name}.").say(f" At first it is at the {begins},", (e, [e.first])).say(f" at last at the {comes}.", (e, [e.last])))


def _clip(q, clip) -> Thought:
    kind = q.kind.removeprefix("clip: ")
    if kind == "when":
        e = q.about[0]
        return _time(_time(Thought(f"I need the time of the {e.name}."), clip, e, " First seen at"), clip, e, ", last seen at", e.last).say(".")
    if kind == "order":
        a, b = q.about
        return _time(_time(Thought("I compare the times."), clip, a, f" The {a.name} is first seen at"), clip, b, f", the {b.name} at").say(".")
    if kind == "at":
        return Thought(f"I look at the frames of {clip.stamps()[q.about[0]]:.1f} seconds.")
    if kind == "motion":
        return _clip_motion(q, clip)
    if kind == "describe":
        return Thought("I tell what happens.")
    if kind in ("exists", "not there", "count"):
        return _clip_seen(q, clip, kind == "count")
    raise KeyError(q.kind)


# ---- Chinese ---------------------------------------------------------------------------------------------------------

ROWS, COLUMNS = {"top": "上面", "middle": "中间", "bottom": "下面"}, {"left": "左边", "center": "中间", "right": "右边"}


def _zh_at(scene, box) -> str:
    place = scene.place(box)
    return "中间" if place == "center" else "".join(table[w] for table, w in zip((ROWS, COLUMNS), place.split(" ")))


def _zh_seen(scene, elements, lead="我看到") -> Thought:
    thought = Thought(lead)
    for i, e in enumerate(elements):
        thought.say(("、" if i else "") + chinese.COLOURS[e.colour] + chinese.SHAPES[e.shape], scene.relative(e.box))
    return thought.say("。")


def _zh(q, scene) -> Thought:
    kind = q.kind.removeprefix("zh: ")
    if kind == "chat":
        return Thought("我回答。")
    if kind == "describe":
        return Thought("我看图片。")
    if kind == "switch state":
        e = q.about[0]
        return Thought("我看开关。").say(f"{e.name}的开关在{_zh_at(scene, e.switch)}。", scene.relative(e.switch))
    if kind == "locate":
        name, (e, switch) = json.loads(q.answer)[0]["label"], _owner(scene, q.box)
        return Thought("我找位置。").say(f"{name}{'的开关' if switch else ''}在{_zh_at(scene, e.switch if switch else e.box)}。", q.box)
    if kind == "colour":
        e = q.about[0]
        return Thought("我看颜色。").say(f"{chinese.SHAPES[e.shape]}在{_zh_at(scene, e.box)}。", scene.relative(e.box))
    if kind == "count" and not q.about:
        return _zh_seen(scene, scene.elements, "我数图形。我看到")
    # A count of one shape, or one that is not there: what there is of that shape.
    shape = q.about[0] if kind == "count" else next(s for s, name in chinese.SHAPES.items() if q.about[0].endswith(name))
    same = [e for e in scene.elements if e.shape == shape]
    wanted = f"我数{chinese.SHAPES[shape]}。" if kind == "count" else "我找位置。"
    return _zh_seen(scene, same, wanted + "我看到") if same else Thought(f"{wanted}没有{chinese.SHAPES[shape]}。")


# ---- all -------------------------------------------------------------------------------------------------------------

PICTURES = {
    "describe": _describe, "count": _count, "count rows": lambda q, s: _seen(s, s.elements, "I count all.", True), "exists": _exists, "not there": _missing,
    "locate": _locate, "point": _locate, "place": _place, "relation": _relation, "name at box": _name_at_box,
    "colour": lambda q, s: _found(s, f"color of the {q.about[0].shape if q.about else 'sign'}", (q.about or s.elements)[0].box),
    "shape": lambda q, s: _found(s, f"shape that is {q.about[0].colour}", q.about[0].box),
    "largest": lambda q, s: Thought("I compare the sizes.").say(f" The largest shape is {at(s, q.about[0].box)}.", s.relative(q.about[0].box)),
    "background": lambda q, s: Thought("I need the color behind the shapes."),
    "all boxes": lambda q, s: _seen(s, s.elements, "I need all boxes."), "list": _list, "read": _read, "value": _value, "which on": _which_on, "switch state": _state,
    "title": lambda q, s: Thought("The title is at the top."), "form to JSON": _json,
    "page to HTML": lambda q, s: Thought(f"From top to bottom: {words.joined(outline(s.facts['html']))}."),
    "action": _action, "action: end": _action, "action: give up": _action,
}
PLAIN = {
    "chat": lambda q: Thought(q.about[0]), "sum": _sum, "repeat": lambda q: Thought(f"The word is {q.about[0]}."),
    "recall": lambda q: Thought(f"I look for the {q.about[0]} in the text."),
}


def reason(question, scene=None) -> Thought:
    """The thought before the question's answer. scene: the Scene or Clip that is asked about, None for plain chat."""
    if question.kind.startswith("zh: "):
        return _zh(question, scene)
    if isinstance(scene, Clip):
        return _clip(question, scene)
    return PLAIN[question.kind](question) if question.kind in PLAIN else PICTURES[question.kind](question, scene)
