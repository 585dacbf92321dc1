"""The canvas on which synthetic pictures are drawn, and what is known about a picture.

A `Scene` owns its picture (uint8 [height, width, 3]), its elements with pixel boxes in reading order and the centre of
every drawn character. Drawing is a pure function of the given `random.Random`, the size and the fonts. With
`draw=False` only the layout is made (for text-only lessons about the same scenes), `image` is then None.
"""

import colorsys
import io
import random
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from . import fonts, words

POSITION_ROWS = ["top", "middle", "bottom"]
POSITION_COLUMNS = ["left", "center", "right"]


@dataclass
class Element:
    kind: str                    # one of words.KINDS, or "switch"
    name: str                    # "red circle", "Bluetooth", "Save"
    box: tuple                   # x0, y0, x1, y1 in pixels of the final picture
    colour: str = ""
    shape: str = ""
    on: bool | None = None       # state of a row's switch or of a checkbox; None: it has none
    switch: tuple | None = None  # pixel box of that switch
    value: str = ""              # what a field holds


@dataclass
class Scene:
    kind: str
    width: int
    height: int
    elements: list = field(default_factory=list)
    characters: list = field(default_factory=list)   # (x, y, character), centres in pixels
    facts: dict = field(default_factory=dict)        # title, text, background
    image: np.ndarray | None = None
    fine: Image.Image | None = None                  # the picture in more pixels, where it was drawn so

    def enlarged(self, width, height) -> "Scene":
        """The same scene in a picture of another size: from more pixels where there are any, as screens of a higher resolution come,
        else stretched, as the processor does with small pictures."""
        fx, fy = width / self.width, height / self.height
        at = lambda box: box and (box[0] * fx, box[1] * fy, box[2] * fx, box[3] * fy)
        image = (self.fine or Image.fromarray(self.image)).resize((width, height), Image.BICUBIC)
        return replace(self, width=width, height=height, elements=[replace(e, box=at(e.box), switch=at(e.switch)) for e in self.elements],
                       characters=[(min(x * fx, width - 1), min(y * fy, height - 1), c) for x, y, c in self.characters], image=np.asarray(image), fine=None)

    def cell(self, x, y) -> int:
        """Index of the merged cell (32x32 pixels, row by row) in which a pixel lies; of one outside: the nearest."""
        rows, columns = self.height // 32, self.width // 32
        return min(max(int(y // 32), 0), rows - 1) * columns + min(max(int(x // 32), 0), columns - 1)

    def relative(self, box) -> list[int]:
        """Pixel box -> integers 0..1000 of width and height, as the model speaks of places."""
        limits = (self.width, self.height, self.width, self.height)
        return [max(0, min(1000, round(v * 1000 / m))) for v, m in zip(box, limits)]

    def place(self, box) -> str:
        """Box -> `top left` ... `center`, by thirds."""
        row = min(2, int((box[1] + box[3]) / 2 * 3 / self.height))
        column = min(2, int((box[0] + box[2]) / 2 * 3 / self.width))
        return "center" if row == column == 1 else f"{POSITION_ROWS[row]} {POSITION_COLUMNS[column]}"


class Canvas:
    """Draws at `scale` times the final size and shrinks at the end, so that edges come antialiased like other renderers'."""

    def __init__(self, rng: random.Random, width: int, height: int, background, draw: bool, scale: float):
        self.rng, self.width, self.height, self.draw, self.scale = rng, width, height, draw, scale
        self.characters = []
        if draw:
            self.image = Image.new("RGB", (round(width * scale), round(height * scale)), background)
            self.pen = ImageDraw.Draw(self.image)

    def _s(self, points):
        return [v * self.scale for v in points]

    def rectangle(self, box, fill=None, outline=None, line=1, radius=0.0):
        if self.draw and box[2] > box[0] and box[3] > box[1]:
            self.pen.rounded_rectangle(self._s(box), radius=radius * self.scale, fill=fill, outline=outline,
                                       width=max(1, round(line * self.scale)))

    def ellipse(self, box, fill=None, outline=None, line=1):
        if self.draw:
            self.pen.ellipse(self._s(box), fill=fill, outline=outline, width=max(1, round(line * self.scale)))

    def polygon(self, points, fill=None, outline=None, line=1):
        if self.draw:
            self.pen.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=fill, outline=outline,
                             width=max(1, round(line * self.scale)))

    def line(self, points, fill, line=1):
        if self.draw:
            self.pen.line(self._s(points), fill=fill, width=max(1, round(line * self.scale)))

    def text(self, x, y, text, font_path, size, fill, anchor="left"):
        """Draws one line whose vertical middle is y. Returns its box (x0, y0, x1, y1)."""
        drawn = max(6, round(size * self.scale))
        width = fonts.width(font_path, drawn, text) / self.scale
        x0 = x - width / 2 if anchor == "middle" else x
        if self.draw:
            self.pen.text((x0 * self.scale, y * self.scale), text, font=fonts.load(font_path, drawn), fill=fill, anchor="lm")
            edges = fonts.edges(font_path, drawn, text)
            for left, right, character in zip(edges, edges[1:], text):
                if character != " ":
                    self.characters.append((x0 + (left + right) / 2 / self.scale, y, character))
        return (x0, y - size * 0.6, x0 + width, y + size * 0.6)

    def finish(self, scene: Scene) -> Scene:
        if self.draw:
            image = self.image
            if image.size != (self.width, self.height):
                scene.fine = image
                image = image.resize((self.width, self.height), Image.BICUBIC)
            if self.rng.random() < 0.15:
                packed = io.BytesIO()
                image.save(packed, "JPEG", quality=self.rng.randint(55, 95))
                image = Image.open(packed).convert("RGB")
            scene.image = np.asarray(image)
        scene.characters = [c for c in self.characters if 0 <= c[0] < self.width and 0 <= c[1] < self.height]
        return scene


def jitter(rng, colour, amount=20):
    return tuple(max(0, min(255, v + rng.randint(-amount, amount))) for v in colour)


def named_colour(rng, name):
    """A random RGB triple that people call `name`."""
    (h0, h1), (s0, s1), (l0, l1) = words.COLOURS[name]
    rgb = colorsys.hls_to_rgb(rng.uniform(h0, h1) % 360 / 360, rng.uniform(l0, l1) / 100, rng.uniform(s0, s1) / 100)
    return tuple(round(v * 255) for v in rgb)


def render_scale(rng):
    return rng.choices([1.0, 1.4, 2.0], [0.55, 0.2, 0.25])[0]


def distance(a, b):
    return sum(abs(x - y) for x, y in zip(a, b))


def theme(rng):
    """(background, card, text, accent) of a screen, light or dark."""
    dark = rng.random() < 0.35
    background = jitter(rng, (28, 30, 36) if dark else (242, 243, 246), 12)
    card = jitter(rng, (46, 49, 58) if dark else (255, 255, 255), 8)
    text = jitter(rng, (235, 235, 235) if dark else (25, 25, 30), 18)
    accent = named_colour(rng, rng.choice(["blue", "green", "purple", "orange", "red"]))
    return dark, background, card, text, accent


def sentence(rng, novel, low=2, high=5):
    source = words.NOVEL if novel else words.TRAIN_WORDS
    return " ".join(rng.choice(source) for _ in range(rng.randint(low, high))).capitalize()


def wrapped(text, font, size, width):
    lines, current = [], ""
    for word in text.split():
        tried = (current + " " + word).strip()
        if current and fonts.width(font, size, tried) > width:
            lines.append(current)
            current = word
        else:
            current = tried
    return lines + [current]
