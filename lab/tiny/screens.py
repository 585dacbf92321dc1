"""Screens of our own drawing: settings lists, dialogs, home screens with icons, forms.

Layouts, themes and names vary; every element's pixel box is exact.
"""

from . import fonts, words
from .canvas import Canvas, Element, Scene, jitter, named_colour, render_scale, sentence, theme, wrapped


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


def draw_button(canvas, rng, box, name, font, size, accent, corner):
    """A filled button with its name fitted into it."""
    fill = accent if rng.random() < 0.5 else jitter(rng, (205, 206, 212), 10)
    canvas.rectangle(box, fill, radius=corner)
    fitted = size
    while fonts.width(font, fitted, name) > box[2] - box[0] - 8 and fitted > 10:
        fitted -= 1
    ink_on = (255, 255, 255) if sum(fill) < 460 else (20, 20, 20)
    canvas.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, name, font, fitted, ink_on, "middle")


def screen_name(rng, novel=False):
    """A settings name: mostly known ones, else one or two free words."""
    if rng.random() < 0.72 and not novel:
        return rng.choice(words.SETTINGS)
    source = words.NOVEL if novel else words.TRAIN_WORDS
    return " ".join(rng.choice(source) for _ in range(rng.choice([1, 1, 2]))).capitalize()


def settings(rng, width, height, font_paths, level=6, draw=True, novel=False) -> Scene:
    """A settings list of 2..level rows; most rows have a switch, the others a `>`."""
    dark, background, card, ink, accent = theme(rng)
    canvas = Canvas(rng, width, height, background, draw, render_scale(rng))
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


def dialog(rng, width, height, font_paths, level=3, draw=True, novel=False) -> Scene:
    """A window with a title, a short message and 1..min(level, 3) buttons."""
    dark, background, card, ink, accent = theme(rng)
    desk = jitter(rng, rng.choice([(60, 90, 130), (90, 110, 100), background, (150, 150, 160)]), 20)
    canvas = Canvas(rng, width, height, desk, draw, render_scale(rng))
    font, size = rng.choice(font_paths), rng.randint(14, 19)
    w, h = rng.randint(int(width * 0.78), width - 8), rng.randint(140, min(height - 8, 210))
    x0, y0 = rng.randint(2, width - w - 2), rng.randint(2, height - h - 2)
    canvas.rectangle((x0, y0, x0 + w, y0 + h), card, (130, 130, 135), 1, rng.choice([0, 4, 10]))
    title = rng.choice(words.TITLES)
    scene = Scene("dialog", width, height)
    scene.facts["title_box"] = canvas.text(x0 + 12, y0 + 20, title, font, size + rng.randint(1, 5), ink)
    message = sentence(rng, novel) + rng.choice([".", "?", "."])
    y = y0 + 48
    lines = wrapped(message, font, size, w - 24)[:3]
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
        draw_button(canvas, rng, box, name, font, size, accent, corner)
        scene.elements.append(Element("button", name, box))
    return canvas.finish(scene)


