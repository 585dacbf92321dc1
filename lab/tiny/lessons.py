"""Batches: a pure function of (seed, stage, step). Nothing is stored, so a run resumes anywhere and never repeats a picture.

A picture's questions share its prefix in one sequence: each sees the picture and itself, not the others, and its
positions start right after the picture, so training equals single-turn chats at a fraction of the cost. Some sequences
are real conversations of several turns, and in some the question stands before the picture. A question with reasoning is laid
out as the Thinking checkpoints' template has it: reasoning before the answer in the last turn, earlier turns without it.
"""

import math
import random
import re
from pathlib import Path

import numpy as np
import torch

from lab import pixels

from . import actions, browser, chat, chinese, clips, config, coordinates, fonts, guides, questions, scenes, several, thinking, words

MASKED = -1e4
LENGTHENED, LONGEST = 0.7, 40_000      # share of lessons of long recall whose filler counts as a longer one, and the most tokens it counts as
LONG_FILLER, ALONE = 32, 0.25        # lines of a long filler text, and the share of text batches that are one such alone: others would be padded to its length
NEAR = 24            # tokens before a token that stand for themselves in a text that counts as a longer one
THINK, THOUGHT = "<think>\n", "\n</think>\n\n"      # what a Thinking prompt ends with; what stands between reasoning and answer


class Sequence:
    """Token ids with three-axis positions, segment numbers (0: seen by all) and targets, grown from left to right."""

    def __init__(self, codec):
        self.codec = codec
        self.ids, self.positions, self.segments, self.targets, self.visual = [], [], [], [], []
        self.answers = []            # (first, end, question): where each answer stands
        self.thoughts = []           # (first, end, question): where the reasoning before each answer stands, up to the answer
        self.asked = []              # (first token of the question's text, first token of its answer, question)
        self.guides, self.at, self.head = [], 0, 0
        self.filler, self.often = [], 1.0      # tokens of filler text, and how many times each counts
        self.next, self.segment = 0, 0

    def tokens(self, ids, answer=False):
        for i in ids:
            self.ids.append(i)
            self.positions.append((self.next,) * 3)
            self.next += 1
        self.segments += [self.segment] * len(ids)
        self.targets += list(ids) if answer else [-100] * len(ids)

    def text(self, text, answer=False):
        self.tokens(self.codec.encode(text), answer)

    def stretched(self, text, rng, room):
        """`text` with gaps in its positions after some lines, `room` in all: distances of long texts at the price of short ones
        (compare randomised positional encodings, Ruoss et al. 2023)."""
        ids = self.codec.encode(text)
        ends = [i for i, (_, b) in enumerate(self.codec.spans(text)) if text[b - 1] == "\n"]
        gaps = {rng.choice(ends): 0 for _ in range(min(4, len(ends)))}
        for _ in range(8):
            gaps[rng.choice(list(gaps))] += room // 8
        start = 0
        for at in sorted(gaps):
            self.tokens(ids[start:at + 1])
            self.next += gaps[at]
            start = at + 1
        self.tokens(ids[start:])

    def lengthened(self, head, rng):
        """Lets the filler lines of the text `head` that holds planted facts count many times, up to a text of 40,000 tokens. To a token that
        looks, a text of so many more lines of the same kind is just that; only near it each token stands for itself."""
        spans = self.codec.spans(head)
        self.often = (LONGEST / len(spans)) ** rng.random()
        planted = [(m.start(), m.end()) for m in re.finditer(r"[^\n]*code of the[^\n]*\n", head)]
        self.filler = [self.head + i for i, (a, _) in enumerate(spans) if all(not first <= a < end for first, end in planted)]

    def picture(self, rows, columns, pad="<|image_pad|>"):
        """Start mark, rows x columns visual tokens, end mark."""
        ids, count = self.codec.ids, rows * columns
        self.tokens([ids["<|vision_start|>"]])
        self.visual += range(len(self.ids), len(self.ids) + count)
        self.ids += [ids[pad]] * count
        self.positions += [(self.next, self.next + r, self.next + c) for r in range(rows) for c in range(columns)]
        self.segments += [self.segment] * count
        self.targets += [-100] * count
        self.next += max(rows, columns)
        self.tokens([ids["<|vision_end|>"]])

    def clip(self, stamps, rows, columns):
        """Each pair of frames after its time, in the form the decoder is told at use."""
        self.pairs = []              # of each pair of frames: its time stamp's tokens, its first visual token
        for t in stamps:
            start = len(self.ids)
            self.text(f"<{t:.1f} seconds>")
            self.pairs.append((range(start, len(self.ids)), len(self.ids) + 1))
            self.picture(rows, columns, "<|video_pad|>")

    def question(self, text):
        self.at = len(self.ids)
        self.text(text)
        self.tokens(self.ending())
        self.text("\n<|im_start|>assistant\n")

    def turn(self, q, last=True):
        """The question and its answer, with its reasoning if it has any and this is the last turn."""
        self.question(q.text)
        self.reply(q, last)

    def reply(self, q, think=True):
        if q.reasoning and think:
            self.text(THINK)
            start = len(self.ids)
            self.tokens(self.codec.encode(q.reasoning.text + THOUGHT), answer=True)
            self.thoughts.append((start, len(self.ids), q))
        self.answer(q.answer, q, spell=think)

    def ending(self):
        return [self.codec.ids["<|im_end|>"]]

    def answer(self, text, question=None, spell=True):
        """An answer; its free parts are spelled if there is a picture and `spell`. An earlier turn's are not: a conversation comes
        back as text and is cut into pieces as usual; such an answer is context and no target."""
        start, free = len(self.ids), question.free if question and self.visual else ()
        ids, spans = self.codec.spelled(text, free if spell else ())
        self.tokens(ids + tuple(self.ending()), answer=spell or not free)
        if question:
            question.spans = spans
        self.answers.append((start, len(self.ids), question))
        self.asked.append((self.at, start, question))

    def guide(self, place=None):
        """Guides of all questions, for `collate`; place: where the scene's things stand, None when there is no scene."""
        codec, self.guides = self.codec, []
        for at, start, q in self.asked:
            if place:
                self.guides += guides.guide(q, place, (at, codec.spans(q.text)), (start, q.spans))
            self.guides += guides.copies(codec, q.text, at, (self.ids[start:start + len(q.spans)], q.answer, q.spans), start)
        asked = {id(q): at for at, _, q in self.asked}
        for start, _, q in self.thoughts:
            thought = q.reasoning.text
            if place:
                self.guides += guides.guide_thought(q, place, (asked[id(q)], codec.spans(q.text)), (start, codec.spans(thought)))
            self.guides += guides.copies(codec, q.text, asked[id(q)], (codec.encode(thought), thought, codec.spans(thought)), start)
        # What is no target is not read either.
        self.guides = [g for g in self.guides if g[0] not in ("read", guides.WHERE) or self.targets[g[1] + 1] >= 0]
        return self


