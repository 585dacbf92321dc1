"""Synthetic pictures with everything that is known about them: shapes, settings screens, dialogs, signs, notes.

A `Scene` owns its picture (uint8 [height, width, 3]), its elements with pixel boxes in reading order and the centre of
every drawn character. Drawing is a pure function of the given `random.Random`, the size and the fonts. With
`draw=False` only the layout is made (for text-only lessons about the same scenes), `image` is then None.
"""

import colorsys
import io
import math
import random
from dataclasses import dataclass, field

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
    on: bool | None = None       # state of a row's switch; None: the row has no switch
    switch: tuple | None = None  # pixel box of that switch


@dataclass
class Scene:
    kind: str
    width: int
    height: int
    elements: list = field(default_factory=list)
    characters: list = field(default_factory=list)   # (x, y, character), centres in pixels
    facts: dict = field(default_factory=dict)        # title, text, background
    image: np.ndarray | None = None

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


def _scale(rng):
    return rng.choices([1.0, 1.4, 2.0], [0.55, 0.2, 0.25])[0]


def _distance(a, b):
    return sum(abs(x - y) for x, y in zip(a, b))


def theme(rng):
    """(background, card, text, accent) of a screen, light or dark."""
    dark = rng.random() < 0.35
    background = jitter(rng, (28, 30, 36) if dark else (242, 243, 246), 12)
    card = jitter(rng, (46, 49, 58) if dark else (255, 255, 255), 8)
    text = jitter(rng, (235, 235, 235) if dark else (25, 25, 30), 18)
    accent = named_colour(rng, rng.choice(["blue", "green", "purple", "orange", "red"]))
    return dark, background, card, text, accent


def _draw_shape(canvas, shape, cx, cy, k, colour, outline, aspect):
    """Draws a shape of half-size k around (cx, cy); returns its exact box."""
    line = 2
    if shape in ("circle", "square", "rectangle"):
        kx, ky = (k, k) if shape != "rectangle" else ((k, k * aspect) if aspect < 1 else (k / aspect, k))
        box = (cx - kx, cy - ky, cx + kx, cy + ky)
        if shape == "circle":
            canvas.ellipse(box, colour, outline, line)
        else:
            canvas.rectangle(box, colour, outline, line)
        return box
    corners = {"triangle": 3, "diamond": 4, "star": 10}[shape]
    points = []
    for i in range(corners):
        radius = k * (0.42 if shape == "star" and i % 2 else 1)
        angle = 2 * math.pi * i / corners
        points.append((cx + radius * math.sin(angle), cy - radius * math.cos(angle)))
    canvas.polygon(points, colour, outline, line)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return (min(xs), min(ys), max(xs), max(ys))


