"""Plain scenes: shapes, signs, notes, crops of text; the list of all scenes, and the targets of the auxiliary heads."""

import math

import numpy as np

from . import fonts, papers, screens, words
from .canvas import Canvas, Element, Scene, distance, jitter, named_colour, render_scale, theme


def draw_shape(canvas, shape, cx, cy, k, colour, outline, aspect):
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
    canvas = Canvas(rng, width, height, background, draw, render_scale(rng))
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
        if distance(colour, background) < 110:
            name, colour = next(((n, c) for n, c in ((n, named_colour(rng, n)) for n in words.COLOURS)
                                 if n != background_name and distance(c, background) > 150))
        if name == background_name:
            continue
        placed.append((rng.choice(few_shapes), name, cx, cy, k, colour))
    placed.sort(key=lambda p: (int(p[3] * 3 / height), p[2]))
    outlined = rng.random() < 0.2
    scene = Scene("shapes", width, height)
    for shape, name, cx, cy, k, colour in placed:
        outline = tuple(v // 2 for v in colour) if outlined else None
        aspect = rng.choice([0.45, 0.55, 0.62, 1.6, 2.0])
        box = draw_shape(canvas, shape, cx, cy, k, colour, outline, aspect)
        scene.elements.append(Element(shape, f"{name} {shape}", box, name, shape))
    scene.facts["background"] = background_name
    return canvas.finish(scene)


def sign(rng, width, height, font_paths, level=2, draw=True, novel=False) -> Scene:
    """A board with one to three words (or a number) in large letters, with or without a post."""
    sky = jitter(rng, rng.choice([(170, 205, 235), (235, 235, 235), (205, 215, 200), (90, 110, 140), (60, 60, 65)]), 20)
    canvas = Canvas(rng, width, height, sky, draw, render_scale(rng))
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
    if distance(ink, colour) < 250:
        ink = (255, 255, 255) if light_ink else (10, 10, 10)
    canvas.rectangle((x0, y0, x0 + board_width, y0 + board_height), colour, ink if rng.random() < 0.4 else None, 2,
                     rng.choice([0, 4, 12]))
    for i, line in enumerate(lines):
        canvas.text(x0 + board_width / 2, y0 + board_height * (i + 0.5) / len(lines), line, font, size, ink, "middle")
    scene = Scene("sign", width, height)
    scene.elements.append(Element("sign", "sign", (x0, y0, x0 + board_width, y0 + board_height), name))
    scene.facts["text"] = text
    return canvas.finish(scene)


def _line(rng, novel) -> str:
    """One to three words as they are written on notes."""
    found = []
    for _ in range(rng.randint(1, 3)):
        pick = 0.0 if novel else rng.random()
        found.append(rng.choice(words.NOVEL if novel else words.TRAIN_WORDS) if pick < 0.55 else words.invented(rng) if pick < 0.88 else
                     str(rng.randint(1, 10 ** rng.randint(1, 5))) if pick < 0.96 else f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}")
    return rng.choice([str.capitalize, str.capitalize, str.capitalize, str.title, str.lower, str.upper])(" ".join(found))


def note(rng, width, height, font_paths, level=3, draw=True, novel=False) -> Scene:
    """One to four short lines of text: words, invented ones among them, capitals, numbers."""
    _, _, card, ink, _ = theme(rng)
    canvas = Canvas(rng, width, height, card, draw, render_scale(rng))
    font, size = rng.choice(font_paths), rng.randint(13, 26)
    x, y, lines = rng.randint(4, 24), rng.randint(2, max(3, min(40, height - 2 * size))), []
    scene = Scene("note", width, height)
    for _ in range(rng.randint(1, max(1, min(level, 4)))):
        line = _line(rng, novel)
        if fonts.width(font, size, line) > width - x - 6:
            line = line.split(" ")[0]
        y += size * 0.7
        if lines and y > height - size * 0.6:
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
        font, size, x = rng.choice(font_paths), rng.choice([11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 28, 32]), rng.randint(-6, 14)
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


MAKERS = {"shapes": shapes, "settings": screens.settings, "dialog": screens.dialog, "home": screens.home, "form": screens.form,
          "sign": sign, "note": note, "crop": crop, "page": papers.page, "document": papers.document}
LEVELS = {"shapes": 6, "settings": 6, "dialog": 3, "home": 9, "form": 4, "sign": 2, "note": 4, "crop": 1, "page": 3, "document": 5}    # candidates at level 1


def make(kind, rng, width, height, font_paths, level=1.0, draw=True, **options) -> Scene:
    """One scene of `kind`. level 0..1 is the curriculum: how near to the full number of candidates."""
    candidates = max(2 if kind != "note" else 1, round(LEVELS[kind] * level)) if kind != "crop" else 0
    return MAKERS[kind](rng, width, height, font_paths, level=candidates, draw=draw, **options)


def targets(scene: Scene) -> dict[str, np.ndarray]:
    """Auxiliary targets in merge-block order.

    kind, label, colour uint8 [cells]; middle uint8 [cells]: whether the middle of an element lies in it; box int16 [cells, 4] (-1: none); characters uint8 [cells * 4, 4] of each 16-pixel
    patch: the one whose centre lies in each quarter of its width (0: none). Quarters, not ranks: a patch needn't count to know them.
    """
    rows, columns = scene.height // 32, scene.width // 32
    kind = np.zeros((rows, columns), np.uint8)
    label = np.zeros((rows, columns), np.uint8)
    colour = np.zeros((rows, columns), np.uint8)
    box = np.full((rows, columns, 4), -1, np.int16)
    middle = np.zeros(rows * columns, np.uint8)

    def cover(b, margin):
        x0, y0, x1, y1 = (v / 32 for v in b)
        top, left = max(0, int(y0 + margin)), max(0, int(x0 + margin))
        return (slice(top, max(top + 1, int(math.ceil(y1 - margin)))), slice(left, max(left + 1, int(math.ceil(x1 - margin)))))

    for e in scene.elements:
        at = cover(e.box, 0.35 if e.kind != "text" else 0.2)
        shown = e.kind if e.kind != "checkbox" else "on" if e.on else "off"
        kind[at], box[at] = words.KINDS.index(shown), scene.relative(e.box)
        middle[scene.cell((e.box[0] + e.box[2]) / 2, (e.box[1] + e.box[3]) / 2)] = 1
        label[at] = words.LABELS.index(e.name) if e.name in _LABEL_SET else 0
        colour[at] = words.COLOUR_NAMES.index(e.colour) if e.colour else 0
        if e.switch:
            at = cover(e.switch, 0.2)
            kind[at], box[at] = words.KINDS.index("on" if e.on else "off"), scene.relative(e.switch)
    characters = np.zeros((scene.height // 16, scene.width // 16, 4), np.uint8)
    for x, y, c in scene.characters:
        characters[int(y / 16), int(x / 16), int(x % 16 / 4)] = max(0, words.CHARACTERS.find(c))
    characters = characters.reshape(rows, 2, columns, 2, 4).transpose(0, 2, 1, 3, 4).reshape(-1, 4)
    return dict(kind=kind.ravel(), label=label.ravel(), colour=colour.ravel(), box=box.reshape(-1, 4), middle=middle, characters=characters)


_LABEL_SET = set(words.LABELS)


def patches(image: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] -> [patches, 768] in merge-block order, each patch (channel, y, x) as the encoder reads it."""
    height, width, _ = image.shape
    blocks = image.reshape(height // 32, 2, 16, width // 32, 2, 16, 3)
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 6, 2, 5)).reshape(-1, 768)
