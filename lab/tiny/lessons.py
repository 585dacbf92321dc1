"""Batches: a pure function of (seed, stage, step). Nothing is stored, so a run resumes anywhere and never repeats a picture.

A picture's questions share its prefix in one sequence: each sees the picture and itself, not the others, and its
positions start right after the picture, so training equals single-turn chats at a fraction of the cost. Some sequences
are real conversations of several turns, and in some the question stands before the picture.
"""

import random

import numpy as np
import torch

from . import chat, config, fonts, questions, scenes

MASKED = -1e4


class Sequence:
    """Token ids with three-axis positions, segment numbers (0: seen by all) and targets, grown from left to right."""

    def __init__(self, codec):
        self.codec = codec
        self.ids, self.positions, self.segments, self.targets, self.visual = [], [], [], [], []
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

    def question(self, text):
        self.text(text)
        self.tokens(self.ending())
        self.text("\n<|im_start|>assistant\n")

    def ending(self):
        return [self.codec.ids["<|im_end|>"]]

    def answer(self, text):
        self.tokens(self.codec.encode(text) + tuple(self.ending()), answer=True)


def sequence(codec, rng, asked, grid=None, head="") -> Sequence:
    """One sequence over a picture of `grid` (rows, columns) merged cells, or over the text `head`, or neither."""
    s = Sequence(codec)
    s.text("<|im_start|>user\n")
    form = rng.random()
    if grid and form < 0.1:
        s.text(asked[0].text)
        s.picture(*grid)
        s.tokens(s.ending())
        s.text("\n<|im_start|>assistant\n")
        s.answer(asked[0].answer)
        return s
    if grid:
        s.picture(*grid)
    if head:
        s.text(head)
    if form < 0.3:
        for i, q in enumerate(asked):
            if i:
                s.text("\n<|im_start|>user\n")
            s.question(q.text)
            s.answer(q.answer)
        return s
    start = s.next
    for i, q in enumerate(asked):
        s.next, s.segment = start, i + 1
        s.question(q.text)
        s.answer(q.answer)
    return s


def collate(sequences, pad: int) -> dict:
    """Padded tensors of a batch: ids, positions, mask, targets (already shifted by one), flat visual indices."""
    length = (max(len(s.ids) for s in sequences) + 15) // 16 * 16
    batch = len(sequences)
    ids, targets = np.full((batch, length), pad), np.full((batch, length), -100)
    positions, segments = np.zeros((3, batch, length), np.int64), np.full((batch, length), -1)
    visual = []
    for b, s in enumerate(sequences):
        n = len(s.ids)
        ids[b, :n], segments[b, :n] = s.ids, s.segments
        targets[b, :n - 1] = s.targets[1:]
        positions[:, b, :n] = np.array(s.positions).T
        visual += [b * length + v for v in s.visual]
    seen = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
    seen &= np.tril(np.ones((length, length), bool))
    seen |= np.eye(length, dtype=bool)
    mask = np.where(seen, np.float32(0), np.float32(MASKED))[:, None]
    return dict(ids=torch.from_numpy(ids), positions=torch.from_numpy(positions), mask=torch.from_numpy(mask),
                targets=torch.from_numpy(targets), visual=torch.tensor(visual, dtype=torch.long))


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
    """Makes the batches of one stage."""

    def __init__(self, plan: config.Plan, stage: config.Stage, codec, rank: int = 0):
        self.plan, self.stage, self.codec, self.rank = plan, stage, codec, rank
        self.paths = fonts.paths()

    def level(self, step: int) -> float:
        """0.2 .. 1: the share of the full number of candidates; always mixed, never only the hardest."""
        grown = step / max(1, self.stage.curriculum * self.stage.steps)
        return self.stage.level * min(1.0, 0.25 + 0.75 * grown)

    def batches(self, step: int) -> list[dict]:
        """The parts of one optimiser step: pictures of one size, dense crops, text-only sequences."""
        stage = self.stage
        rng = random.Random(f"{self.plan.seed}/{stage.name}/{step}/{self.rank}")
        parts = []
        if stage.task != "recall" and stage.pictures:
            width, height = rng.choices(list(stage.sizes), list(stage.sizes.values()))[0]
            count = max(1, round(stage.pictures * 64 / (width * height // 1024)))
            parts.append(self.pictures(rng, count, width, height, step, with_text=stage.task == "joint"))
        if stage.crops:
            parts.append(self.crops(rng, stage.crops))
        if stage.texts:
            parts.append(self.texts(rng, stage.texts, step))
        return parts

    def scene(self, rng, width, height, step, draw=True):
        kind = rng.choices(list(self.stage.kinds), list(self.stage.kinds.values()))[0]
        return scenes.make(kind, rng, width, height, self.paths, self.level(step), draw)

    def ask(self, scene, rng):
        """The stage's share of the scene's questions."""
        found = [q for q in questions.ask(scene, rng) if q.kind not in self.stage.skip]
        return choose(rng, found, self.stage.share)

    def pictures(self, rng, count, width, height, step, with_text) -> dict:
        made = [self.scene(rng, width, height, step) for _ in range(count)]
        grid = (height // 32, width // 32)
        out = self._seen(made, grid)
        if with_text:
            packed = [sequence(self.codec, rng, self.ask(s, rng), grid) for s in made]
            out.update(collate(packed, self.codec.ids["<|endoftext|>"]))
        return out

    def crops(self, rng, count) -> dict:
        width, height = config.CROP
        return self._seen([scenes.make("crop", rng, width, height, self.paths) for _ in range(count)], (height // 32, width // 32))

    def _seen(self, made, grid) -> dict:
        targets = [scenes.targets(s) for s in made]
        for s, t in zip(made, targets):
            t["pieces"] = name_pieces(s, self.codec, t)
        return dict(patches=torch.from_numpy(np.stack([scenes.patches(s.image) for s in made])), grid=(grid[0] * 2, grid[1] * 2),
                    heads={k: torch.from_numpy(np.stack([t[k] for t in targets]).astype(np.int64)) for k in targets[0]})

    def texts(self, rng, count, step) -> dict:
        packed = []
        written = self.stage.scenes if self.stage.scenes >= 0 else 0.85 if self.stage.task == "recall" else 0.35
        for i in range(count):
            if rng.random() < written:
                scene = self.scene(rng, *rng.choice(list(self.stage.sizes)), step, draw=False)
                asked = self.ask(scene, rng)
                packed.append(sequence(self.codec, rng, asked, head=questions.as_text(scene, rng)))
            else:
                packed.append(sequence(self.codec, rng, chat.questions(rng, 4)))
        return collate(packed, self.codec.ids["<|endoftext|>"])
