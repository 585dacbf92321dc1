"""Web pages and documents of our own drawing: the same contents as the browser's (`pages`), without end, with invented words among
the known ones."""

from . import fonts, pages, words
from .canvas import Canvas, Element, Scene, jitter, named_colour, render_scale, theme, wrapped
from .screens import draw_button


class Source:
    """A word list that `rng.choice` can draw from: plain words, and (but for held-out ones) invented words, capitals and numbers."""

    def __init__(self, rng, novel=False):
        self.rng, self.novel = rng, novel

    def __len__(self):
        return 1000

    def __getitem__(self, i):
        if self.novel:
            return words.NOVEL[i % len(words.NOVEL)]
        if i < 650:
            return self.rng.choice(words.TRAIN_WORDS)
        return words.invented(self.rng) if i < 950 else words.invented(self.rng).upper()


def page(rng, width, height, font_paths, level=3, draw=True, novel=False) -> Scene:
    """A heading and one to three blocks, from the top."""
    _, background, card, ink, accent = theme(rng)
    canvas = Canvas(rng, width, height, card if rng.random() < 0.6 else background, draw, render_scale(rng))
    font, size = rng.choice(font_paths), rng.randint(13, 18)
    line, edge = size * rng.choice([1.25, 1.35, 1.5]), jitter(rng, (130, 130, 135), 30)
    scene = Scene("page", width, height)
    x, y = rng.randint(4, 16), rng.randint(4, 16)
    title, found = pages.blocks(rng, size, height, Source(rng, novel))
    kept = []

    def text(kind, name, x, y, shown=None, ink=ink, size=size):
        box = canvas.text(x, y, shown or name, font, size, ink)
        scene.elements.append(Element(kind, name, box))
        return box

    tall = size + rng.randint(5, 10)
    while fonts.width(font, tall, title) > width - 2 * x and tall > 12:
        tall -= 1
    text("heading", title, x, y + tall * 0.6, size=tall)
    y += tall * 1.3 + rng.randint(2, 8)
    for kind, content in found:
        lines = wrapped(content, font, size, width - 2 * x) if kind == "p" else []
        need = {"p": line * len(lines), "ul": line * len(content), "ol": line * len(content), "table": (size + 8) * len(content), "a": line, "button": size + 18, "field": size + 12}[kind]
        if y + need > height - 4:
            continue
        kept.append((kind, content))
        if kind == "p":
            top, right = y, x
            for part in lines:
                right = max(right, canvas.text(x, y + line / 2, part, font, size, ink)[2])
                y += line
            scene.elements.append(Element("paragraph", content, (x, top, right, y)))
        elif kind in ("ul", "ol"):
            for i, item in enumerate(content):
                if kind == "ul":
                    canvas.ellipse((x + 9, y + line / 2 - 2, x + 13, y + line / 2 + 2), ink)
                else:
                    canvas.text(x + 4, y + line / 2, f"{i + 1}.", font, size, ink)
                text("item", item, x + 24, y + line / 2)
                y += line
        elif kind == "table":
            first = max(fonts.width(font, size, row[0]) for row in content) + 16
            second = max(fonts.width(font, size, row[1]) for row in content) + 16
            for row in content:
                for left, wide, cell in ((x, first, row[0]), (x + first, second, row[1])):
                    canvas.rectangle((left, y, left + wide, y + size + 8), None, edge)
                    canvas.text(left + 8, y + size / 2 + 4, cell, font, size, ink)
                    scene.elements.append(Element("cell", cell, (left, y, left + wide, y + size + 8)))
                y += size + 8
        elif kind == "a":
            colour = named_colour(rng, "blue") if rng.random() < 0.6 else accent
            box = text("link", content, x, y + line / 2, ink=colour)
            canvas.line((box[0], box[3] - 1, box[2], box[3] - 1), colour, 1)
            y += line
        elif kind == "button":
            box = (x, y, x + fonts.width(font, size, content) + rng.randint(20, 40), y + size + rng.randint(10, 18))
            draw_button(canvas, rng, box, content, font, size, accent, rng.choice([0, 3, 8, 14]))
            scene.elements.append(Element("button", content, box))
            y = box[3]
        else:
            left = canvas.text(x, y + size / 2 + 5, content, font, size, ink)[2] + 8
            box = (left, y, left + width * 0.5, y + size + 10)
            canvas.rectangle(box, card, edge, 1, rng.choice([0, 3, 8]))
            scene.elements.append(Element("field", content, (box[0], box[1], min(width, box[2]), box[3])))
            y = box[3]
        y += rng.randint(6, 10)
    scene.facts.update(pages.told(title, kept))
    return canvas.finish(scene)


def document(rng, width, height, font_paths, level=5, draw=True, novel=False) -> Scene:
    """A paper form: a title, keys with values in two columns, at times a small table."""
    paper = jitter(rng, (250, 250, 248), 5) if rng.random() < 0.8 else theme(rng)[2]
    ink = jitter(rng, (30, 30, 35), 20) if sum(paper) > 380 else (235, 235, 235)
    canvas = Canvas(rng, width, height, paper, draw, render_scale(rng))
    font, size = rng.choice(font_paths), rng.randint(13, 18)
    facts = pages.record(rng, height, size, Source(rng, novel))
    scene = Scene("document", width, height, facts=facts)
    x, y = rng.randint(4, 16), rng.randint(4, 12)
    canvas.text(x, y + size * 0.7, facts["title"], font, size + rng.randint(3, 7), ink)
    y += size * 1.3 + rng.randint(8, 12)
    dots, line = rng.choice([":", "", " -"]), size * 1.2 + rng.randint(2, 6)
    apart = max(fonts.width(font, size, key + dots) for key in facts["fields"]) + rng.choice([8, 16, 30])
    for key, value in facts["fields"].items():
        canvas.text(x, y + line / 2, key + dots, font, size, ink)
        scene.elements.append(Element("cell", value, canvas.text(x + apart, y + line / 2, value, font, size, ink)))
        y += line
    rows = [["Item", "Count"], *facts["table"]] if facts["table"] else []
    y += 6
    if y + len(rows) * (size + 8) > height:
        facts["table"], rows = [], []
    wide = [max((fonts.width(font, size, row[i]) for row in rows), default=0) + 16 for i in (0, 1)]
    for row in rows:
        for left, right, cell in ((x, x + wide[0], row[0]), (x + wide[0], x + wide[0] + wide[1], row[1])):
            canvas.rectangle((left, y, right, y + size + 8), None, jitter(rng, (130, 130, 135), 20))
            canvas.text(left + 8, y + size / 2 + 4, cell, font, size, ink)
            scene.elements.append(Element("cell", cell, (left, y, right, y + size + 8)))
        y += size + 8
    return canvas.finish(scene)
