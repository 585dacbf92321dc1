"""Guides of attention: they point at the named thing, and the attention that training measures is transformers' own."""

import random
import re
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("PIL")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab.tiny import chat, config, fonts, guides, lessons, model, questions, scenes, several, text, words  # noqa: E402
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


def test_a_name_is_copied_with_a_space_before_it_and_without(codec):
    asked, answer = "Locate the Mouse row.", '[{"label":"Mouse row","bbox_2d":[1,2,3,4]}]'
    found = guides.copies(codec, asked, 0, (codec.encode(answer), answer, codec.spans(answer)), 100)
    pairs = {(codec.decode([codec.encode(asked)[source]]), codec.decode([codec.encode(answer)[token + 1 - 100]])) for _, token, (source,) in found}
    assert (" Mouse", "Mouse") in pairs or any(a.strip() == b.strip() and "Mouse".startswith(b.strip()) for a, b in pairs)
    spaced, plain = codec.spaced()
    assert len(spaced) > 400 and all(codec.decode([a]) == " " + codec.decode([b]) for a, b in list(zip(spaced, plain))[::50])


def test_a_planted_fact_is_quoted_piece_by_piece_over_any_distance(codec):
    for seed in range(5):
        rng = random.Random(seed)
        head, asked = chat.recall(rng, 9, words.invented)
        s = lessons.sequence(codec, rng, asked, head=head, room=8000)
        assert s.ids[s.head:s.head + len(codec.encode(head))] == list(codec.encode(head))
        span = [p[0] for p in s.positions[s.head:s.asked[0][0] + 1]]
        assert span == sorted(span) and span[-1] - span[0] - len(codec.encode(head)) == 8000
        for at, start, q in s.asked:
            found = guides.guide_recall(q, (s.head, codec.spans(head), head), (at, codec.spans(q.text)), (start, codec.spans(q.answer)))
            quotes = [(token, rest) for slot, token, rest in found if slot == "quote"]
            assert quotes and all(s.ids[rest[0]] == s.ids[token + 1] for token, rest in quotes)
            assert codec.decode([s.ids[token + 1] for token, _ in quotes]).strip() == q.about[1]


def test_questions_about_several_pictures_look_at_the_right_one(codec):
    rng, grid = random.Random(3), (5, 5)
    made = [scenes.make(kind, rng, 160, 160, FONTS) for kind in ("shapes", "shapes", "settings")]
    boxes = [scenes.targets(s)["box"].tolist() for s in made]
    asked = several.ask(made, rng)
    assert {q.kind for q, _ in asked} >= {"which picture", "pictures", "which kind"}
    s = lessons.several_sequence(codec, asked, lambda visual, i: guides.of_picture(made[i], boxes[i], visual), grid, 3)
    assert len(s.visual) == 75 and max(s.visual) < s.asked[0][0]
    owner = {token: picture for picture in range(3) for token in s.visual[picture * 25:(picture + 1) * 25]}
    wanted = {}
    for (at, start, q), (_, picture) in zip(s.asked, asked):
        for token in (*range(at, at + len(codec.encode(q.text))), *range(start - 1, start + len(codec.encode(q.answer)))):
            wanted[token] = picture
    looks = [(token, rest) for slot, token, rest in s.guides if slot in ("find", "aim") and rest != guides.NOWHERE]
    assert len(looks) > 30 and all({owner[t] for t in rest} == {wanted[token]} for token, rest in looks)


