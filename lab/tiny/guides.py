"""Where chosen heads of the decoder should look while it learns: from a name to the cells of the thing that it names.

Finding a named thing takes three looks in a row, and a language model forms none of them before it has the others, so left
alone the way from a name to its place stays a guess for thousands of steps. A guide names, for one token of a lesson, the tokens
on which a head's attention should rest; training adds the negative logarithm of the attention that rests there (compare guided
attention in speech synthesis, Tachibana et al. 2018, and supervised attention, Liu et al. 2016). Guides are derived from
the scene as answers are. They shape weights only: nothing of them is in the shipped model.
"""

import json
import re
from collections import Counter

# Guide -> (decoder layer, query head).
SLOTS = {
    "find": (2, 0),      # last token of a name -> where the named thing is; of a name that nothing has -> the sequence's first token
    "copy": (2, 2),      # a token of an answer that the question holds too -> the token after it in the question
    "recall": (3, 0),    # tokens of an answer -> last token of the name in the question, of two: of the first
    "other": (3, 2),     # tokens of an answer about two things -> last token of the second's name
    "aim": (4, 0),       # tokens of an answer -> where the thing is that they speak of
    "quote": (4, 2),     # a token before one that repeats a planted fact -> that piece of the fact
    "count": (3, 1),     # tokens up to the number in an answer that counts -> the middle of each thing counted and the first token, evenly: that one's share tells the number
    "read": (4, 3),      # a token before one that repeats what is written in a picture -> the cells of those characters
}
# More heads that look where a slot's head does. A head brings 64 numbers from a cell, too few for all that is written in it.
ALSO = {"read": ((5, 1), (5, 3))}
WHERE = "where"          # not a look: at a token before a letter that is read, the quarter of which patch of the cell holds it, 0 to 15
ORDERED = ("describe", "all boxes", "list", "page to HTML")      # answers that go through the scene's elements in order
NOWHERE = [0]            # where a name's look rests that finds nothing: a token that all see and that tells nothing


class Place:
    """Where each box of a scene stands in a sequence: visual tokens, or the tokens of a written scene."""

    def __init__(self, scene, relative_boxes, cells=()):
        """relative_boxes: for each visual token, or pair of (tokens, box), the box 0..1000 that it belongs to; cells: all visual tokens."""
        self.tokens = {}
        self.scene, self.cells = scene, list(cells)
        self.written = "".join(c for _, _, c in scene.characters)      # without the spaces: they are not drawn
        for token, box in relative_boxes:
            self.tokens.setdefault(tuple(box), []).append(token)

    def of(self, *boxes) -> list[int]:
        return [t for b in boxes if b is not None for t in self.tokens.get(tuple(b), ())]

    def text(self, text: str) -> list[int]:
        """The cells in which `text` is written, if it is written once."""
        text = "".join(text.split())
        if not self.cells or self.written.count(text) != 1:
            return []
        at = self.written.index(text)
        return sorted({self.cell(c) for c in range(at, at + len(text))})

    def cell(self, character: int) -> int:
        """The visual token in whose cell that character of the scene is drawn."""
        x, y, _ = self.scene.characters[character]
        return self.cells[self.scene.cell(x, y)]

    def middle(self, e) -> int:
        """The visual token of the cell in which the middle of `e` lies."""
        return self.cells[self.scene.cell((e.box[0] + e.box[2]) / 2, (e.box[1] + e.box[3]) / 2)]

    def element(self, e) -> list[int]:
        return self.of(self.scene.relative(e.box), self.scene.relative(e.switch) if e.switch else None)


def of_picture(scene, boxes, visual) -> Place:
    """boxes int [cells, 4] as the heads are taught (-1: none); visual: the cells' indices in the sequence."""
    return Place(scene, [(t, [int(v) for v in b]) for t, b in zip(visual, boxes) if b[0] >= 0], visual)


