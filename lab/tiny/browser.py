"""Scenes drawn by a real browser: settings, dialogs, forms, home screens, web pages, documents and shapes as HTML, CSS and SVG of many styles.

    python -m lab.tiny.browser --out .lab/pages --sheets 40            a store of scenes for training
    python -m lab.tiny.browser --out .lab/pages-held --sheets 10 --held-out

A sheet is one page with many screens of one size below each other; headless Chromium draws it and a script in it
reports the box of every element and character. Owns the styles, the sheets and the store (one .npz and one .json a sheet).
Needs `chromium` in PATH, or WEFT_CHROMIUM. Scenes read back are the same kind of `Scene` that our own drawing makes.
"""

import argparse
import html
import io
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from . import pages, words
from .canvas import Element, Scene, jitter, named_colour, theme

SCREENS_A_SHEET = 24
TIMEOUT = 120                 # seconds for Chromium to draw a sheet
FAMILIES = ["Liberation Sans", "Liberation Serif", "DejaVu Sans", "DejaVu Serif", "Open Sans", "Roboto", "Lato", "Cantarell", "Quicksand"]
FAMILIES_HELD_OUT = ["Inter", "FreeSans", "Noto Sans CJK SC", "Roboto Condensed", "FreeSerif"]
COLLECT = """
const truth = [];
for (const screen of document.querySelectorAll('.screen')) {
  const origin = screen.getBoundingClientRect();
  const box = e => { const r = e.getBoundingClientRect(); return [r.left - origin.left, r.top - origin.top, r.right - origin.left, r.bottom - origin.top]; };
  const elements = [...screen.querySelectorAll('[data-kind]')].map(e => {
    const s = e.querySelector('[data-switch]');
    return {...e.dataset, box: box(e), switch: s ? box(s) : null};
  });
  const characters = [];
  const walker = document.createTreeWalker(screen, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, range = document.createRange();
    for (let i = 0; i < node.length; i++) {
      if (!node.data[i].trim()) continue;
      range.setStart(node, i); range.setEnd(node, i + 1);
      const r = range.getBoundingClientRect();
      if (r.width) characters.push([(r.left + r.right) / 2 - origin.left, (r.top + r.bottom) / 2 - origin.top, node.data[i]]);
    }
  }
  truth.push({elements, characters});
}
document.documentElement.innerHTML = '<body><pre id="truth">' + JSON.stringify(truth).replace(/&/g, '&amp;').replace(/</g, '&lt;') + '</pre></body>';
"""


def _css(colour) -> str:
    return "rgb({},{},{})".format(*colour)


def _tag(kind, name, inner, style="", tag="div", **facts) -> str:
    data = "".join(f' data-{k}="{html.escape(str(v))}"' for k, v in facts.items())
    return f'<{tag} data-kind="{kind}" data-name="{html.escape(name)}"{data} style="{style}">{inner}</{tag}>'


class Style:
    """The look of one screen."""

    def __init__(self, rng, families):
        self.rng = rng
        self.dark, background, card, ink, accent = theme(rng)
        self.background, self.card, self.ink, self.accent = map(_css, (background, card, ink, accent))
        self.accent_ink = "white" if sum(accent) < 460 else "black"
        self.size, self.corner, self.family = rng.randint(13, 18), rng.choice([0, 3, 8, 14]), rng.choice(families)
        self.line = _css(jitter(rng, (130, 130, 135), 30))
        self.shadow = rng.choice(["", "", f"box-shadow:0 1px {rng.randint(2, 8)}px rgba(0,0,0,.3);"])

    def switch(self, on) -> str:
        height = self.rng.randint(15, 22)
        width, gap, square = height * self.rng.choice([1.7, 1.9, 2.2]), self.rng.choice([2, 3]), self.rng.random() < 0.2
        knob = height - 2 * gap
        off = "#5a5d66" if self.dark else "#b4b7be"
        radius = 3 if square else height
        return (f'<span data-switch="1" style="display:block;position:relative;flex:none;width:{width}px;height:{height}px;border-radius:{radius}px;'
                f'background:{self.accent if on else off}"><i style="position:absolute;top:{gap}px;left:{width - knob - gap if on else gap}px;'
                f'width:{knob}px;height:{knob}px;border-radius:{radius}px;background:white"></i></span>')

    def button(self, name) -> str:
        filled = self.rng.random() < 0.6
        look = f"background:{self.accent};color:{self.accent_ink};border:0" if filled else f"background:transparent;color:{self.ink};border:1px solid {self.line}"
        return _tag("button", name, html.escape(name), f"{look};padding:{self.rng.randint(5, 10)}px {self.rng.randint(10, 20)}px;border-radius:{self.corner}px;font:inherit", "button")


