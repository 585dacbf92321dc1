"""Soft targets for the digits of coordinates.

Where a side of a box is known to some pixels only, its last digits are noise to the model: as hard targets they make most of an
answer's loss and teach nothing. Instead a number v is taught as the distribution of a normal one around it, in whole numbers 0 to 1000: at
each digit the target is the share of the numbers with the true prefix that go on with 0 … 9 or end there. Greedy decoding of a
model that has learned it gives a number near v, since each digit is the likeliest after the ones before it.
(Compare label smoothing by distance, Diaz and Marathe 2019.)
"""

import functools
import re

import numpy as np

LISTS = re.compile(r'"(?:bbox_2d|point_2d|coordinate)":\s*\[([\d,\s]+)\]')
MOST, END = 1000, 10            # the largest coordinate; the class "ends here" after the ten digits


@functools.lru_cache(maxsize=4)
def table(blur: float) -> np.ndarray:
    """float32 [1001, 5, 11]: for number v and the digits of v before it the shares of the next digit, or of the end. blur: in 1/1000 of the picture."""
    numbers = np.arange(MOST + 1)
    texts = [str(n) for n in numbers]
    shares = np.zeros((MOST + 1, len(str(MOST)) + 1, END + 1), np.float32)
    followers = {}               # prefix -> [(number, class that follows the prefix in it)]
    for n, text in enumerate(texts):
        for i in range(len(text) + 1):
            followers.setdefault(text[:i], []).append((n, int(text[i]) if i < len(text) else END))
    followers = {prefix: tuple(np.array(side) for side in zip(*pairs)) for prefix, pairs in followers.items()}
    for v, text in enumerate(texts):
        mass = np.exp(-0.5 * ((numbers - v) / max(blur, 1e-3)) ** 2)
        for i in range(len(text) + 1):
            members, classes = followers[text[:i]]
            row = np.bincount(classes, mass[members], END + 1)
            shares[v, i] = row / row.sum()
    return shares


def marks(text: str, spans) -> list[tuple[int, int, int, int]]:
    """(token, number, digits before it, token that ends the number) for each token of a coordinate in `text` and the token after it.
    spans: the characters of each token; every digit is a token of its own."""
    at = {first: i for i, (first, _) in enumerate(spans)}
    found = []
    for run in LISTS.finditer(text):
        for number in re.finditer(r"\d+", run.group(1)):
            first, end = run.start(1) + number.start(), run.start(1) + number.end()
            value = int(number.group())
            if value > MOST or str(value) != number.group() or any(i not in at for i in range(first, end + 1)):
                continue
            found += [(at[i], value, i - first, at[end]) for i in range(first, end + 1)]
    return found