def shapes(rng, width, height, font_paths, level=6, draw=True) -> Scene:
    """1..level plain shapes on a plain or graded background, never touching each other."""
    light = rng.random() < 0.6
    if rng.random() < 0.45:
        background_name = rng.choice(["white", "white", "black", "gray", "blue", "green", "yellow", "pink"])
        background = named_colour(rng, background_name)
    else:
        background_name = ""
        background = jitter(rng, rng.choice([(235, 235, 235), (200, 212, 225), (225, 215, 195)] if light else
                                            [(120, 120, 125), (70, 75, 90), (40, 60, 60)]), 14)
    canvas = Canvas(rng, width, height, background, draw, _scale(rng))
    wanted = rng.randint(1, level)
    few_colours = rng.sample(list(words.COLOURS), rng.choice([2, 3, len(words.COLOURS)]))
    few_shapes = rng.sample(words.SHAPES, rng.choice([1, 2, 3, 6, 6]))
    placed = []
    for _ in range(80):
        if len(placed) >= wanted:
            break
        short = min(width, height)
        k = rng.randint(max(9, short // 18), max(13, short // (4 if wanted < 4 else 6)))
        cx, cy = rng.randint(k + 2, width - k - 2), rng.randint(k + 2, height - k - 2)
        if any(math.hypot(cx - p[2], cy - p[3]) < (k + p[4]) * 1.25 for p in placed):
            continue
        name = rng.choice(few_colours)
        colour = named_colour(rng, name)
        if _distance(colour, background) < 110:
            name, colour = next(((n, c) for n, c in ((n, named_colour(rng, n)) for n in words.COLOURS)
                                 if n != background_name and _distance(c, background) > 150))
        if name == background_name:
            continue
        placed.append((rng.choice(few_shapes), name, cx, cy, k, colour))
    placed.sort(key=lambda p: (int(p[3] * 3 / height), p[2]))
    outlined = rng.random() < 0.2
    scene = Scene("shapes", width, height)
    for shape, name, cx, cy, k, colour in placed:
        outline = tuple(v // 2 for v in colour) if outlined else None
        aspect = rng.choice([0.45, 0.55, 0.62, 1.6, 2.0])
        box = _draw_shape(canvas, shape, cx, cy, k, colour, outline, aspect)
        scene.elements.append(Element(shape, f"{name} {shape}", box, name, shape))
    scene.facts["background"] = background_name
    return canvas.finish(scene)


def _switch(canvas, right, y, size, on, accent, dark):
    rng = canvas.rng
    width = size * rng.choice([1.6, 1.8, 2.1])
    box = (right - width, y - size / 2, right, y + size / 2)
    off = (95, 98, 105) if dark else (178, 181, 188)
    canvas.rectangle(box, accent if on else off, radius=size / 2)
    knob = size * rng.choice([0.34, 0.38, 0.42])
    cx = right - size / 2 if on else right - width + size / 2
    canvas.ellipse((cx - knob, y - knob, cx + knob, y + knob), (255, 255, 255))
    return box


def _icon(canvas, x, cy, size, text):
    rng = canvas.rng
    canvas.rectangle((x, cy - size / 2, x + size, cy + size / 2),
                     named_colour(rng, rng.choice(["red", "green", "blue", "purple", "orange", "gray"])),
                     radius=size * rng.choice([0.15, 0.3, 0.5]))
    m, white = size * 0.28, (255, 255, 255)
    inner = (x + m, cy - size / 2 + m, x + size - m, cy + size / 2 - m)
    mark = sum(map(ord, text)) % 4
    if mark == 0:
        canvas.ellipse(inner, None, white, 2)
    elif mark == 1:
        canvas.rectangle(inner, None, white, 2)
    elif mark == 2:
        canvas.line((inner[0], inner[1], inner[2], inner[3]), white, 2)
    else:
        canvas.line((inner[0], cy, inner[2], cy), white, 3)


def screen_name(rng, novel=False):
    """A settings name: mostly known ones, else one or two free words."""
    if rng.random() < 0.72 and not novel:
        return rng.choice(words.SETTINGS)
    source = words.NOVEL if novel else words.TRAIN_WORDS
    return " ".join(rng.choice(source) for _ in range(rng.choice([1, 1, 2]))).capitalize()


def settings(rng, width, height, font_paths, level=6, draw=True, novel=False) -> Scene:
    """A settings list of 2..level rows; most rows have a switch, the others a `>`."""
    dark, background, card, ink, accent = theme(rng)
    canvas = Canvas(rng, width, height, background, draw, _scale(rng))
    font = rng.choice(font_paths)
    size = rng.randint(14, 20)
    x0, x1 = rng.randint(4, 20), width - rng.randint(4, 20)
    y = rng.randint(4, 18)
    scene = Scene("settings", width, height)
    if rng.random() < 0.7:
        title = rng.choice(["Settings", "Settings", "Quick settings", "Preferences", "System", "Options"])
        box = canvas.text(x0 + 4, y + 14, title, font, size + rng.randint(2, 6), ink)
        scene.facts["title"], scene.facts["title_box"] = title, box
        y += rng.randint(32, 42)
    row_height = rng.randint(max(32, size + 14), 50)
    room = int((height - y - 4) // row_height)
    count = max(2, min(rng.randint(2, max(2, level)), room))
    names = []
    while len(names) < count:
        name = screen_name(rng, novel)
        if name not in names:
            names.append(name)
    all_switches, icons, cards = rng.random() < 0.6, rng.random() < 0.5, rng.random() < 0.5
    switch_size, corner = rng.randint(15, min(24, row_height - 8)), rng.choice([2, 6, 10])
    for name in names:
        row = (x0, y, x1, y + row_height - 2)
        cy, x = y + row_height / 2 - 1, x0 + 8
        if cards:
            canvas.rectangle(row, card, radius=corner)
        if icons:
            k = min(row_height - 12, 22)
            _icon(canvas, x, cy, k, name)
            x += k + 8
        fitted = size
        while fonts.width(font, fitted, name) > x1 - 60 - x and fitted > 11:
            fitted -= 1
        canvas.text(x, cy, name, font, fitted, ink)
        element = Element("row", name, row)
        if all_switches or rng.random() < 0.6:
            element.on = rng.random() < 0.5
            element.switch = _switch(canvas, x1 - 8, cy, switch_size, element.on, accent, dark)
        else:
            canvas.text(x1 - 20, cy, ">", font, size, ink)
        scene.elements.append(element)
        y += row_height
    return canvas.finish(scene)


def _sentence(rng, novel, low=2, high=5):
    source = words.NOVEL if novel else words.TRAIN_WORDS
    return " ".join(rng.choice(source) for _ in range(rng.randint(low, high))).capitalize()


def _wrapped(text, font, size, width):
    lines, current = [], ""
    for word in text.split():
        tried = (current + " " + word).strip()
        if current and fonts.width(font, size, tried) > width:
            lines.append(current)
            current = word
        else:
            current = tried
    return lines + [current]


def dialog(rng, width, height, font_paths, level=3, draw=True, novel=False) -> Scene:
    """A window with a title, a short message and 1..min(level, 3) buttons."""
    dark, background, card, ink, accent = theme(rng)
    desk = jitter(rng, rng.choice([(60, 90, 130), (90, 110, 100), background, (150, 150, 160)]), 20)
    canvas = Canvas(rng, width, height, desk, draw, _scale(rng))
    font, size = rng.choice(font_paths), rng.randint(14, 19)
    w, h = rng.randint(int(width * 0.78), width - 8), rng.randint(140, min(height - 8, 210))
    x0, y0 = rng.randint(2, width - w - 2), rng.randint(2, height - h - 2)
    canvas.rectangle((x0, y0, x0 + w, y0 + h), card, (130, 130, 135), 1, rng.choice([0, 4, 10]))
    title = rng.choice(words.TITLES)
    scene = Scene("dialog", width, height)
    scene.facts["title_box"] = canvas.text(x0 + 12, y0 + 20, title, font, size + rng.randint(1, 5), ink)
    message = _sentence(rng, novel) + rng.choice([".", "?", "."])
    y = y0 + 48
    lines = _wrapped(message, font, size, w - 24)[:3]
    message = " ".join(lines)
    for line in lines:
        canvas.text(x0 + 12, y, line, font, size, ink)
        y += size * 1.4
    scene.facts.update(title=title, text=message)
    names = rng.sample(words.BUTTONS, rng.randint(1, max(1, min(level, 3))))
    gap, button_height = 8, rng.randint(size + 12, 40)
    button_width = min((w - 24 - gap * (len(names) - 1)) / len(names), rng.randint(70, 120))
    right_aligned = rng.random() < 0.5
    left = x0 + w - 12 - (button_width + gap) * len(names) + gap if right_aligned else x0 + 12
    y = y0 + h - button_height - 10
    corner = rng.choice([0, 4, 8, button_height / 2])
    for i, name in enumerate(names):
        box = (left + i * (button_width + gap), y, left + i * (button_width + gap) + button_width, y + button_height)
        fill = accent if rng.random() < 0.5 else jitter(rng, (205, 206, 212), 10)
        canvas.rectangle(box, fill, radius=corner)
        fitted = size
        while fonts.width(font, fitted, name) > button_width - 8 and fitted > 10:
            fitted -= 1
        ink_on = (255, 255, 255) if sum(fill) < 460 else (20, 20, 20)
        canvas.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, name, font, fitted, ink_on, "middle")
        scene.elements.append(Element("button", name, box))
    return canvas.finish(scene)


def sign(rng, width, height, font_paths, level=2, draw=True, novel=False) -> Scene:
    """A board with one to three words (or a number) in large letters, with or without a post."""
    sky = jitter(rng, rng.choice([(170, 205, 235), (235, 235, 235), (205, 215, 200), (90, 110, 140), (60, 60, 65)]), 20)
    canvas = Canvas(rng, width, height, sky, draw, _scale(rng))
    font = rng.choice(font_paths)
    kind = rng.random()
    if novel:
        text = " ".join(rng.choice(words.NOVEL) for _ in range(rng.choice([1, 1, 2])))
    elif kind < 0.5:
        text = rng.choice(words.SIGNS)
    elif kind < 0.88:
        text = " ".join(rng.choice(words.TRAIN_WORDS) for _ in range(rng.choice([1, 1, 2])))
    else:
        text = rng.choice(["exit", "room", "bus", "gate", "platform", ""]) + f" {rng.randint(1, 999)}"
    text = rng.choice([str.upper, str.upper, str.capitalize, str.lower])(text.strip())
    size = rng.randint(20, 44)
    lines = text.split(" ") if rng.random() < 0.4 else [text]
    while size > 15 and max(fonts.width(font, size, t) for t in lines) > width - 44:
        size -= 1
    board_width = min(width - 8, max(fonts.width(font, size, t) for t in lines) + rng.randint(20, 60))
    board_height = size * 1.35 * len(lines) + rng.randint(14, 40)
    x0 = rng.uniform(4, width - board_width - 4)
    y0 = rng.uniform(4, max(5, height - board_height - 4))
    name = rng.choice(list(words.COLOURS))
    colour = named_colour(rng, name)
    if rng.random() < 0.5:
        middle = x0 + board_width / 2
        canvas.rectangle((middle - 4, y0 + board_height, middle + 4, height), (90, 80, 70))
    light_ink = sum(colour) < 400
    ink = named_colour(rng, "white" if light_ink else rng.choice(["black", "black", "blue", "red"]))
    if _distance(ink, colour) < 250:
        ink = (255, 255, 255) if light_ink else (10, 10, 10)
    canvas.rectangle((x0, y0, x0 + board_width, y0 + board_height), colour, ink if rng.random() < 0.4 else None, 2,
                     rng.choice([0, 4, 12]))
    for i, line in enumerate(lines):
        canvas.text(x0 + board_width / 2, y0 + board_height * (i + 0.5) / len(lines), line, font, size, ink, "middle")
    scene = Scene("sign", width, height)
    scene.elements.append(Element("sign", "sign", (x0, y0, x0 + board_width, y0 + board_height), name))
    scene.facts["text"] = text
    return canvas.finish(scene)


def note(rng, width, height, font_paths, level=3, draw=True, novel=False) -> Scene:
    """One to four short lines of plain text."""
    _, _, card, ink, _ = theme(rng)
    canvas = Canvas(rng, width, height, card, draw, _scale(rng))
    font, size = rng.choice(font_paths), rng.randint(15, 24)
    x, y, lines = rng.randint(8, 24), rng.randint(12, 40), []
    scene = Scene("note", width, height)
    for _ in range(rng.randint(1, max(1, min(level, 4)))):
        line = _sentence(rng, novel, 1, 3)
        if fonts.width(font, size, line) > width - x - 6:
            line = line.split(" ")[0]
        y += size * 0.7
        if y > height - size:
            break
        scene.elements.append(Element("text", line, canvas.text(x, y, line, font, size, ink)))
        lines.append(line)
        y += size * 0.7 + rng.randint(2, 12)
    scene.facts["text"] = "\n".join(lines)
    return canvas.finish(scene)


def crop(rng, width, height, font_paths, level=0, draw=True, novel=False) -> Scene:
    """A small crop full of text in many sizes: the cheapest lesson in reading there is."""
    _, background, _, ink, accent = theme(rng)
    if rng.random() < 0.3:
        background, ink = accent, (255, 255, 255)
    canvas = Canvas(rng, width, height, background, draw, 1.0 if rng.random() < 0.85 else 2.0)
    scene = Scene("crop", width, height)
    y = rng.randint(2, 10)
    source = words.NOVEL if novel else words.TRAIN_WORDS
    while y < height - 6:
        font, size, x = rng.choice(font_paths), rng.choice([13, 14, 15, 16, 17, 18, 19, 20, 22, 26, 32]), rng.randint(-6, 14)
        y += size * 0.5
        while x < width - 8:
            kind, known = rng.random(), False
            if kind < 0.45 and not novel:
                text, known = rng.choice(words.LABELS[1:]), True
            elif kind < 0.85 or novel:
                text = rng.choice(source if rng.random() < 0.8 or novel else words.SIGNS)
            else:
                text = "".join(rng.choice(words.CHARACTERS[1:]) for _ in range(rng.randint(2, 8)))
            if not known:
                text = rng.choice([str, str, str.capitalize, str.upper])(text)
            box = canvas.text(x, y, text, font, size, ink)
            if known:
                scene.elements.append(Element("text", text, (max(0, box[0]), box[1], min(width, box[2]), box[3])))
            x = box[2] + rng.randint(4, 24)
        y += size * 0.5 + rng.randint(2, 12)
    return canvas.finish(scene)


MAKERS = {"shapes": shapes, "settings": settings, "dialog": dialog, "sign": sign, "note": note, "crop": crop}
LEVELS = {"shapes": 6, "settings": 6, "dialog": 3, "sign": 2, "note": 4, "crop": 1}


def make(kind, rng, width, height, font_paths, level=1.0, draw=True, **options) -> Scene:
    """One scene of `kind`. level 0..1 is the curriculum: how near to the full number of candidates."""
    candidates = max(2 if kind != "note" else 1, round(LEVELS[kind] * level)) if kind != "crop" else 0
    return MAKERS[kind](rng, width, height, font_paths, level=candidates, draw=draw, **options)


def targets(scene: Scene) -> dict[str, np.ndarray]:
    """Auxiliary targets in merge-block order.

    kind, label, colour uint8 [cells]; box int16 [cells, 4] (-1: none); characters uint8 [cells * 4, 4] per 16-pixel patch,
    at most four characters each, left to right (0: none).
    """
    rows, columns = scene.height // 32, scene.width // 32
    kind = np.zeros((rows, columns), np.uint8)
    label = np.zeros((rows, columns), np.uint8)
    colour = np.zeros((rows, columns), np.uint8)
    box = np.full((rows, columns, 4), -1, np.int16)

    def cover(b, margin):
        x0, y0, x1, y1 = (v / 32 for v in b)
        top, left = max(0, int(y0 + margin)), max(0, int(x0 + margin))
        return (slice(top, max(top + 1, int(math.ceil(y1 - margin)))), slice(left, max(left + 1, int(math.ceil(x1 - margin)))))

    for e in scene.elements:
        at = cover(e.box, 0.35 if e.kind != "text" else 0.2)
        kind[at], box[at] = words.KINDS.index(e.kind), scene.relative(e.box)
        label[at] = words.LABELS.index(e.name) if e.name in _LABEL_SET else 0
        colour[at] = words.COLOUR_NAMES.index(e.colour) if e.colour else 0
        if e.switch:
            at = cover(e.switch, 0.2)
            kind[at], box[at] = words.KINDS.index("on" if e.on else "off"), scene.relative(e.switch)
    characters = np.zeros((scene.height // 16, scene.width // 16, 4), np.uint8)
    used = {}
    for x, y, c in sorted(scene.characters):
        at = (int(y / 16), int(x / 16))
        index, slot = words.CHARACTERS.find(c), used.get(at, 0)
        if index > 0 and slot < 4:
            characters[at[0], at[1], slot] = index
            used[at] = slot + 1
    characters = characters.reshape(rows, 2, columns, 2, 4).transpose(0, 2, 1, 3, 4).reshape(-1, 4)
    return dict(kind=kind.ravel(), label=label.ravel(), colour=colour.ravel(), box=box.reshape(-1, 4), characters=characters)


_LABEL_SET = set(words.LABELS)


def patches(image: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] -> [patches, 768] in merge-block order, each patch (channel, y, x) as the encoder reads it."""
    height, width, _ = image.shape
    blocks = image.reshape(height // 32, 2, 16, width // 32, 2, 16, 3)
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 6, 2, 5)).reshape(-1, 768)
