"""Screens drawn by a real toolkit: settings, dialogs, forms and home screens of Qt widgets in its styles, palettes and many fonts.

    python -m lab.tiny.toolkit --out .lab/toolkit --sheets 40          a store of scenes for training
    python -m lab.tiny.toolkit --out .lab/toolkit-held --sheets 10 --held-out

Needs the package PySide6-Essentials (not among the lab's requirements: an absent store is an empty one) and no display. Boxes come
from the widgets' geometry, characters from their font metrics. Stores and scenes are those of browser.py. A screen whose widgets
do not fit, or would cut their text, is left out.
"""

import argparse
import os
import random
import sys
from pathlib import Path

import numpy as np

from . import browser, words
from .canvas import Element, Scene, named_colour, theme

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
try:
    from PySide6 import QtCore, QtGui, QtWidgets
except ImportError as error:
    raise RuntimeError(f"drawing by a toolkit needs the Python package PySide6-Essentials: {error}") from error

SCREENS_A_SHEET = 24
SIZES = [(320, 256), (256, 256), (288, 224)]


class Switch(QtWidgets.QAbstractButton):
    """A sliding switch, as Qt programs paint their own."""

    def __init__(self, on, height, accent, square):
        super().__init__()
        self.setCheckable(True)
        self.setChecked(on)
        self.accent, self.square = accent, square
        self.setFixedSize(round(height * 1.9), height)

    def paintEvent(self, _):
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        painter.setPen(QtCore.Qt.NoPen)
        h, w = self.height(), self.width()
        radius = 3 if self.square else h / 2
        painter.setBrush(self.accent if self.isChecked() else self.palette().color(QtGui.QPalette.Mid))
        painter.drawRoundedRect(0, 0, w, h, radius, radius)
        painter.setBrush(QtGui.QColor("white"))
        painter.drawRoundedRect(QtCore.QRectF(w - h + 2 if self.isChecked() else 2, 2, h - 4, h - 4), radius, radius)
        painter.end()