def test_what_is_written_is_read_cell_by_cell(codec):
    """Each piece of an answer that stands in the picture looks at the cells where its characters are drawn."""
    rng, seen = random.Random(8), 0
    for kind in ("sign", "dialog", "settings", "form", "page", "document", "note") * 3:
        scene = scenes.make(kind, rng, 256, 224, FONTS)
        boxes = scenes.targets(scene)["box"].tolist()
        asked = [q for q in questions.ask(scene, rng) if q.kind in ("read", "title", "list", "value", "form to JSON", "page to HTML")]
        for q in asked:
            s = lessons.Sequence(codec)
            s.picture(7, 8)
            s.turn(q)
            s.guide(guides.of_picture(scene, boxes, s.visual))
            for slot, token, rest in s.guides:
                if slot != "read":
                    continue
                seen += 1
                piece = codec.decode([s.ids[token + 1]]).strip(' "')
                if q.free and not re.search(r"\w", piece):      # the look that ends a word
                    assert len(rest) == 1
                    continue
                cells = [s.visual.index(t) for t in rest]
                drawn = "".join(c for x, y, c in scene.characters if int(y // 32) * 8 + int(x // 32) in cells)
                assert any(c in drawn for c in piece), (q.answer, piece, drawn)
                assert set(re.sub(r"[^\w]", "", piece)) <= set(drawn), (q.answer, piece, drawn)
    assert seen > 150


def test_free_text_is_spelled_and_reads_one_cell_a_letter(codec):
    rng, spelled = random.Random(5), 0
    for kind in ("note", "page", "document", "sign") * 4:
        scene = scenes.make(kind, rng, 256, 224, FONTS)
        for q in questions.ask(scene, rng):
            ids, spans = codec.spelled(q.answer, q.free)
            assert codec.decode(ids) == q.answer and [q.answer[a:b] for a, b in spans] == [codec.decode([i]) for i in ids]
            covered = {a for a, b in spans if b == a + 1}
            at = 0
            for part in q.free:
                at = q.answer.index(part, at)
                assert set(range(at, at + len(part))) <= covered
                at += len(part)
                spelled += 1
            # In an earlier turn the answer is text like any other, and no target.
            s = lessons.Sequence(codec)
            s.picture(7, 8)
            s.turn(q, last=False)
            assert tuple(s.ids[s.asked[0][1]:-1]) == codec.encode(q.answer)
            assert (s.targets[-1] == -100) == bool(q.free)
    assert spelled > 80


def test_counting_looks_at_the_middle_of_each_thing_once(codec):
    seen = set()
    for seed in range(8):
        rng = random.Random(seed)
        scene = scenes.make("shapes", rng, 256, 192, FONTS)
        target = scenes.targets(scene)
        middles = [i for i, m in enumerate(target["middle"]) if m]
        for q in [q for q in questions.ask(scene, rng) if q.kind == "count"]:
            s = lessons.Sequence(codec)
            s.text("<|im_start|>user\n")
            s.picture(6, 8)
            s.question(q.text)
            start = len(s.ids)
            s.answer(q.answer, q)
            s.guide(guides.of_picture(scene, target["box"].tolist(), s.visual))
            number = int(re.search(r"\d+", q.answer).group()) if re.search(r"\d", q.answer) else 0
            looks = {}
            for slot, token, rest in s.guides:
                if slot == "count":
                    looks.setdefault(token, []).append(rest)
            assert start - 1 in looks and all(len(found) == number + 1 and found[0] == guides.NOWHERE for found in looks.values())
            # The last of them is the one that says the number.
            assert codec.decode([s.ids[max(looks) + 1]]).strip() in (str(number), "no")
            for found in looks.values():
                cells = [s.visual.index(rest[0]) for rest in found[1:]]
                assert set(cells) <= set(middles)
                if not q.about:
                    assert set(cells) == set(middles)
            seen.add(number)
    assert {0, 1, 2} <= seen


def test_filler_counts_many_times_but_not_nearby_and_never_the_facts(codec):
    for seed in range(5):
        rng = random.Random(seed)
        head, asked = chat.recall(rng, 20, words.invented)
        s = lessons.sequence(codec, rng, asked, head=head).guide()
        s.lengthened(head, rng)
        plain = lessons.sequence(codec, random.Random(seed), asked, head=head).guide()
        part = lessons.collate([s, plain], 0)
        added = part["mask"][0, 0] - torch.where(part["mask"][0, 0] < -1e3, lessons.MASKED, 0.0)
        assert 1 < s.often <= lessons.LONGEST / len(codec.spans(head)) and float(part["mask"][1].max()) == 0
        filler = set(s.filler)
        planted = "".join(line + "\n" for line in head.split("\n") if "code of the" in line)
        assert codec.decode([i for at, i in enumerate(s.ids) if s.head <= at < s.head + len(codec.spans(head)) and at not in filler]) == planted
        for row in (s.filler[-1], len(s.ids) - 1):
            for column in range(row + 1):
                wanted = torch.tensor(s.often).log() if column in filler and row - column > lessons.NEAR else 0.0
                assert float(added[row, column]) == pytest.approx(float(wanted), abs=1e-3)
