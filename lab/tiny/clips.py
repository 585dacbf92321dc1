"""Short clips of shapes that come, go and move, with questions about time and order.

A clip is a row of frames at even times; two frames are one visual unit (temporal patch 2), whose time stamp is their
mean. Everything is a pure function of the given `random.Random`. Owns the frames (uint8 [height, width, 3] each).
"""

import random
from dataclasses import dataclass, field

import numpy as np

from . import words
from .canvas import Canvas, Scene, distance, jitter, named_colour
from .question import Question
from .scenes import draw_shape


@dataclass
class Event:
    """One shape of a clip, seen in the pairs first .. last."""
    name: str
    shape: str
    colour: tuple
    first: int
    last: int
    start: tuple        # centre and half size in pixels
    size: float
    move: tuple = (0.0, 0.0)   # pixels a pair


@dataclass
class Clip:
    width: int
    height: int
    spacing: float                       # seconds between two pairs
    frames: list = field(default_factory=list)
    events: list = field(default_factory=list)
    pairs: int = 0

    def stamps(self) -> list[float]:
        """The pairs' times in seconds: means of their two frames' times."""
        return [(2 * i + 0.5) * self.spacing / 2 for i in range(self.pairs)]

    def span(self, event) -> str:
        """`[HH:MM:SS - HH:MM:SS]` from the event's first frame to the end of its last one, to the nearest second."""
        form = lambda t: f"{t // 3600:02d}:{t // 60 % 60:02d}:{t % 60:02d}"
        return f"[{form(round(event.first * self.spacing))} - {form(round((event.last + 1) * self.spacing))}]"


def _event(rng, clip, taken, background) -> Event | None:
    for _ in range(20):
        colour, shape = rng.choice(list(words.COLOURS)), rng.choice(words.SHAPES)
        value, name = named_colour(rng, colour), f"{colour} {shape}"
        size = rng.uniform(0.09, 0.16) * min(clip.width, clip.height)
        at = rng.uniform(size + 2, clip.width - size - 2), rng.uniform(size + 2, clip.height - size - 2)
        apart = all(np.hypot(at[0] - e.start[0], at[1] - e.start[1]) > 1.3 * (size + e.size) for e in taken)
        if distance(value, background) > 120 and apart and name not in [e.name for e in taken]:
            first = rng.randint(0, clip.pairs - 1)
            return Event(name, shape, value, first, rng.randint(first, clip.pairs - 1), at, size)
    return None


def make(rng: random.Random, width: int, height: int, pairs: int, events: int = 3) -> Clip:
    """A clip of `pairs` pairs of frames with one to `events` shapes; one in four moves."""
    clip = Clip(width, height, rng.choice([0.5, 1.0, 1.0, 2.0]), pairs=pairs)
    background = jitter(rng, rng.choice([(240, 240, 240), (25, 25, 30), (200, 215, 230), (60, 70, 80)]), 12)
    for _ in range(rng.randint(1, events)):
        event = _event(rng, clip, clip.events, background)
        if event:
            clip.events.append(event)
    if clip.events and rng.random() < 0.25:
        e = rng.choice(clip.events)
        e.first, e.last = 0, pairs - 1
        axis, sign = rng.randint(0, 1), rng.choice([-1, 1])
        room = (width, height)[axis] * 0.6
        start = list(e.start)
        start[axis] = (width, height)[axis] * (0.2 if sign > 0 else 0.8)
        e.start = tuple(start)
        e.move = tuple(sign * room / max(1, pairs - 1) if i == axis else 0.0 for i in range(2))
    for frame in range(2 * pairs):
        canvas = Canvas(random.Random(0), width, height, background, True, 2.0)
        for e in clip.events:
            if e.first <= frame // 2 <= e.last:
                step = frame / 2 - e.first
                draw_shape(canvas, e.shape, e.start[0] + e.move[0] * step, e.start[1] + e.move[1] * step, e.size, e.colour, None, 0.6)
        clip.frames.append(canvas.finish(Scene("clip", width, height)).image)
    return clip


def ask(clip: Clip, rng) -> list[Question]:
    """Questions whose answers the frames settle, in random order."""
    q, events = [], clip.events
    for e in events:
        if any(e.move):
            where = "right" if e.move[0] > 0 else "left" if e.move[0] < 0 else "down" if e.move[1] > 0 else "up"
            q.append(Question("clip: motion", f"Where does the {e.name} move?", f"The {e.name} moves {where if where in ('up', 'down') else 'to the ' + where}."))
        else:
            q.append(Question("clip: when", rng.choice([f"When does the {e.name} appear?", f"When is the {e.name} visible?", f"Give the time range of the {e.name}."]), clip.span(e)))
    missing = f"{rng.choice(list(words.COLOURS))} {rng.choice(words.SHAPES)}"
    if missing not in [e.name for e in events]:
        q.append(Question("clip: not there", f"When does the {missing} appear?", f"There is no {missing} in the clip."))
    order = sorted({e.first: e for e in events}.values(), key=lambda e: e.first)
    if len(order) > 1:
        a, b = rng.sample(order, 2)
        q.append(Question("clip: order", f"Which comes first, the {a.name} or the {b.name}?", f"The {(a if a.first < b.first else b).name} comes first."))
    number = len(events)
    q.append(Question("clip: count", "How many shapes appear in the clip?", "No shape appears." if not number else "1 shape appears." if number == 1 else f"{number} shapes appear."))
    at = rng.randrange(clip.pairs)
    here = [words.with_article(e.name) for e in sorted(events, key=lambda e: e.start) if e.first <= at <= e.last]
    q.append(Question("clip: at", f"What is on the screen at {clip.stamps()[at]:.1f} seconds?", words.joined(here).capitalize() + "." if here else "Nothing."))
    rng.shuffle(q)
    return q


def patches(clip: Clip) -> np.ndarray:
    """uint8 [pairs, patches, 1536]: each patch (channel, frame, y, x), in merge-block order, as the encoder reads clips."""
    frames = np.stack(clip.frames).reshape(clip.pairs, 2, clip.height // 32, 2, 16, clip.width // 32, 2, 16, 3)
    return np.ascontiguousarray(frames.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)).reshape(clip.pairs, -1, 1536)