def _sentence(rng, source, low, high) -> str:
    return " ".join(rng.choice(source) for _ in range(rng.randint(low, high))).capitalize()


def _settings(rng, style, width, height, source):
    title = rng.choice(["Settings", "Preferences", "System", "Options", ""])
    tall = rng.randint(30, 46)
    count = rng.randint(2, max(2, min(6, (height - 50) // (tall + 2))))
    names = rng.sample(words.SETTINGS, count)
    if rng.random() < 0.3 and source:
        names[0] = _sentence(rng, source, 1, 2)
    inner = f'<div style="font-size:{style.size + 4}px;font-weight:bold;padding:6px 4px">{title}</div>' if title else ""
    card, gap = rng.random() < 0.6, rng.choice([0, 2, 5])
    for name in names:
        has = rng.random() < 0.8
        on = rng.random() < 0.5
        end = style.switch(on) if has else "<span>&rsaquo;</span>"
        look = f"background:{style.card};border-radius:{style.corner}px;{style.shadow}" if card else f"border-bottom:1px solid {style.line};"
        inner += _tag("row", name, f'<span style="flex:1;white-space:nowrap">{html.escape(name)}</span>{end}',
                      f"display:flex;align-items:center;box-sizing:border-box;height:{tall}px;padding:0 10px;margin-bottom:{gap}px;{look}", **({"on": int(on)} if has else {}))
    return inner, {"title": title} if title else {}


def _dialog(rng, style, width, height, source):
    title, text = rng.choice(words.TITLES), _sentence(rng, source, 2, 5) + rng.choice([".", "?"])
    names = rng.sample(words.BUTTONS, rng.randint(1, 3))
    buttons = "".join(style.button(n) for n in names)
    side = rng.choice(["flex-start", "center", "flex-end"])
    inner = (f'<div style="margin:{rng.randint(10, 40)}px auto;width:{rng.randint(74, 94)}%;box-sizing:border-box;padding:12px;background:{style.card};'
             f'border-radius:{style.corner}px;border:1px solid {style.line};{style.shadow}"><div style="font-weight:bold;font-size:{style.size + 3}px">{title}</div>'
             f'<p>{text}</p><div style="display:flex;gap:8px;justify-content:{side}">{buttons}</div></div>')
    return inner, {"title": title, "text": text}


def _form(rng, style, width, height, source):
    above, inner = rng.random() < 0.5, ""
    for name in rng.sample(words.FIELDS, rng.randint(1, 3)):
        value = rng.choice(source) if rng.random() < 0.5 else ""
        field = _tag("field", name, "", f"flex:1;min-width:0;box-sizing:border-box;padding:4px 6px;border:1px solid {style.line};border-radius:{style.corner}px;"
                     f"background:{style.card};color:{style.ink};font:inherit" + (";width:100%" if above else ""), f'input value="{html.escape(value)}"', value=value)
        field = field.replace(f'</input value="{html.escape(value)}">', "")
        label = f'<label style="width:38%;{"display:block" if above else ""}">{name}</label>'
        inner += f'<div style="margin:0 0 8px;{"" if above else "display:flex;align-items:center"}">{label}{field}</div>'
    if rng.random() < 0.4:
        name, on = rng.choice(["Remember me", "I agree", "Subscribe", "Send a copy"]), rng.random() < 0.5
        inner += _tag("checkbox", name, f'<input type="checkbox" {"checked" if on else ""} style="accent-color:{style.accent}"> {name}', "display:inline-block;margin-bottom:8px", on=int(on))
    buttons = "".join(style.button(n) for n in rng.sample(words.BUTTONS, rng.randint(1, 2)))
    return inner + f'<div style="display:flex;gap:8px">{buttons}</div>', {}


def _home(rng, style, width, height, source):
    columns, side = rng.randint(2, max(2, width // 84)), rng.randint(30, 46)
    names = rng.sample(words.APPS, min(rng.randint(2, 9), columns * (height // (side + 40))))
    icon = lambda: (f'<i style="display:block;margin:0 auto 3px;width:{side}px;height:{side}px;border-radius:{rng.choice([4, 10, 30])}px;'
                    f'background:{_css(named_colour(rng, rng.choice(list(words.COLOURS)[:8])))}"></i>')
    cells = "".join(f'<div style="text-align:center">{_tag("icon", n, icon() + n, "display:inline-block")}</div>' for n in names)
    return f'<div style="display:grid;grid-template-columns:repeat({columns},1fr);gap:12px 4px">{cells}</div>', {}


def _shapes(rng, style, width, height, source):
    """SVG shapes in free places; a rounded corner or a thin outline at times."""
    background_name = rng.choice(["white", "white", "", "black", "gray"])
    background = named_colour(rng, background_name) if background_name else jitter(rng, rng.choice([(235, 235, 235), (200, 212, 225), (225, 215, 195)]), 14)
    style.background = _css(background)
    placed, inner, wanted = [], "", rng.randint(1, 6)
    short = min(width, height)
    for _ in range(60):
        if len(placed) >= wanted:
            break
        k = rng.uniform(max(9, short / 16), short / 5)
        cx, cy = rng.uniform(k + 2, width - k - 2), rng.uniform(k + 2, height - k - 2)
        colour = rng.choice(list(words.COLOURS))
        value = named_colour(rng, colour)
        if colour == background_name or sum(abs(a - b) for a, b in zip(value, background)) < 120 or any(np.hypot(cx - a, cy - b) < (k + c) * 1.25 for a, b, c, *_ in placed):
            continue
        placed.append((cx, cy, k, rng.choice(words.SHAPES), colour, value))
    placed.sort(key=lambda p: (int(p[1] * 3 / height), p[0]))
    for cx, cy, k, shape, colour, value in placed:
        edge = f'stroke="{_css(tuple(v // 2 for v in value))}" stroke-width="1.5"' if rng.random() < 0.2 else ""
        data = f'data-kind="{shape}" data-name="{colour} {shape}" data-colour="{colour}" data-shape="{shape}" fill="{_css(value)}" {edge}'
        if shape == "circle":
            inner += f'<circle cx="{cx}" cy="{cy}" r="{k}" {data}/>'
        elif shape in ("square", "rectangle"):
            kx, ky = (k, k) if shape == "square" else rng.choice([(k, k * 0.55), (k * 0.55, k), (k, k * 0.48)])
            inner += f'<rect x="{cx - kx}" y="{cy - ky}" width="{2 * kx}" height="{2 * ky}" {data}/>'
        else:
            corners = {"triangle": 3, "diamond": 4, "star": 10}[shape]
            radii = [k * (0.42 if shape == "star" and i % 2 else 1) for i in range(corners)]
            points = " ".join(f"{cx + r * np.sin(2 * np.pi * i / corners):.2f},{cy - r * np.cos(2 * np.pi * i / corners):.2f}" for i, r in enumerate(radii))
            inner += f'<polygon points="{points}" {data}/>'
    return f'<svg width="{width}" height="{height}" style="position:absolute;left:0;top:0">{inner}</svg>', {"background": background_name}


MAKERS = {"settings": _settings, "dialog": _dialog, "form": _form, "home": _home, "shapes": _shapes, "page": pages.page, "document": pages.document}


def sheet(rng, width, height, held_out=False, kinds=None):
    """(HTML of a sheet, [(kind, facts)] of its screens)."""
    families, source = (FAMILIES_HELD_OUT, words.NOVEL) if held_out else (FAMILIES, words.TRAIN_WORDS)
    screens, known = "", []
    for _ in range(SCREENS_A_SHEET):
        kind = rng.choice(kinds or list(MAKERS))
        style = Style(rng, families)
        inner, facts = MAKERS[kind](rng, style, width, height, source)
        pad = 0 if kind == "shapes" else rng.randint(4, 16)
        screens += (f'<div class="screen" style="position:relative;overflow:hidden;box-sizing:border-box;width:{width}px;height:{height}px;padding:{pad}px;'
                    f"background:{style.background};color:{style.ink};font:{style.size}px '{style.family}'\">{inner}</div>\n")
        known.append((kind, facts))
    return f"<!doctype html><html><body style='margin:0'>{screens}</body></html>", known


def _chromium(page: Path, *arguments: str) -> bytes:
    program = os.environ.get("WEFT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        raise RuntimeError("no chromium found: install it or name it in WEFT_CHROMIUM")
    with tempfile.TemporaryDirectory() as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
                   "--force-device-scale-factor=1", *arguments, page.as_uri()]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=True).stdout


def render(text: str, known, width: int, height: int) -> list[Scene]:
    """Draws a sheet and reads its truth. Elements that do not lie wholly on their screen make the screen useless: left out."""
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "page.html", Path(folder) / "page.png"
        page.write_text(text, encoding="utf-8")
        _chromium(page, f"--window-size={width},{height * SCREENS_A_SHEET}", f"--screenshot={picture}")
        image = np.asarray(Image.open(picture).convert("RGB"))
        page.write_text(text.replace("</body>", f"<script>{COLLECT}</script></body>"), encoding="utf-8")
        dumped = _chromium(page, f"--window-size={width},{height * SCREENS_A_SHEET}", "--dump-dom").decode("utf-8")
    truth = json.loads(html.unescape(re.search(r'<pre id="truth">(.*?)</pre>', dumped, re.S)[1]))
    found = []
    for i, ((kind, facts), screen) in enumerate(zip(known, truth)):
        scene = Scene(kind, width, height, facts=facts, image=image[i * height:(i + 1) * height])
        for e in screen["elements"]:
            on = {"0": False, "1": True}.get(e.get("on"))
            scene.elements.append(Element(e["kind"], e["name"], tuple(e["box"]), e.get("colour", ""), e.get("shape", ""), on,
                                          tuple(e["switch"]) if e["switch"] else None, e.get("value", "")))
        scene.characters = [tuple(c) for c in screen["characters"] if 0 <= c[0] < width and 0 <= c[1] < height]
        inside = all(e.box[0] >= -1 and e.box[1] >= -1 and e.box[2] <= width + 1 and e.box[3] <= height + 1 for e in scene.elements)
        if scene.elements and inside and scene.image.shape[0] == height:
            found.append(scene)
    return found


def store(scenes: list[Scene], file: Path) -> None:
    """Writes one sheet's scenes: pictures as PNG beside a JSON list of all that is known."""
    entries = []
    for s in scenes:
        packed = io.BytesIO()
        Image.fromarray(s.image).save(packed, "PNG")
        entries.append((dict(kind=s.kind, width=s.width, height=s.height, facts=s.facts, characters=s.characters, elements=[vars(e) for e in s.elements]),
                        np.frombuffer(packed.getvalue(), np.uint8)))
    part = file.with_suffix(".part.npz")
    np.savez(part, **{str(i): p for i, (_, p) in enumerate(entries)}, about=np.frombuffer(json.dumps([a for a, _ in entries]).encode(), np.uint8))
    part.replace(file)


def _scene(about: dict, packed: bytes) -> Scene:
    elements = [Element(**{**e, "box": tuple(e["box"]), "switch": tuple(e["switch"]) if e["switch"] else None}) for e in about["elements"]]
    return Scene(about["kind"], about["width"], about["height"], elements, [tuple(c) for c in about["characters"]], about["facts"],
                 np.asarray(Image.open(io.BytesIO(packed)).convert("RGB")))


class Store:
    """All stored scenes of a folder, pictures kept packed (about 5 KB each). An absent folder is an empty store."""

    def __init__(self, folder: Path):
        self.known = {}      # (kind, width, height) -> [(about, packed picture)]
        for file in sorted(Path(folder).glob("*.npz")):
            with np.load(file) as data:
                for i, about in enumerate(json.loads(data["about"].tobytes())):
                    self.known.setdefault((about["kind"], about["width"], about["height"]), []).append((about, data[str(i)].tobytes()))

    def sizes(self, kinds) -> list[tuple[int, int]]:
        return sorted({(w, h) for kind, w, h in self.known if kind in kinds})

    def draw(self, rng, kinds: dict, width: int, height: int, count: int) -> list[Scene]:
        """`count` scenes of that size, by the weights of their kinds. There must be at least one such kind."""
        here = [(k, weight) for k, weight in kinds.items() if (k, width, height) in self.known]
        names = rng.choices([k for k, _ in here], [w for _, w in here], k=count)
        return [_scene(*rng.choice(self.known[name, width, height])) for name in names]

    def all(self) -> list[Scene]:
        return [_scene(*entry) for key in sorted(self.known) for entry in self.known[key]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheets", type=int, default=20)
    parser.add_argument("--size", default="320x256,256x256,288x224")
    parser.add_argument("--kinds", nargs="*", help="only these: " + " ".join(MAKERS))
    parser.add_argument("--held-out", action="store_true", help="fonts and words that training never shows")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = [tuple(map(int, s.split("x"))) for s in args.size.split(",")]
    for i in range(args.sheets):
        width, height = sizes[i % len(sizes)]
        file = args.out / f"{width}x{height}-{i:04d}.npz"
        if file.exists():
            continue
        rng = random.Random(f"browser/{'held' if args.held_out else 'train'}/{i}")
        scenes = render(*sheet(rng, width, height, args.held_out, args.kinds), width, height)
        store(scenes, file)
        print(file.name, len(scenes), "scenes", flush=True)


if __name__ == "__main__":
    main()
