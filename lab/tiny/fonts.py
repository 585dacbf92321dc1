"""Fonts of the synthetic pictures: which are trained on, which are held out for evaluation.

Fonts are looked up by file name under the system's font folders; none is shipped. Missing ones are skipped, so a
machine with fewer packages still runs (the model card names the fonts and licences of the published checkpoint).
"""

import functools
import os

from PIL import ImageFont

FOLDERS = ["/usr/share/fonts", "/usr/local/share/fonts", os.path.expanduser("~/.local/share/fonts"),
           os.path.expanduser("~/.fonts"), "/Library/Fonts", "/System/Library/Fonts/Supplemental", "C:/Windows/Fonts"]
TRAIN = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "LiberationSans-Regular", "LiberationSans-Bold",
         "LiberationSerif-Regular", "OpenSans-Regular", "OpenSans-Bold", "Lato-Regular", "Lato-Bold", "FreeSerif",
         "Cantarell-VF", "Quicksand-Medium", "Roboto-Regular", "Roboto-Medium"]
HELD_OUT = ["FreeSans", "FreeSansBold", "OpenSans-Semibold", "Inter-Regular", "Inter-Medium", "Lato-Medium",
            "Roboto-Light", "DejaVuSerif-Bold"]


@functools.cache
def _files() -> dict[str, str]:
    found = {}
    for folder in FOLDERS:
        for base, _, names in os.walk(folder):
            for name in sorted(names):
                stem, extension = os.path.splitext(name)
                if extension.lower() in (".ttf", ".otf"):
                    found.setdefault(stem, os.path.join(base, name))
    return found


def paths(held_out: bool = False) -> list[str]:
    """Font files of the wanted set, always in the same order. Raises when none is installed."""
    files = _files()
    names = [n for n in (HELD_OUT if held_out else TRAIN) if n in files]
    if not names:
        names = [n for n in TRAIN if n in files]
    if not names:
        raise RuntimeError("no known font found: install fonts-dejavu-core or fonts-liberation")
    return [files[n] for n in names]


@functools.lru_cache(maxsize=2048)
def load(path: str, size: int) -> ImageFont.FreeTypeFont:
    """One font at `size` pixels."""
    return ImageFont.truetype(path, size)


@functools.lru_cache(maxsize=65536)
def _advance(path: str, size: int, character: str) -> float:
    return load(path, size).getlength(character)


@functools.lru_cache(maxsize=65536)
def width(path: str, size: int, text: str) -> float:
    """Width of one line in pixels; cached, because layout asks for the same names again and again."""
    return load(path, size).getlength(text)


def edges(path: str, size: int, text: str) -> list[float]:
    """len(text) + 1 horizontal edges of the characters, from the single advances (kerning spread evenly)."""
    sums = [0.0]
    for character in text:
        sums.append(sums[-1] + _advance(path, size, character))
    stretch = width(path, size, text) / sums[-1] if sums[-1] else 1.0
    return [v * stretch for v in sums]