def home(rng, width, height, font_paths, level=9, draw=True, novel=False) -> Scene:
    """A home screen: 2..level icons with their names below, on a grid with gaps. An icon's box holds its name too."""
    dark, background, _, ink, _ = theme(rng)
    if rng.random() < 0.6:
        background = jitter(rng, rng.choice([(40, 70, 120), (30, 90, 80), (90, 50, 110), (20, 22, 30), (200, 215, 235)]), 20)
        ink = (245, 245, 245) if sum(background) < 420 else (20, 20, 20)
    canvas = Canvas(rng, width, height, background, draw, render_scale(rng))
    font, size = rng.choice(font_paths), rng.randint(12, 16)
    columns, rows = rng.randint(2, max(2, width // 80)), rng.randint(1, max(1, height // 80))
    cell_width, cell_height = width / columns, height / rows
    count = min(rng.randint(2, max(2, level)), columns * rows)
    places = sorted(rng.sample(range(columns * rows), count))
    names = rng.sample(words.APPS, count) if not novel else [w.capitalize() for w in rng.sample(words.NOVEL, count)]
    side = rng.randint(28, int(max(29, min(52, cell_height - 30, cell_width - 16))))
    scene = Scene("home", width, height)
    for place, name in zip(places, names):
        cx, cy = (place % columns + 0.5) * cell_width, (place // columns + 0.45) * cell_height
        icon = (cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2)
        _icon(canvas, icon[0], cy, side, name)
        fitted = size
        while fonts.width(font, fitted, name) > cell_width - 2 and fitted > 9:
            fitted -= 1
        text = canvas.text(cx, cy + side / 2 + fitted * 0.9, name, font, fitted, ink, "middle")
        scene.elements.append(Element("icon", name, (min(icon[0], text[0]), icon[1], max(icon[2], text[2]), text[3])))
    return canvas.finish(scene)


VALUES = "Anna Berlin Paris Tom Lena Oslo Madrid Rome Max Eva Lima Cairo Delhi Tokyo Paul Nina Ben Mia".split()


def _field(canvas, rng, box, colours, font, size, value):
    """A text field with its value, if any."""
    card, ink, corner = colours
    canvas.rectangle(box, card, jitter(rng, (130, 130, 135)), 1, corner)
    if value:
        canvas.text(box[0] + 6, (box[1] + box[3]) / 2, value, font, size, ink)


def form(rng, width, height, font_paths, level=4, draw=True, novel=False) -> Scene:
    """1..level labelled fields (some filled in), at times a checkbox, and one to three buttons."""
    _, background, card, ink, accent = theme(rng)
    canvas = Canvas(rng, width, height, background, draw, render_scale(rng))
    font, size = rng.choice(font_paths), rng.randint(13, 17)
    x0, x1, y = rng.randint(6, int(width * 0.12)), width - rng.randint(6, int(width * 0.12)), rng.randint(6, 20)
    above, corner, tall = rng.random() < 0.4, rng.choice([0, 4, 8]), rng.randint(size + 8, 34)
    inset = x0 + int((x1 - x0) * 0.38)
    scene = Scene("form", width, height)
    for name in rng.sample(words.FIELDS, rng.randint(1, max(1, min(level, 5)))):
        if y + tall + (size + 8 if above else 0) > height - 52:
            break
        if above:
            canvas.text(x0, y + size * 0.6, name, font, size, ink)
            y += size + 6
        else:
            canvas.text(x0, y + tall / 2, name, font, size, ink)
        box = (x0 if above else inset, y, x1, y + tall)
        value = rng.choice([rng.choice(VALUES), rng.choice(words.NOVEL if novel else words.TRAIN_WORDS), str(rng.randint(1, 9999))]) if rng.random() < 0.5 else ""
        _field(canvas, rng, box, (card, ink, corner), font, size, value)
        scene.elements.append(Element("field", name, box, value=value))
        y += tall + rng.randint(6, 14)
    if rng.random() < 0.35 and y + size + 6 < height - 48:
        name = rng.choice(["Remember me", "I agree", "Subscribe", "Keep me signed in", "Send a copy", "Show password"])
        ticked = rng.random() < 0.5
        box = (x0, y, x0 + size, y + size)
        canvas.rectangle(box, accent if ticked else card, jitter(rng, (120, 120, 125)), 1, 2)
        if ticked:
            canvas.line((x0 + size * 0.2, y + size * 0.5, x0 + size * 0.45, y + size * 0.75), (255, 255, 255), 2)
            canvas.line((x0 + size * 0.45, y + size * 0.75, x0 + size * 0.8, y + size * 0.25), (255, 255, 255), 2)
        text = canvas.text(x0 + size + 6, y + size / 2, name, font, size, ink)
        scene.elements.append(Element("checkbox", name, (x0, y, text[2], y + size), on=ticked))
        y += size + rng.randint(8, 14)
    names = rng.sample(words.BUTTONS, rng.randint(1, 3))
    wide, high = min((x1 - x0 - 8 * (len(names) - 1)) / len(names), 110), rng.randint(size + 10, 36)
    y = min(y + rng.randint(0, 20), height - high - 4)
    for i, name in enumerate(names):
        box = (x0 + i * (wide + 8), y, x0 + i * (wide + 8) + wide, y + high)
        draw_button(canvas, rng, box, name, font, size, accent, corner)
        scene.elements.append(Element("button", name, box))
    return canvas.finish(scene)