def sequence(codec, rng, asked, grid=None, head="", room=0) -> Sequence:
    """One sequence over a picture of `grid` (rows, columns) merged cells, or over the text `head`, or neither. The first
    question's system message stands for all. room: how far the positions of `head` are stretched."""
    s = Sequence(codec)
    if asked[0].system:
        s.text("<|im_start|>system\n" + asked[0].system)
        s.tokens(s.ending())
        s.text("\n")
    s.text("<|im_start|>user\n")
    form = rng.random()
    if grid and form < 0.1:
        s.at = len(s.ids)
        s.text(asked[0].text)
        s.picture(*grid)
        s.tokens(s.ending())
        s.text("\n<|im_start|>assistant\n")
        s.reply(asked[0])
        return s
    if grid:
        s.picture(*grid)
    if head:
        s.head = len(s.ids)
        s.stretched(head, rng, room) if room else s.text(head)
    if form < 0.3:
        for i, q in enumerate(asked):
            if i:
                s.text("\n<|im_start|>user\n")
            s.turn(q, i == len(asked) - 1)
        return s
    start = s.next
    for i, q in enumerate(asked):
        s.next, s.segment = start, i + 1
        s.turn(q)
    return s


def several_sequence(codec, asked, places, grid, count) -> Sequence:
    """One sequence over `count` pictures of `grid`; asked: [(question, picture)]; places(visual, picture) -> guides.Place."""
    s = Sequence(codec)
    s.text("<|im_start|>user\n")
    for _ in range(count):
        s.picture(*grid)
    start, cells = s.next, grid[0] * grid[1]
    for i, (q, _) in enumerate(asked):
        s.next, s.segment = start, i + 1
        s.turn(q)
    for (at, first, q), (_, picture) in zip(s.asked, asked):
        place = places(s.visual[picture * cells:(picture + 1) * cells], picture)
        s.guides += guides.guide(q, place, (at, codec.spans(q.text)), (first, q.spans))
        s.guides += guides.copies(codec, q.text, at, (s.ids[first:first + len(q.spans)], q.answer, q.spans), first)
    return s


