"""Screens that Qt draws: boxes lie on what is drawn, and the store keeps everything. Skipped where PySide6-Essentials is not installed."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials", exc_type=ImportError)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab.tiny import browser, toolkit  # noqa: E402


@pytest.fixture(scope="module")
def made():
    toolkit.application()
    rng = random.Random(1)
    found = [s for kind in toolkit.MAKERS for _ in range(8) if (s := toolkit.draw(rng, kind, 320, 256))]
    assert {s.kind for s in found} == set(toolkit.MAKERS)
    return found


def test_boxes_lie_on_what_is_drawn(made):
    for scene in made:
        for e in scene.elements:
            for x0, y0, x1, y1 in filter(None, (e.box, e.switch)):
                assert 0 <= x0 < x1 <= scene.width and 0 <= y0 < y1 <= scene.height
                assert scene.image[y0:y1, x0:x1].reshape(-1, 3).std(0).max() > 2, (scene.kind, e.name)


def test_a_sliding_switch_shows_its_state(made):
    for scene in made:
        for e in (e for e in scene.elements if e.switch and e.switch[2] - e.switch[0] > 1.5 * (e.switch[3] - e.switch[1])):
            x0, y0, x1, y1 = e.switch
            side, y = (y1 - y0) // 2, (y0 + y1) // 2
            left, right = scene.image[y, x0 + side].astype(int), scene.image[y, x1 - side].astype(int)
            assert bool(right.min() > 250) is e.on and bool(left.min() > 250) is not e.on


def test_a_store_keeps_everything(made, tmp_path):
    browser.store(made, tmp_path / "sheet.npz")
    again = browser.Store(tmp_path).all()
    key = lambda s: (s.kind, [e.name for e in s.elements], [e.box for e in s.elements])
    assert sorted(map(key, again)) == sorted(map(key, made))
    one = made[0]
    same = next(s for s in again if key(s) == key(one))
    assert np.array_equal(same.image, one.image) and same.facts == one.facts and [e.on for e in same.elements] == [e.on for e in one.elements]
    assert same.characters == one.characters
