"""Short clips of shapes that come, go and move, with questions about time and order.

A clip is a row of frames at even times; two frames are one visual unit (temporal patch 2), whose time stamp is their
mean. Everything is a pure function of the given `random.Random`. Owns the frames (uint8 [height, width, 3] each).
"""

import random
from dataclasses import dataclass, field

import numpy as np

from . import words
from .canvas import Canvas, Scene, distance, jitter, named_colour
from .question import ASK_DESCRIBE, Question
from .scenes import draw_shape

# What is asked of the segments of a long video, beside the questions for pictures.
ASK_HAPPENS = ["Describe in one sentence what is seen and what happens.", "Describe in one sentence what is seen and what happens.",
               "What happens in this clip?", "Describe the clip.", "Describe the video.", "What is seen in this video?"]
ASK_SHOWN = "Does this show: {}? Answer yes or no."


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
    begin: float = 0.0                   # seconds before the first frame: a part of a longer video

    def stamps(self) -> list[float]:
        """The pairs' times in seconds: means of their two frames' times."""
        return [self.begin + (2 * i + 0.5) * self.spacing / 2 for i in range(self.pairs)]

    def cell(self, event, pair: int) -> int:
        """The merged cell in which the event's centre lies in that pair of frames, in raster order."""
        x, y = (event.start[i] + event.move[i] * (pair - event.first + 0.25) for i in (0, 1))
        column, row = (max(0, min(side // 32 - 1, int(v / 32))) for v, side in ((x, self.width), (y, self.height)))
        return row * (self.width // 32) + column

    def span(self, event) -> str:
        """`[HH:MM:SS - HH:MM:SS]` from the event's first frame to the end of its last one, to the nearest second."""
        form = lambda t: f"{t // 3600:02d}:{t // 60 % 60:02d}:{t % 60:02d}"
        return f"[{form(round(self.begin + event.first * self.spacing))} - {form(round(self.begin + (event.last + 1) * self.spacing))}]"


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
    clip = Clip(width, height, rng.choice([0.5, 1.0, 1.0, 2.0]), pairs=pairs, begin=0.0 if rng.random() < 0.6 else float(rng.randint(1, 10800)))
    background = jitter(rng, rng.choice([(240, 240, 240), (25, 25, 30), (200, 215, 230), (60, 70, 80)]), 12)
    for _ in range(rng.randint(1, events) if rng.random() < 0.9 else 0):
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


def told(clip: Clip) -> str:
    """One sentence about what comes and moves, in the order of its coming."""
    parts, last = [], None
    for e in sorted(clip.events, key=lambda e: (e.first, e.start)):
        part = words.with_article(e.name) + (f" that moves {direction(e)}" if any(e.move) else "")
        parts.append((" and " if last == e.first else ", then ") + part if parts else part)
        last = e.first
    return ("".join(parts)[0].upper() + "".join(parts)[1:] if parts else "Nothing is seen") + "."


def direction(event: Event) -> str:
    x, y = event.move
    return "to the right" if x > 0 else "to the left" if x < 0 else "down" if y > 0 else "up"


def ask(clip: Clip, rng) -> list[Question]:
    """Questions whose answers the frames settle, in random order."""
    q, events = [], clip.events
    for e in events:
        if any(e.move):
            q.append(Question("clip: motion", f"Where does the {e.name} move?", f"The {e.name} moves {direction(e)}.", about=(e,)))
        elif clip.begin < 60:    # later ones ask for seconds to be turned into hours
            q.append(Question("clip: when", rng.choice([f"When does the {e.name} appear?", f"When is the {e.name} visible?", f"Give the time range of the {e.name}."]), clip.span(e), about=(e,)))
    for name in ([rng.choice(events).name] if events else []) + [f"{rng.choice(list(words.COLOURS))} {rng.choice(words.SHAPES)}"]:
        there = name in [e.name for e in events]
        form = rng.choice(["Is there a {} in the clip?", "Can you see a {} in the video?", ASK_SHOWN, ASK_SHOWN])
        answer = f"Yes, there is {words.with_article(name)}." if there else f"No, there is no {name}."
        q.append(Question("clip: exists", form.format(name if rng.random() < 0.7 or form != ASK_SHOWN else words.with_article(name)),
                          ("Yes" if there else "No") if form == ASK_SHOWN else answer, about=(name,)))
    q.append(Question("clip: describe", rng.choice([*ASK_HAPPENS, rng.choice(ASK_DESCRIBE)]), told(clip)))
    missing = f"{rng.choice(list(words.COLOURS))} {rng.choice(words.SHAPES)}"
    if missing not in [e.name for e in events]:
        q.append(Question("clip: not there", f"When does the {missing} appear?", f"There is no {missing} in the clip.", about=(missing,)))
    order = sorted({e.first: e for e in events}.values(), key=lambda e: e.first)
    if len(order) > 1:
        a, b = rng.sample(order, 2)
        q.append(Question("clip: order", f"Which comes first, the {a.name} or the {b.name}?", f"The {(a if a.first < b.first else b).name} comes first.", about=(a, b)))
    number = len(events)
    q.append(Question("clip: count", "How many shapes appear in the clip?", "No shape appears." if not number else "1 shape appears." if number == 1 else f"{number} shapes appear."))
    at = rng.randrange(clip.pairs)
    here = [words.with_article(e.name) for e in sorted(events, key=lambda e: e.start) if e.first <= at <= e.last]
    q.append(Question("clip: at", f"What is on the screen at {clip.stamps()[at]:.1f} seconds?", words.joined(here).capitalize() + "." if here else "Nothing.", about=(at,)))
    rng.shuffle(q)
    return q


def patches(clip: Clip) -> np.ndarray:
    """uint8 [pairs, patches, 1536]: each patch (channel, frame, y, x), in merge-block order, as the encoder reads clips."""
    frames = np.stack(clip.frames).reshape(clip.pairs, 2, clip.height // 32, 2, 16, clip.width // 32, 2, 16, 3)
    return np.ascontiguousarray(frames.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)).reshape(clip.pairs, -1, 1536)