def of_text(scene, head: str, spans, first: int) -> Place:
    """Places in the written scene `head`, whose tokens (character spans `spans`) begin at index `first`."""
    found = []
    for e in scene.elements:
        for box in (e.box, e.switch):
            if box:
                relative = scene.relative(box)
                text = json.dumps(relative, separators=(",", ":"))
                at = head.find(text)
                if at >= 0 and head.find(text, at + 1) < 0:
                    found += [(first + i, relative) for i, (a, b) in enumerate(spans) if a < at + len(text) and b > at]
    return Place(scene, found)


def _aliases(scene, boxes: bool) -> dict[str, object]:
    """Text -> the one element that it can mean in this scene; boxes: written boxes too."""
    names, shapes, colours = (Counter(getattr(e, k) for e in scene.elements) for k in ("name", "shape", "colour"))
    found = {}
    for e in scene.elements:
        if boxes:
            found[json.dumps(scene.relative(e.box), separators=(",", ":"))] = e
        if scene.kind == "shapes":
            if colours[e.colour] == 1:
                found[f"{e.colour} shape"] = found[f"shape is {e.colour}"] = e
            if shapes[e.shape] == 1:    # "no pink star" does not mean the one star
                found[f"the {e.shape}"] = found[f'"{e.shape}'] = e
        if names[e.name] == 1:
            found[e.name] = e
    return found


def _mentions(text: str, aliases) -> list[tuple[int, object]]:
    """(index of the last character, element) of each thing named, longest names first, no overlaps."""
    taken, found = [], []
    lower = text.lower()
    for alias in sorted(aliases, key=len, reverse=True):
        start, wanted = 0, alias.lower()
        while (at := lower.find(wanted, start)) >= 0:
            start = end = at + len(wanted)
            whole = (not lower[at - 1:at].isalnum() or not wanted[0].isalnum()) and (not lower[end:end + 1].isalnum() or lower[end:end + 2] == "s ")
            if whole and all(end <= a or at >= b for a, b in taken):
                taken.append((at, end))
                found.append((end - 1, aliases[alias]))
    return sorted(found, key=lambda f: f[0])


def _token_at(spans, character: int) -> int | None:
    return next((i for i, (a, b) in enumerate(spans) if a <= character < b), None)


def guide(question, place: Place, asked: tuple, answered: tuple) -> list[tuple[str, int, list[int]]]:
    """(slot, token, tokens on which its attention should rest) of one question.

    asked, answered: (index of the first token, character spans of the tokens) of the question's text and of its answer.
    """
    return _guide(question, place, asked, answered) + reads(place, question, *answered) + counts(place, question, *answered)


def counts(place: Place, question, a0: int, spans) -> list[tuple[str, int, list[int]]]:
    """Guides for the tokens of an answer up to the number that it counts: one for each thing counted, one for the first token. The
    logarithms' mean is least when all get the same attention; what rests on the first token is then 1 / (number + 1)."""
    if not place.cells or question.kind not in ("count", "count rows"):
        return []
    trait, wanted = question.about or (None, None)
    things = [e for e in place.scene.elements if trait is None or getattr(e, trait) == wanted]
    number = re.search(r"\d+|\bno\b", question.answer)
    last = _token_at(spans, number.start()) if number else None
    return [("count", a0 + i - 1, [at]) for i in range(last + 1) for at in (*NOWHERE, *(place.middle(e) for e in things))] if last is not None else []


