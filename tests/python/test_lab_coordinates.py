"""Soft targets of coordinates: distributions over the digits that still add up to numbers near the true one."""

import random
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("PIL")

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab.tiny import config, coordinates, fonts, lessons, text, train  # noqa: E402
from lab.tiny.question import Question, boxes_json  # noqa: E402

try:
    fonts.paths()
except RuntimeError:
    pytest.skip("no known font installed", allow_module_level=True)


def test_shares():
    shares = coordinates.table(6.0)
    for v in (0, 7, 9, 95, 104, 399, 500, 999, 1000):
        rows = shares[v, :len(str(v)) + 1]
        assert np.allclose(rows.sum(1), 1, atol=1e-5)
        # The product of the shares along a number's digits is its share among all numbers.
        mass = np.exp(-0.5 * ((np.arange(1001) - v) / 6.0) ** 2)
        along = np.prod([rows[i][int(c)] for i, c in enumerate(str(v))]) * rows[-1][coordinates.END]
        assert np.isclose(along, 1 / mass.sum(), rtol=1e-3)
    hard = coordinates.table(0.01)
    assert hard[399, 0, 3] == 1 and hard[399, 1, 9] == 1 and hard[399, 3, coordinates.END] == 1
    assert 0.4 < shares[399, 0, 3] < 0.6 and 0.4 < shares[399, 0, 4] < 0.6


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    return text.Codec(text.load(tmp_path_factory.mktemp("tokenizer")))


def test_marks_are_the_digits_and_what_ends_them(codec):
    answer = boxes_json([((5, 40, 399, 1000), "red star 7"), ((1, 2, 3, 4), "row 12")])
    ids, spans = codec.encode(answer), codec.spans(answer)
    marks = coordinates.marks(answer, spans)
    digits = "".join(codec.decode([ids[token]]) for token, value, before, _ in marks if before < len(str(value)))
    assert digits == "54039910001234"
    for token, value, before, end in marks:
        if before == len(str(value)):
            assert token == end and codec.decode([ids[token]])[0] in ",]"
    assert coordinates.marks("The star is at [1,2,3].", codec.spans("The star is at [1,2,3].")) == []


def test_loss_is_least_at_the_shares(tmp_path, codec):
    plan = config.SMOKE
    trainer = train.Trainer(plan, tmp_path)
    answer = boxes_json([((5, 40, 399, 1000), "star")])
    part = lessons.collate([lessons.sequence(trainer.codec, random.Random(3), [Question("locate", "Where is the star?", answer, [5, 40, 399, 1000])], (2, 2))],
                           trainer.codec.ids["<|endoftext|>"])
    targets = part["targets"].flatten()
    known, soft = targets >= 0, part["soft"]
    assert len(soft) == sum(len(str(v)) + 1 for v in (5, 40, 399, 1000))
    # The marked places hold the digits themselves, and the ends.
    for place, value, before, end in soft.tolist():
        digits = str(value)
        assert targets[place] == (trainer.digits[0, int(digits[before])] if before < len(digits) else end)
    # A model that gives the shares has no loss there, any other has some.
    logits = torch.full((int(known.sum()), text.VOCABULARY), -30.0)
    row = (known.cumsum(0) - 1)[soft[:, 0]]
    for r, (place, value, before, end) in zip(row.tolist(), soft.tolist()):
        shares = torch.from_numpy(coordinates.table(6.0))[value, before]
        logits[r, trainer.digits[0]] = shares[:10].clamp(min=1e-9).log()
        logits[r, end] = shares[10].clamp(min=1e-9).log()
    each = torch.full((len(logits),), 7.0)
    least = trainer._soften(each, logits, known, soft, 6.0)
    assert least[row].abs().max() < 1e-3
    others = [i for i in range(len(logits)) if i not in set(row.tolist())]
    assert (least[others] == 7).all()
    assert (trainer._soften(each, torch.zeros_like(logits), known, soft, 6.0)[row] > 1).all()
