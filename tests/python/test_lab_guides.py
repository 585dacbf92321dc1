"""Guides of attention: they point at the named thing, and the attention that training measures is transformers' own."""

import random
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("PIL")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab.tiny import config, fonts, guides, lessons, model, questions, scenes, text  # noqa: E402
from lab.tiny.question import Question  # noqa: E402

try:
    FONTS = fonts.paths()
except RuntimeError:
    pytest.skip("no known font installed", allow_module_level=True)


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    torch.set_num_threads(1)
    return text.Codec(text.load(tmp_path_factory.mktemp("lab")))


@pytest.mark.parametrize("kind", ["shapes", "settings", "home"])
def test_guides_point_at_cells_of_the_named_element(codec, kind):
    seen = 0
    for seed in range(6):
        rng = random.Random(seed)
        scene = scenes.make(kind, rng, 256, 192, FONTS)
        boxes = scenes.targets(scene)["box"].tolist()
        names = {e.name: {tuple(scene.relative(b)) for b in (e.box, e.switch) if b} for e in scene.elements}
        for q in [q for q in questions.ask(scene, rng) if q.kind == "locate"]:
            s = lessons.Sequence(codec)
            s.text("<|im_start|>user\n")
            s.picture(6, 8)
            s.question(q.text)
            s.answer(q.answer, q)
            s.guide(guides.of_picture(scene, boxes, s.visual))
            cell = {token: tuple(boxes[i]) for i, token in enumerate(s.visual)}
            for slot, token, rest in s.guides:
                assert all(t <= token for t in rest)
                if slot == "aim" and guides.absentee(q, scene):
                    assert rest == guides.NOWHERE
                elif slot == "aim":
                    assert {cell[t] for t in rest} == {tuple(q.box)}
                    seen += 1
                elif slot == "find" and guides.absentee(q, scene):
                    assert rest == guides.NOWHERE
                elif slot == "find":
                    assert any({cell[t] for t in rest} <= found for found in names.values())
                elif slot == "recall":
                    assert codec.decode(s.ids[rest[0]:rest[0] + 1]).strip()[-2:].lower() in q.text.lower()
                elif slot == "copy":
                    (source,) = rest
                    again = s.ids[source - 1] == s.ids[token] and s.ids[source] == s.ids[token + 1]
                    assert again or codec.decode([s.ids[source]]).strip(' "') == codec.decode([s.ids[token + 1]]).strip(' "')
    assert seen > 50


def test_a_thing_that_is_not_there_is_pointed_at_nowhere(codec):
    scene = scenes.Scene("shapes", 160, 160, [scenes.Element("star", "red star", (10, 10, 60, 60), "red", "star")])
    boxes = [scene.relative(scene.elements[0].box)] * 4 + [[-1] * 4] * 21
    for asked, answer, about, found in (("Is there a pink star?", "No, there is no pink star.", "pink star", False), ("What color is the star?", "The star is red.", None, True)):
        s = lessons.Sequence(codec)
        s.picture(5, 5)
        s.question(asked)
        s.answer(answer, Question("exists", asked, answer, about=(about,)))
        s.guide(guides.of_picture(scene, boxes, s.visual))
        looks = [rest for slot, _, rest in s.guides if slot in ("find", "aim")]
        assert looks and all((rest != guides.NOWHERE) is found for rest in looks)


def test_measured_attention_is_that_of_transformers(codec):
    shape = config.SMOKE.shape
    net = model.build(shape, codec.ids, text.VOCABULARY, seed=4).eval()
    net.set_attn_implementation("eager")
    rng = random.Random(2)
    scene = scenes.make("shapes", rng, 160, 160, FONTS, draw=False)
    head = questions.as_text(scene, rng)
    q = next(q for q in questions.ask(scene, rng) if q.kind == "locate")
    s = lessons.Sequence(codec)
    s.head = 0
    s.text(head)
    s.question(q.text)
    s.answer(q.answer, q)
    s.guide(guides.of_text(scene, head, codec.spans(head), s.head))
    batch, resting = lessons.collate([s], codec.ids["<|endoftext|>"]), {}
    with torch.no_grad():
        model.Forward(net).read(batch["ids"], batch["positions"], batch["mask"], guides=batch["guides"], resting=resting)
        ids = torch.tensor([s.ids])
        layers = net(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True).attentions
    assert "find" in resting
    for slot, logarithm in ((s, r) for s, r in resting.items() if s in guides.SLOTS):
        layer, number = guides.SLOTS[slot]
        tokens, rest = batch["guides"][slot]
        want = (layers[layer][0, number][tokens] * rest[:, :len(s.ids)]).sum(-1)
        assert torch.allclose(logarithm.exp(), want, atol=1e-5)