class Screen:
    """One window while it is built: its widgets, and what each of them is."""

    def __init__(self, rng, kind, width, height, families):
        self.rng, self.window, self.scene = rng, QtWidgets.QWidget(), Scene(kind, width, height)
        self.window.setFixedSize(width, height)
        self.window.setStyle(QtWidgets.QStyleFactory.create(rng.choice(QtWidgets.QStyleFactory.keys())))
        self.window.setFont(QtGui.QFont(rng.choice(families), -1))
        font = self.window.font()
        font.setPixelSize(rng.randint(12, 17))
        self.window.setFont(font)
        self.window.setPalette(self._palette())
        self.window.setAutoFillBackground(True)
        self.parts, self.written = [], []      # (widget, element), (widget, text, where its text begins)

    def _palette(self):
        dark, background, card, ink, accent = theme(self.rng)
        self.accent = QtGui.QColor(*accent)
        palette = QtGui.QPalette(QtGui.QColor(*card), QtGui.QColor(*background))
        for role, colour in (("Window", background), ("WindowText", ink), ("Base", card), ("Text", ink), ("Button", card), ("ButtonText", ink), ("Highlight", accent),
                             ("Mid", (95, 98, 105) if dark else (170, 173, 180))):
            palette.setColor(getattr(QtGui.QPalette, role), QtGui.QColor(*colour))
        return palette

    def label(self, text, larger=0, bold=False):
        made = QtWidgets.QLabel(text)
        font = QtGui.QFont(self.window.font())
        font.setPixelSize(font.pixelSize() + larger)
        font.setBold(bold)
        made.setFont(font)
        self.written.append((made, text, "label"))
        return made

    def button(self, name):
        made = QtWidgets.QPushButton(name)
        if self.rng.random() < 0.5:
            ink = "white" if self.accent.lightness() < 150 else "black"
            made.setStyleSheet(f"background: {self.accent.name()}; color: {ink}; border: 0; border-radius: {self.rng.choice([0, 3, 8])}px; padding: {self.rng.randint(4, 8)}px 12px")
        self.parts.append((made, Element("button", name, ())))
        self.written.append((made, name, "middle"))
        return made

    def shot(self) -> Scene | None:
        """The scene with its picture; None when something does not fit."""
        window, scene = self.window, self.scene
        window.ensurePolished()
        window.layout().activate()
        image = window.grab().toImage().convertToFormat(QtGui.QImage.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        scene.image = rows[:, :image.width() * 3].reshape(image.height(), image.width(), 3).copy()
        if scene.image.shape[:2] != (scene.height, scene.width):
            return None
        for widget, e in self.parts:
            e.box = self._box(widget)
            if widget.property("switch"):
                e.switch = self._box(widget.property("switch"))
            scene.elements.append(e)
        boxes = [e.box for e in scene.elements]
        inside = all(b[0] >= 0 and b[1] >= 0 and b[2] <= scene.width and b[3] <= scene.height for b in boxes)
        apart = all(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for i, a in enumerate(boxes) for b in boxes[:i])
        for widget, text, where in self.written:
            if not self._write(widget, text, where):
                return None
        return scene if scene.elements and inside and apart else None

    def _box(self, widget):
        corner = widget.mapTo(self.window, QtCore.QPoint(0, 0))
        x, y, w, h = corner.x(), corner.y(), widget.width(), widget.height()
        if isinstance(widget, QtWidgets.QCheckBox) and not widget.text():
            option = QtWidgets.QStyleOptionButton()
            widget.initStyleOption(option)
            r = widget.style().subElementRect(QtWidgets.QStyle.SE_CheckBoxIndicator, option, widget)
            x, y, w, h = x + r.x(), y + r.y(), r.width(), r.height()
        return (x, y, x + w, y + h)

    def _write(self, widget, text, where) -> bool:
        """Notes the characters of a widget's text; False when it is cut."""
        metrics, (x0, y0, x1, y1) = widget.fontMetrics(), self._box(widget)
        lines, high = text.split("\n"), metrics.lineSpacing()
        for i, line in enumerate(lines):
            wide = metrics.horizontalAdvance(line)
            start, y = x0, (y0 + y1) / 2 + (i - (len(lines) - 1) / 2) * high
            if where == "middle":
                start = (x0 + x1 - wide) / 2
            elif where == "bottom":
                start, y = (x0 + x1 - wide) / 2, y1 - 3 - high / 2
            elif where != "label":     # a number: where the text begins
                start = x0 + where
            if wide > x1 - start + 1 or start < x0 - 1:
                return False
            for j, c in enumerate(line):
                if c.strip():
                    at = start + metrics.horizontalAdvance(line[:j]) + metrics.horizontalAdvance(c) / 2
                    if 0 <= at < self.scene.width and 0 <= y < self.scene.height:
                        self.scene.characters.append((at, y, c))
        return True


def _sentence(rng, source, low, high) -> str:
    return " ".join(rng.choice(source) for _ in range(rng.randint(low, high))).capitalize()


def _settings(s, source):
    rng, outer = s.rng, QtWidgets.QVBoxLayout(s.window)
    outer.setContentsMargins(*[rng.randint(4, 14)] * 4)
    outer.setSpacing(rng.choice([0, 2, 5]))
    if rng.random() < 0.7:
        s.scene.facts["title"] = rng.choice(["Settings", "Preferences", "System", "Options"])
        outer.addWidget(s.label(s.scene.facts["title"], rng.randint(2, 5), True))
    names = rng.sample(words.SETTINGS, rng.randint(2, 5))
    if rng.random() < 0.4:
        names[0] = _sentence(rng, source, 1, 2)
    boxes, framed, height = rng.random() < 0.3, rng.random() < 0.5, rng.randint(15, 20)
    for name in names:
        row = QtWidgets.QFrame()
        if framed:
            row.setFrameShape(rng.choice([QtWidgets.QFrame.StyledPanel, QtWidgets.QFrame.Box]))
        inner = QtWidgets.QHBoxLayout(row)
        inner.setContentsMargins(8, 5, 8, 5)
        inner.addWidget(s.label(name))
        inner.addStretch()
        element = Element("row", name, ())
        if rng.random() < 0.85:
            element.on = rng.random() < 0.5
            end = QtWidgets.QCheckBox() if boxes else Switch(element.on, height, s.accent, rng.random() < 0.2)
            end.setChecked(element.on)
            row.setProperty("switch", end)
            inner.addWidget(end)
        outer.addWidget(row)
        s.parts.append((row, element))
    if rng.random() < 0.7:
        outer.addStretch()


def _dialog(s, source):
    rng, outer = s.rng, QtWidgets.QVBoxLayout(s.window)
    outer.setContentsMargins(*[rng.randint(6, 24) for _ in range(4)])
    panel = QtWidgets.QFrame()
    panel.setFrameShape(QtWidgets.QFrame.StyledPanel)
    panel.setAutoFillBackground(True)
    panel.setBackgroundRole(QtGui.QPalette.Base)
    outer.addWidget(panel)
    inner, title = QtWidgets.QVBoxLayout(panel), rng.choice(words.TITLES)
    text = _sentence(rng, source, 2, 5) + rng.choice([".", "?"])
    lines, metrics = [""], QtGui.QFontMetrics(s.window.font())
    for word in text.split():
        longer = (lines[-1] + " " + word).strip()
        if metrics.horizontalAdvance(longer) > s.scene.width * 0.66:
            lines.append(word)
        else:
            lines[-1] = longer
    s.scene.facts.update(title=title, text=text)
    inner.addWidget(s.label(title, rng.randint(1, 4), True))
    inner.addWidget(s.label("\n".join(lines)))
    inner.addStretch()
    row, at = QtWidgets.QHBoxLayout(), rng.choice(["left", "right", "both"])
    if at != "left":
        row.addStretch()
    for name in rng.sample(words.BUTTONS, rng.randint(1, 3)):
        row.addWidget(s.button(name))
    if at != "right":
        row.addStretch()
    inner.addLayout(row)


def _form(s, source):
    rng, outer = s.rng, QtWidgets.QVBoxLayout(s.window)
    outer.setContentsMargins(*[rng.randint(6, 16)] * 4)
    fields = QtWidgets.QFormLayout()
    fields.setRowWrapPolicy(rng.choice([QtWidgets.QFormLayout.DontWrapRows, QtWidgets.QFormLayout.WrapAllRows]))
    for name in rng.sample(words.FIELDS, rng.randint(1, 3)):
        value = rng.choice(source) if rng.random() < 0.6 else ""
        edit = QtWidgets.QLineEdit(value)
        fields.addRow(s.label(name), edit)
        s.parts.append((edit, Element("field", name, (), value=value)))
        if value:
            s.written.append((edit, value, edit.cursorRect().x() % 8 + 3))
    outer.addLayout(fields)
    if rng.random() < 0.5:
        name, on = rng.choice(["Remember me", "I agree", "Subscribe", "Send a copy"]), rng.random() < 0.5
        tick = QtWidgets.QCheckBox(name)
        tick.setChecked(on)
        outer.addWidget(tick, alignment=QtCore.Qt.AlignLeft)
        s.parts.append((tick, Element("checkbox", name, (), on=on)))
        s.written.append((tick, name, 20))
    row = QtWidgets.QHBoxLayout()
    for name in rng.sample(words.BUTTONS, rng.randint(1, 2)):
        row.addWidget(s.button(name))
    row.addStretch()
    outer.addLayout(row)
    outer.addStretch()


def _home(s, source):
    rng, outer = s.rng, QtWidgets.QGridLayout(s.window)
    columns, side = rng.randint(2, max(2, s.scene.width // 84)), rng.randint(28, 44)
    for i, name in enumerate(rng.sample(words.APPS, rng.randint(2, columns * max(1, s.scene.height // (side + 44))))):
        picture = QtGui.QPixmap(side, side)
        picture.fill(QtCore.Qt.transparent)
        painter = QtGui.QPainter(picture)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        painter.setPen(QtCore.Qt.NoPen)
        painter.setBrush(QtGui.QColor(*named_colour(rng, rng.choice(list(words.COLOURS)[:8]))))
        corner = rng.choice([2, 8, side / 2])
        painter.drawRoundedRect(0, 0, side, side, corner, corner)
        painter.end()
        made = QtWidgets.QToolButton()
        made.setToolButtonStyle(QtCore.Qt.ToolButtonTextUnderIcon)
        made.setIcon(QtGui.QIcon(picture))
        made.setIconSize(QtCore.QSize(side, side))
        made.setText(name)
        made.setAutoRaise(True)
        outer.addWidget(made, i // columns, i % columns, QtCore.Qt.AlignCenter)
        s.parts.append((made, Element("icon", name, ())))
        s.written.append((made, name, "bottom"))


MAKERS = {"settings": _settings, "dialog": _dialog, "form": _form, "home": _home}


def draw(rng, kind, width, height, held_out=False) -> Scene | None:
    """One screen; None when its widgets do not fit."""
    families, source = (browser.FAMILIES_HELD_OUT, words.NOVEL) if held_out else (browser.FAMILIES, words.TRAIN_WORDS)
    known = set(QtGui.QFontDatabase.families())
    screen = Screen(rng, kind, width, height, [f for f in families if f in known] or sorted(known))
    MAKERS[kind](screen, source)
    return screen.shot()


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheets", type=int, default=20, help=f"files of {SCREENS_A_SHEET} screens of one size each")
    parser.add_argument("--kinds", nargs="*", default=list(MAKERS), choices=list(MAKERS))
    parser.add_argument("--held-out", action="store_true", help="fonts and words that training never shows")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    application()
    for i in range(args.sheets):
        width, height = SIZES[i % len(SIZES)]
        file = args.out / f"toolkit-{width}x{height}-{i:04d}.npz"
        if file.exists():
            continue
        rng, made = random.Random(f"toolkit/{'held' if args.held_out else 'train'}/{i}"), []
        for _ in range(SCREENS_A_SHEET * 5):
            scene = draw(rng, rng.choice(args.kinds), width, height, args.held_out)
            if scene:
                made.append(scene)
            if len(made) == SCREENS_A_SHEET:
                break
        browser.store(made, file)
        print(file.name, len(made), "scenes", flush=True)


def application():
    """The one QApplication of a process."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(sys.argv[:1])


if __name__ == "__main__":
    main()