def clip_sequence(codec, clip, asked) -> Sequence:
    """One sequence over a clip; its questions share it and do not see each other."""
    s = Sequence(codec)
    s.text("<|im_start|>user\n")
    s.clip(clip.stamps(), clip.height // 32, clip.width // 32)
    start = s.next
    for i, q in enumerate(asked):
        s.next, s.segment = start, i + 1
        s.turn(q)
    for at, start, q in s.asked:
        s.guides += guides.guide_clip(q, clip, s.pairs, (at, codec.spans(q.text)), (start, q.spans))
    for start, _, q in s.thoughts:
        s.guides += guides.guide_clip_thought(q, clip, s.pairs, (start, codec.spans(q.reasoning.text)))
    return s


def collate(sequences, pad: int) -> dict:
    """Padded tensors of a batch: ids, positions, mask, targets (already shifted by one), flat visual indices; and
    `answers`, `thoughts`: (first, end, question) of each answer and of the reasoning before it as flat indices into the targets;
    `guides`: slot -> (flat indices of tokens, where the attention of each should rest); `soft` [n, 4]: digits of coordinates in pictures (see
    coordinates.marks), the first column as flat index into the targets."""
    length = (max(len(s.ids) for s in sequences) + 15) // 16 * 16
    batch = len(sequences)
    ids, targets = np.full((batch, length), pad), np.full((batch, length), -100)
    positions, segments = np.zeros((3, batch, length), np.int64), np.full((batch, length), -1)
    visual, answers, thoughts, guided, soft = [], [], [], {}, []
    for b, s in enumerate(sequences):
        n = len(s.ids)
        ids[b, :n], segments[b, :n] = s.ids, s.segments
        targets[b, :n - 1] = s.targets[1:]
        positions[:, b, :n] = np.array(s.positions).T
        visual += [b * length + v for v in s.visual]
        for places, own in ((answers, s.answers), (thoughts, s.thoughts)):
            places += [(b * length + start - 1, b * length + end - 1, q) for start, end, q in own]
        for start, _, q in s.answers:
            if not s.visual or q is None:     # a text's coordinates are copied and stay exact
                continue
            soft += [(b * length + start + token - 1, value, digits, s.ids[start + end])
                     for token, value, digits, end in coordinates.marks(q.answer, q.spans)]
        for slot, token, rest in s.guides:
            guided.setdefault(slot, []).append((b * length + token, rest))
    seen = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
    seen &= np.tril(np.ones((length, length), bool))
    seen |= np.eye(length, dtype=bool)
    mask = np.where(seen, np.float32(0), np.float32(MASKED))[:, None]
    for b, s in enumerate(sequences):
        if s.filler and s.often > 1:
            columns = np.array(s.filler)
            mask[b, 0][:, columns] += np.float32(math.log(s.often)) * (np.arange(length)[:, None] - columns > NEAR)
    return dict(ids=torch.from_numpy(ids), positions=torch.from_numpy(positions), mask=torch.from_numpy(mask),
                targets=torch.from_numpy(targets), soft=torch.tensor(soft, dtype=torch.long).view(-1, 4), visual=torch.tensor(visual, dtype=torch.long), answers=answers, thoughts=thoughts,
                guides={slot: _guide_rows(rows, length) for slot, rows in guided.items()})


def _guide_rows(rows, length):
    """(flat indices of the guided tokens, bool [rows, length]: where each one's attention should rest)."""
    rest = np.zeros((len(rows), length), bool)
    for i, (_, tokens) in enumerate(rows):
        rest[i, tokens] = True
    return torch.tensor([t for t, _ in rows]), torch.from_numpy(rest)


def name_pieces(scene, codec, target) -> np.ndarray:
    """int64 [cells, 3]: the first pieces of the name of the element in each cell, -1 where none."""
    pieces = np.full((len(target["kind"]), 3), -1, np.int64)
    boxes = {tuple(scene.relative(b)): e.name for e in scene.elements for b in (e.box, e.switch) if b}
    for i, box in enumerate(target["box"]):
        name = boxes.get(tuple(int(v) for v in box))
        if name:
            ids = codec.encode(" " + name if name.islower() else name)[:3]
            pieces[i, :len(ids)] = ids
    return pieces


def choose(rng, found, limit, room=150):
    """At most `limit` questions whose answers stay within `room` characters each beyond the first."""
    picked, used = [], 0
    for q in found:
        if len(picked) == limit:
            break
        if used and used + len(q.answer) > room * limit / 2:
            continue
        picked.append(q)
        used += len(q.answer)
    return picked


class Lessons:
    """Makes the micro-batches of a run."""

    def __init__(self, plan: config.Plan, codec, folder: Path = Path(".")):
        self.plan, self.codec = plan, codec
        self.paths = fonts.paths()
        self.store = browser.Store(Path(folder) / plan.pages)

    def tasks(self, phase: config.Phase, at: int) -> list[str]:
        """The micro-batches of step `at` of the phase, by task."""
        parts = phase.turns[at % len(phase.turns)] if phase.turns else phase.parts
        return [task for task, count in parts for _ in range(count)]

    def make(self, phase: config.Phase, at: int, index: int) -> dict:
        """Micro-batch `index` of step `at` of the phase."""
        task = self.tasks(phase, at)[index]
        rng = random.Random(f"{self.plan.seed}/{phase.name}/{at}/{index}")
        level = phase.level[0] + (phase.level[1] - phase.level[0]) * min(1.0, at / max(1, phase.steps))
        if task == "crops":
            part = self.crops(rng, phase.crops)
        elif task == "clips":
            part = self.clips(rng, phase)
        elif task == "recall":
            part = self.texts(rng, phase, level)
        else:
            part = self.pictures(rng, phase, level, with_text=task == "look")
        part["task"] = task
        return part

    def think(self, phase, rng, asked, scene=None):
        """`asked`, the phase's share of them with reasoning."""
        for q in asked if phase.think else ():
            if rng.random() < phase.think:
                q.reasoning = thinking.reason(q, scene)
        return asked

    def ask(self, phase, scene, rng, acting=False):
        """The phase's share of the scene's questions; acting: goals instead, where the scene has any."""
        form = rng.random()
        found = (actions.ask(scene, rng) if acting else chinese.ask(scene, rng) if form > 1 - phase.chinese else []) or questions.ask(scene, rng)
        found = [q for q in found if q.kind not in phase.skip]
        first = list({q.kind: q for q in reversed(found) if q.kind in phase.favour}.values())[-2:]
        found = first + [q for q in found if q not in first]
        return self.think(phase, rng, choose(rng, found, phase.share), scene)

    def pictures(self, rng, phase, level, with_text) -> dict:
        stored = rng.random() < phase.stored
        # A mix without sizes of its own is drawn by the browser alone.
        mix = pick(rng, [(m, m.weight) for m in phase.mixes if m.sizes or (stored and self.store.sizes(m.kinds))])
        sizes = self.store.sizes(mix.kinds) if stored else []
        width, height = rng.choice(sizes) if sizes else pick(rng, mix.sizes.items())
        # Goals come with the signature of a tool and earlier steps: long sequences, which would pad those of plain questions to their length.
        acting = with_text and rng.random() < phase.acts
        # As the processor brings them.
        high, wide = pixels.smart_resize(height, width, 32, round(rng.uniform(*mix.areas)), mix.areas[1]) if mix.areas else (height, width)
        count = max(1, round(phase.cells / (wide * high // 1024) / (2 if acting else 1)))
        made = self.store.draw(rng, mix.kinds, width, height, count) if sizes else [scenes.make(pick(rng, mix.kinds.items()), rng, width, height, self.paths, level) for _ in range(count)]
        if (wide, high) != (width, height):
            made = [s.enlarged(wide, high) for s in made]
        grid = (high // 32, wide // 32)
        out = self._seen(made, grid)
        if with_text and not acting and count > 1 and rng.random() < phase.several:
            out.update(self._several(rng, phase, made, grid, out["heads"]["box"].tolist()))
        elif with_text:
            packed = [sequence(self.codec, rng, self.ask(phase, s, rng, acting), grid) for s in made]
            for s, scene, boxes in zip(packed, made, out["heads"]["box"].tolist()):
                s.guide(guides.of_picture(scene, boxes, s.visual))
            out.update(collate(packed, self.codec.ids["<|endoftext|>"]))
        return out

    def _several(self, rng, phase, made, grid, boxes) -> dict:
        """The same pictures, two to four in a question."""
        packed, at = [], 0
        while at < len(made):
            count = min(len(made) - at, rng.choice([2, 2, 3, 4]))
            asked = several.ask(made[at:at + count], rng)
            kept = {id(q) for q in choose(rng, [q for q, _ in asked], phase.share)}
            places = lambda visual, i, at=at: guides.of_picture(made[at + i], boxes[at + i], visual)
            packed.append(several_sequence(self.codec, [a for a in asked if id(a[0]) in kept], places, grid, count))
            at += count
        return collate(packed, self.codec.ids["<|endoftext|>"])

    def crops(self, rng, count) -> dict:
        width, height = config.CROP
        return self._seen([scenes.make("crop", rng, width, height, self.paths) for _ in range(count)], (height // 32, width // 32))

    def clips(self, rng, phase) -> dict:
        width, height = rng.choice([(96, 96), (128, 96), (128, 128), (160, 96), (160, 128), (192, 128), (256, 192), (320, 256)])
        cells = width * height // 1024
        pairs = rng.choice([p for p in (2, 3, 4, 6, 8) if p == 2 or p * cells <= phase.cells])
        made = [clips.make(rng, width, height, pairs) for _ in range(max(1, phase.cells // (pairs * cells)))]
        packed = [clip_sequence(self.codec, c, self.think(phase, rng, sorted(clips.ask(c, rng), key=lambda q: q.kind not in phase.favour)[:phase.share], c)) for c in made]
        return dict(patches=torch.from_numpy(np.concatenate([clips.patches(c) for c in made])), grid=(height // 16, width // 16),
                    **collate(packed, self.codec.ids["<|endoftext|>"]))

    def _seen(self, made, grid) -> dict:
        targets = [scenes.targets(s) for s in made]
        for s, t in zip(made, targets):
            t["pieces"] = name_pieces(s, self.codec, t)
        return dict(patches=torch.from_numpy(np.stack([scenes.patches(s.image) for s in made])), grid=(grid[0] * 2, grid[1] * 2),
                    heads={k: torch.from_numpy(np.stack([t[k] for t in targets]).astype(np.int64)) for k in targets[0]})

    def texts(self, rng, phase, level) -> dict:
        packed, alone = [], phase.filler > LONG_FILLER and rng.random() < ALONE
        for _ in range(1 if alone else phase.texts):
            if not alone and rng.random() < phase.scenes:
                mix = pick(rng, [(m, m.weight) for m in phase.mixes if m.sizes and m.written])
                scene = scenes.make(pick(rng, mix.kinds.items()), rng, *pick(rng, mix.sizes.items()), self.paths, level, draw=False)
                head = questions.as_text(scene, rng)
                s = sequence(self.codec, rng, self.ask(phase, scene, rng, rng.random() < phase.acts), head=head)
                packed.append(s.guide(guides.of_text(scene, head, self.codec.spans(head), s.head)))
            elif alone or (phase.filler and rng.random() < 0.5):
                head, asked = chat.recall(rng, rng.randint(LONG_FILLER, phase.filler) if alone else rng.randint(2, min(phase.filler, LONG_FILLER)), words.invented)
                room = min(int(8 * 4000 ** rng.random()), self.plan.shape.max_positions - 4096) if rng.random() < 0.6 else 0
                s = sequence(self.codec, rng, self.think(phase, rng, asked), head=head, room=room).guide()
                if rng.random() < LENGTHENED:
                    s.lengthened(head, rng)
                spans = self.codec.spans
                for at, start, q in s.asked:
                    s.guides += guides.guide_recall(q, (s.head, spans(head), head), (at, spans(q.text)), (start, q.spans))
                packed.append(s)
            else:
                asked = chat.questions(rng, 4)
                if phase.chinese and rng.random() < 0.2:
                    asked.append(chinese.chat(rng))
                packed.append(sequence(self.codec, rng, self.think(phase, rng, asked)).guide())
        return collate(packed, self.codec.ids["<|endoftext|>"])


def pick(rng, pairs):
    """One of (value, weight) pairs."""
    values, weights = zip(*pairs)
    return rng.choices(values, weights)[0]