def reads(place: Place, question, a0: int, spans) -> list[tuple[str, int, list[int]]]:
    """Guides for the tokens of an answer that repeat what is written in the picture. A free part counts as a whole when it is written
    there once; of the rest a word, when it is written once or right after the one before it. The token after a free part's word
    looks at the word's last character: that is where it ends. a0: index of the answer's first token; spans: the characters of its tokens."""
    if not place.cells or not place.scene.characters:
        return []
    answer, written = question.answer, place.written
    found, after, whole, at = [], -1, {}, 0             # whole: character of the answer -> the one in the picture that it repeats
    for part in question.free:
        first = answer.find(part, at)
        if first < 0:
            break
        at = first + len(part)
        letters = [i for i in range(first, at) if not answer[i].isspace() and answer[i] != '"']     # JSON's quotation marks are not drawn
        text = "".join(answer[i] for i in letters)
        if len(text) > 1 and written.count(text) == 1:
            start = written.index(text)
            whole.update({i: start + n for n, i in enumerate(letters)})
            for i in range(letters[0] + 1, at + 1):
                whole.setdefault(i, whole[i - 1])
    for i, (first, end) in enumerate(spans):
        if first in whole:
            x, y, letter = place.scene.characters[whole[first]]
            found.append(("read", a0 + i - 1, [place.cell(whole[first])]))
            if answer[first] == letter:
                found.append((WHERE, a0 + i - 1, [int(y % 32 / 16) * 8 + int(x % 32 / 4)]))
    for word in re.finditer(r"[\w'&+%@.:/-]*\w", answer):
        text = word.group()
        if word.start() in whole:
            after = -1
            continue
        if after >= 0 and written.startswith(text, after):
            at = after
        elif len(text) > 1 and text.lower() not in COMMON and written.count(text) == 1:
            at = written.index(text)
        else:
            after = -1
            continue
        after = at + len(text)
        for i, (first, end) in enumerate(spans):
            part = range(at + max(first, word.start()) - word.start(), at + min(end, word.end()) - word.start()) if first < word.end() and end > word.start() else ()
            cells = sorted({place.cell(c) for c in part})
            if cells:
                found.append(("read", a0 + i - 1, cells))
    return found


def _guide(question, place: Place, asked: tuple, answered: tuple) -> list[tuple[str, int, list[int]]]:
    scene, found = place.scene, []
    (q0, q_spans), (a0, a_spans) = asked, answered
    end = a0 + len(a_spans)

    def add(slot, token, targets):
        targets = [t for t in targets if t <= token]
        if targets:
            found.append((slot, token, targets))

    in_question = _mentions(question.text, _aliases(scene, True))
    for at, e in in_question:
        token = _token_at(q_spans, at)
        if token is not None:
            add("find", q0 + token, place.element(e))
    absent = absentee(question, scene)
    if absent:
        at = question.text.lower().find(absent.lower())
        named = _token_at(q_spans, at + len(absent) - 1) if at >= 0 else None
        if named is not None:
            add("find", q0 + named, NOWHERE)
            for token in range(a0 - 1, end):
                add("recall", token, [q0 + named])
                add("aim", token, NOWHERE)
            return found
    ordered = _ordered(question, scene) if question.kind in ORDERED else _filled(question, scene) if question.kind in ("form to JSON", "value") else None
    key = question.about[1] if question.kind == "value" and question.about and question.about[0] == "line" else ""
    named = _token_at(q_spans, question.text.lower().find(key.lower()) + len(key) - 1) if key and key.lower() in question.text.lower() else None
    if named is not None and (cells := place.text(key)):      # the name of a document's line is written beside what it holds
        add("find", q0 + named, cells)
        for token in range(a0 - 1, end):
            add("recall", token, [q0 + named])
    if ordered:
        for (first, last), e in ordered:
            targets = place.element(e)
            for i, (a, b) in enumerate(a_spans):
                if first <= a < last:
                    add("aim", a0 + i - 1, targets)
        return found
    for at, e in _mentions(question.answer, _aliases(scene, False)):
        token = _token_at(a_spans, at)
        if token is not None:
            add("find", a0 + token, place.element(e))
    about = {id(e): e for _, e in in_question}
    if question.kind == "relation" and len(in_question) == 2:
        (first, _), (second, _) = in_question
        names = _token_at(q_spans, first), _token_at(q_spans, second)
        for token in range(a0 - 1, end) if None not in names else ():
            add("recall", token, [q0 + names[0]])
            add("other", token, [q0 + names[1]])
    if len(about) == 1 or question.box:
        only = next(iter(about.values()), None)
        if question.box:
            targets = place.of(question.box)
        elif question.kind == "switch state" and only.switch:    # of a row as wide as the screen only this tells
            targets = place.of(scene.relative(only.switch))
        else:
            targets = place.element(only)
        for token in range(a0 - 1, end):
            add("aim", token, targets)
            if len(about) == 1 and (named := _token_at(q_spans, in_question[0][0])) is not None:
                add("recall", token, [q0 + named])
    return found


def absentee(question, scene) -> str | None:
    """The name that is asked for when the scene has no such thing."""
    if question.kind.removeprefix("zh: ") in ("not there", "exists") and question.about and isinstance(question.about[0], str):
        if all(e.name != question.about[0] for e in scene.elements):
            return question.about[0]
    return None


def guide_recall(question, head: tuple, asked: tuple, answered: tuple) -> list[tuple[str, int, list[int]]]:
    """The same for a fact planted in the text before the question. head: (index of the first token, character spans, the text)."""
    (h0, h_spans, text), (q0, q_spans), (a0, a_spans) = head, asked, answered
    thing, fact = question.about
    planted = text.find(f"code of the {thing} is {fact}.")
    named, said = question.text.find(thing), question.answer.find(f" is {fact}.")
    if min(planted, named, said) < 0:
        return []
    end = lambda spans, at: _token_at(spans, at + len(thing) - 1)
    found, shift = [("find", q0 + end(q_spans, named), [h0 + end(h_spans, planted + len("code of the "))])], planted + len(f"code of the {thing}") - said
    for i, (a, b) in enumerate(a_spans):
        found.append(("recall", a0 + i - 1, [q0 + end(q_spans, named)]))
        if said + 4 < b <= said + 4 + len(fact) and (source := _token_at(h_spans, b - 1 + shift)) is not None:
            found.append(("quote", a0 + i - 1, [h0 + source]))
    return found


def guide_clip(question, clip, pairs, asked: tuple, answered: tuple) -> list[tuple[str, int, list[int]]]:
    """The same for a clip. pairs: for each pair of frames (indices of its time stamp's tokens, index of its first visual token)."""
    aliases, found = {e.name: e for e in clip.events}, []
    (q0, q_spans), (a0, a_spans) = asked, answered
    shown = lambda e: [pairs[i][1] + clip.cell(e, i) for i in range(e.first, e.last + 1)]
    in_question = _mentions(question.text, aliases)
    for text, first, spans in ((question.text, q0, q_spans), (question.answer, a0, a_spans)):
        for at, e in _mentions(text, aliases):
            token = _token_at(spans, at)
            if token is not None:
                found.append(("find", first + token, shown(e)))
    if question.kind == "clip: describe":
        return found
    about = {e.name: e for _, e in in_question}
    if len(about) == 1:
        e, named = in_question[0][1], _token_at(q_spans, in_question[0][0])
        middle = question.answer.find(" - ")      # of a time range: what begins before it, what ends after it
        for token in range(a0 - 1, a0 + len(a_spans)):
            targets = shown(e)
            if question.kind == "clip: when":
                at = a_spans[token + 1 - a0][0] if token + 1 - a0 < len(a_spans) else len(question.answer)
                stamp, visual = pairs[e.first if at < middle else e.last]
                targets = list(stamp) + [visual + clip.cell(e, e.first if at < middle else e.last)]
            found.append(("aim", token, targets))
            if named is not None:
                found.append(("recall", token, [q0 + named]))
    return found


def guide_thought(question, place: Place, asked: tuple, thought: tuple) -> list[tuple[str, int, list[int]]]:
    """The same for the reasoning before an answer: its names find their things, its parts aim at what they speak of.

    thought: (index of the first token, character spans of the tokens) of the reasoning's text.
    """
    scene, found, (t0, spans) = place.scene, [], thought
    in_question = _mentions(question.text, _aliases(scene, True))
    named = _token_at(asked[1], in_question[0][0]) if len({id(e) for _, e in in_question}) == 1 else None
    for at, e in _mentions(question.reasoning.text, _aliases(scene, False)):
        token = _token_at(spans, at)
        if token is not None and place.element(e):
            found.append(("find", t0 + token, place.element(e)))
    for first, end, boxes in question.reasoning.looks:
        targets = place.of(*boxes)
        for i, (a, _) in enumerate(spans):
            if first <= a < end and targets:
                found.append(("aim", t0 + i - 1, targets))
                if named is not None and place.element(in_question[0][1]) and set(targets) <= set(place.element(in_question[0][1])):
                    found.append(("recall", t0 + i - 1, [asked[0] + named]))
    return [(slot, token, rest) for slot, token, targets in found if (rest := [t for t in targets if t <= token])]


def guide_clip_thought(question, clip, pairs, thought: tuple) -> list[tuple[str, int, list[int]]]:
    """The same for a clip: a part that speaks of a moment aims at its time stamp and at the thing in those frames."""
    found, (t0, spans) = [], thought
    for at, e in _mentions(question.reasoning.text, {e.name: e for e in clip.events}):
        token = _token_at(spans, at)
        if token is not None:
            found.append(("find", t0 + token, [pairs[i][1] + clip.cell(e, i) for i in range(e.first, e.last + 1)]))
    for first, end, things in question.reasoning.looks:
        targets = [t for e, shown in things for i in shown
                   for t in [*(pairs[i][0] if len(shown) == 1 else ()), pairs[i][1] + clip.cell(e, i)]]
        found += [("aim", t0 + i - 1, targets) for i, (a, _) in enumerate(spans) if first <= a < end]
    return found


def _ordered(question, scene):
    """((first, last character), element) for an answer that names the elements in order; None when it does not. A part goes from a
    name to the beginning of the next one; in HTML from the end of the name before to its own end, since a tag tells of what comes in it."""
    answer, starts, at = question.answer.lower(), [], 0
    for e in scene.elements:
        at = answer.find(e.name.lower(), at)
        if at < 0:
            return None
        starts.append(at)
        at += len(e.name)
    if question.kind == "page to HTML":
        ends = [s + len(e.name) for s, e in zip(starts, scene.elements)]
        return [(part, e) for part, e in zip(zip([0] + ends, ends), scene.elements)]
    ends = starts[1:] + [len(answer)]
    return [((0 if i == 0 else s, t), e) for i, (s, t, e) in enumerate(zip(starts, ends, scene.elements))]


def _filled(question, scene):
    """The same for an answer whose free parts are what elements hold, in any order."""
    found, at = [], 0
    for part in question.free:
        first = question.answer.find(part, at)
        at = first + len(part)
        holding = [e for e in scene.elements if part.strip('"') == (e.value or e.name)]
        if first >= 0 and len(holding) == 1:
            found.append(((first, at), holding[0]))
    return found


COMMON = set("is are on off the a an of there this screen in to at left right above below yes no row switch setting button app icon field checkbox picture it and or".split())


def copies(codec, asked: str, q0: int, answered: tuple, a0: int) -> list[tuple[str, int, list[int]]]:
    """Guides for pieces that an answer repeats from its question: both tokens of a pair stand there exactly once, or a word of the
    answer begins as one word of the question does, with a space before it or without."""
    asked_ids, (answer_ids, answer, answer_spans), pairs = codec.encode(asked), answered, {}
    for i, pair in enumerate(zip(asked_ids, asked_ids[1:])):
        pairs.setdefault(pair, []).append(q0 + i + 1)
    found = {i: pairs[pair] for i, pair in enumerate(zip(answer_ids, answer_ids[1:])) if len(pairs.get(pair, ())) == 1}
    words = {}
    for word, token, piece in _words(asked, codec.spans(asked)):
        words.setdefault(word, []).append((token, piece))
    for word, token, piece in _words(answer, answer_spans):
        if word.lower() not in COMMON and len(words.get(word, ())) == 1 and words[word][0][1] == piece:
            found.setdefault(token - 1, [q0 + words[word][0][0]])
    return [("copy", a0 + i, targets) for i, targets in found.items()]


def _words(text: str, spans):
    """(word, index of its first token, that token's letters) of each word."""
    for m in re.finditer(r"\w+", text):
        token = _token_at(spans, m.start())
        if token is not None:
            yield m.group(), token, text[m.start():spans[token][1]]
