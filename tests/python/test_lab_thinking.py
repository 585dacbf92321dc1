"""The Thinking checkpoint's lab: reasoning is true and leads to the answer, lessons are laid out as the published template renders
them, and the plan adopts the Instruct weights, resumes exactly and leaves the eyes alone. Skipped where torch is not installed."""

import dataclasses
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

from lab.tiny import actions, chat, chinese, clips, config, evaluate, export, fonts, guides, lessons, pages, questions, samples, scenes, text, thinking, train, words  # noqa: E402

try:
    FONTS = fonts.paths()
except RuntimeError:
    pytest.skip("no known font installed", allow_module_level=True)

KINDS = [k for k in scenes.MAKERS if k != "crop"]
NAMES = re.compile(r"\b(?:" + "|".join(words.COLOURS) + r") (?:" + "|".join(words.SHAPES) + r")\b")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lab")
    text.load(folder)
    return folder


@pytest.fixture(scope="module")
def codec(work):
    return text.Codec(text.load(work))


def all_about(scene, rng):
    return questions.ask(scene, rng) + actions.ask(scene, rng) + chinese.ask(scene, rng)


def thought_of(q, scene=None):
    thought = thinking.reason(q, scene)
    assert thought.text == thought.text.strip() and "\n" not in thought.text and "<" not in thought.text
    assert all(0 <= a < b <= len(thought.text) for a, b, _ in thought.looks)
    return thought.text


def page_scenes(rng, count):
    """Web pages and documents as the browser's store would hold them, without a browser: only their truth is asked about."""
    class Style:
        size, line, accent, card = 14, "", "", ""

        def button(self, name):
            return ""
    for i in range(count):
        for kind, make in (("page", pages.page), ("document", pages.document)):
            yield scenes.Scene(kind, 320, 256, facts=make(rng, Style(), 320, 256, words.TRAIN_WORDS)[1])


def test_every_question_has_a_short_thought():
    rng, seen = random.Random(5), set()
    for _ in range(25):
        made = [scenes.make(kind, rng, 256, 224, FONTS, draw=False) for kind in KINDS]
        for scene in [*made, *page_scenes(rng, 1)]:
            for q in all_about(scene, rng):
                seen.add(q.kind)
                assert 0 < len(thought_of(q, scene)) < 320
        clip = clips.make(rng, 96, 96, rng.randint(2, 6))
        for q in clips.ask(clip, rng):
            seen.add(q.kind)
            assert 0 < len(thought_of(q, clip)) < 200
        for q in [*chat.questions(rng, 6), *chat.recall(rng, 4, words.invented)[1], chinese.chat(rng)]:
            seen.add(q.kind)
            assert 0 < len(thought_of(q)) < 120
    assert {*thinking.PICTURES, *thinking.PLAIN} <= seen and sum(k.startswith("clip: ") for k in seen) == 8 and sum(k.startswith("zh: ") for k in seen) == 7


def test_thoughts_about_shapes_are_true():
    """Names, counts and places are checked against the elements' names and boxes, not with the code that words them."""
    rng, checked = random.Random(17), dict.fromkeys(("names", "counts", "places", "percents"), 0)
    for _ in range(80):
        scene = scenes.make("shapes", rng, *rng.choice([(256, 256), (320, 192)]), FONTS, draw=False)
        names = [e.name for e in scene.elements]
        centre = {e.name: ((e.box[0] + e.box[2]) / 2 / scene.width, (e.box[1] + e.box[3]) / 2 / scene.height) for e in scene.elements if names.count(e.name) == 1}
        for q in questions.ask(scene, rng):
            said = thought_of(q, scene)
            if q.kind in ("exists", "not there"):
                shape = q.about[0].split(" ")[1]
                assert ("I see no" in said) == (not any(n.endswith(shape) for n in names))
                assert sorted(NAMES.findall(said.split("I see")[1])) == sorted(n for n in names if n.endswith(shape))
                checked["names"] += 1
            elif q.kind in ("count", "all boxes"):
                listed = said.split(".")[1]
                assert NAMES.findall(listed) == names
                counted = re.findall(r"\((\d+)\)", said)
                assert counted == [str(i + 1) for i in range(len(counted))]
                if q.kind == "count":
                    assert int((re.findall(r"\d+", q.answer) or ["0"])[0]) == len(counted)
                    checked["counts"] += 1
            elif q.kind in ("locate", "point"):
                row, column = (re.search(rf"({'|'.join(side)})", said.split("It is")[1]) for side in (("top", "middle", "bottom"), ("left", "center", "right")))
                x, y = ((q.box[i] + q.box[i + 2]) / 2000 for i in (0, 1))
                for found, value, side in ((column, x, ("left", "center", "right")), (row, y, ("top", "middle", "bottom"))):
                    third = side.index(found[1]) if found else 1
                    assert third / 3 - 0.002 <= value <= (third + 1) / 3 + 0.002
                checked["places"] += 1
            elif q.kind == "relation":
                axis = 0 if "left" in said else 1
                a, b = NAMES.findall(said)
                first, second = (int(p) for p in re.findall(r"(\d+) %", said))
                assert abs(first - 100 * centre[a][axis]) <= 0.51 and abs(second - 100 * centre[b][axis]) <= 0.51
                near = "left" if axis == 0 else "above"
                assert (near in q.answer) == (first < second)
                checked["percents"] += 1
    assert all(count > 30 for count in checked.values()), checked


def test_thoughts_about_screens_clips_and_sums_are_true():
    rng, states, times, moves, sums = random.Random(23), 0, 0, 0, 0
    for _ in range(60):
        scene = scenes.make("settings", rng, 256, 256, FONTS, draw=False)
        order = [e.name for e in sorted(scene.elements, key=lambda e: e.box[1])]
        state = {e.name: e.on for e in scene.elements}
        for q in questions.ask(scene, rng):
            said = thought_of(q, scene)
            if q.kind == "switch state":
                name, row, count, side = re.fullmatch(r"I need the state of (.*)\. It is row (\d) of (\d)\. The knob of its switch is on the (left|right)\.", said).groups()
                assert order[int(row) - 1] == name and int(count) == len(order) and state[name] == (side == "right")
                states += 1
            if q.kind == "which on":
                told = re.findall(r"(?:: |, )(.*?) (on|off)(?=[,.])", said)
                assert told == [(n, "on" if state[n] else "off") for n in order if state[n] is not None]
        for q in actions.ask(scene, rng):
            if q.about[0] == "turn":
                name, now, wanted = re.match(r"(.*) is (on|off) and should be (on|off)\.", thought_of(q, scene)).groups()
                assert state[name] == (now == "on") and now != wanted and f"{name}" in q.text and re.search("off|Disable" if wanted == "off" else " on|Enable", q.text)
        clip = clips.make(rng, 96, 96, rng.randint(2, 8))
        for q in clips.ask(clip, rng):
            said = thought_of(q, clip)
            if q.kind in ("clip: when", "clip: order"):
                shown = dict(zip(NAMES.findall(said), [[float(t) for t in re.findall(r"([\d.]+) seconds", said)]] if q.kind == "clip: when" else
                                 [[float(t)] for t in re.findall(r"([\d.]+) seconds", said)]))
                for e in clip.events:
                    if e.name in shown:
                        pairs = [i for i, t in enumerate(clip.stamps()) if round(t, 1) in shown[e.name]]
                        assert pairs[0] == e.first and pairs[-1] == (e.last if q.kind == "clip: when" else e.first)
                        times += 1
            if q.kind == "clip: motion":
                begins, ends = re.search(r"at the (\w+), at last at the (\w+)\.", said).groups()
                assert {"to the right": ("left", "right"), "to the left": ("right", "left"), "down": ("top", "bottom"), "up": ("bottom", "top")}[
                    re.search("to the right|to the left|down|up", q.answer)[0]] == (begins, ends)
                moves += 1
        for q in chat.questions(rng, 8):
            if q.kind == "sum":
                said = thought_of(q)
                assert all(eval(left) == int(right) for left, right in re.findall(r"([\d +-]+) = (\d+)", said))
                ones, tens = (re.search(rf"{part}: [^=]*= (\d+)", said) for part in ("Ones", "Tens"))
                result = int(re.search(r"= (\d+)\.$", q.answer)[1])
                assert result == (10 * int(tens[1]) + int(ones[1]) % 10 if tens else int(ones[1]))
                sums += 1
    assert states > 60 and times > 40 and moves > 5 and sums > 40


def rendered(messages, prompt=False) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template
    template = text.THINKING_TEMPLATE.read_text(encoding="utf-8")
    return render_jinja_template(conversations=[messages], chat_template=template, add_generation_prompt=prompt)[0][0]


def conversation(asked, grid, head=""):
    messages = [{"role": "system", "content": asked[0].system}] if asked[0].system else []
    for i, q in enumerate(asked):
        content = [{"type": "text", "text": ("" if i else head) + q.text}]
        if i == 0 and grid:
            content.insert(0, {"type": "image"})
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": q.answer, "reasoning_content": q.reasoning.text}]
    return messages


def test_lessons_are_the_thinking_template(codec):
    """Token for token, pictures, tool calls, several turns (reasoning in the last one only), written scenes and pages' code."""
    rng, several, kinds = random.Random(9), 0, set()
    cases = [(scenes.make(kind, rng, 256, 192, FONTS, draw=False), (6, 8)) for kind in KINDS for _ in range(6)]
    cases += [(scene, (6, 8)) for scene in page_scenes(rng, 3)]
    for scene, grid in cases:
        for asked in (questions.ask(scene, rng), actions.ask(scene, rng), chinese.ask(scene, rng)):
            asked = asked[:4]
            for q in asked:
                q.reasoning = thinking.reason(q, scene)
                kinds.add(q.kind)
            if not asked:
                continue
            for form, head in ((0.2, ""), (0.9, questions.as_text(scene, rng) if scene.kind in KINDS else ""), (0.9, "")):
                class Fixed(random.Random):
                    def random(self):
                        return form
                place = None if head else grid
                some = asked if form < 0.3 else asked[:1]
                lesson = lessons.sequence(codec, Fixed(), some, place, head)
                wanted = rendered(conversation(some, place, head)).removesuffix("\n")
                if place:
                    wanted = wanted.replace("<|image_pad|>", "<|image_pad|>" * (grid[0] * grid[1]))
                assert codec.decode(lesson.ids) == wanted
                # The last answer's free parts are spelled where there is a picture, all else is cut as the tokenizer cuts it.
                at, last = wanted.rindex(some[-1].answer), some[-1]
                spelled = codec.spelled(last.answer, last.free if place else ())[0]
                assert tuple(lesson.ids) == codec.encode(wanted[:at]) + spelled + codec.encode(wanted[at + len(last.answer):])
                several += len(some) > 1
                # What is taught begins where the prompt ends.
                start = lesson.thoughts[-1][0]
                prompt = rendered(conversation(some, place, head)[:-1], prompt=True)
                if place:
                    prompt = prompt.replace("<|image_pad|>", "<|image_pad|>" * (grid[0] * grid[1]))
                assert codec.decode(lesson.ids[:start]) == prompt and lesson.targets[start] == lesson.ids[start] and lesson.targets[start - 1] == -100
    assert several > 20 and {"action", "page to HTML", "form to JSON", "locate", "zh: locate"} <= kinds


@pytest.mark.parametrize("kind", ["shapes", "settings", "home"])
def test_guides_point_within_answer_and_reasoning(codec, kind):
    """The answer's guides are those of the plain lesson, moved by the reasoning's length; the reasoning's aim at what it speaks of."""
    aimed = 0
    for seed in range(6):
        rng = random.Random(seed)
        scene = scenes.make(kind, rng, 256, 192, FONTS)
        boxes = scenes.targets(scene)["box"].tolist()
        for q in questions.ask(scene, rng):
            found = []
            for think in (False, True):
                q.reasoning = thinking.reason(q, scene) if think else None
                s = lessons.Sequence(codec)
                s.picture(6, 8)
                s.turn(q)
                s.guide(guides.of_picture(scene, boxes, s.visual))
                found.append(s)
            plain, thought = found
            start, end, _ = thought.thoughts[0]
            moved = len(thought.ids) - len(plain.ids)
            first = plain.answers[0][0]
            shift = lambda token: token + moved if token >= first - 1 else token
            assert {(slot, shift(token), tuple(rest)) for slot, token, rest in plain.guides} <= {(slot, token, tuple(rest)) for slot, token, rest in thought.guides}
            cell = {token: boxes[i] for i, token in enumerate(thought.visual)}
            spans = codec.spans(q.reasoning.text)
            for slot, token, rest in thought.guides:
                assert all(t <= token for t in rest)
                if slot == "aim" and start - 1 <= token < start + len(spans) - 1:
                    a = spans[token + 1 - start][0]
                    about = [box for first, last, things in q.reasoning.looks if first <= a < last for box in things]
                    assert all(cell[t] in about for t in rest)
                    aimed += 1
    assert aimed > 100


def smoke_plan(steps=4):
    return config.with_steps(dataclasses.replace(config.SMOKE_THINKING, save_every=2), {"think": steps})


@pytest.fixture(scope="module")
def instruct(work, tmp_path_factory):
    """An exported Instruct folder of one step."""
    folder = tmp_path_factory.mktemp("instruct")
    (folder / "tokenizer.json").write_bytes((work / "tokenizer.json").read_bytes())
    plan = config.with_steps(config.SMOKE, {"senses": 0, "all": 1})
    train.Trainer(plan, folder).run()
    return export.folder(plan, folder, folder / "out", "state.pt")


def test_thinking_run_resumes_and_keeps_the_eyes(instruct, tmp_path):
    plan = smoke_plan()
    train.adopt(plan, tmp_path, instruct, 0)
    begun = torch.load(tmp_path / "state.pt", weights_only=True)["weights"]
    straight = train.Trainer(plan, tmp_path)
    rates, reports = [], []
    for _ in range(4):
        rates.append(straight.rate())
        reports.append(straight.take_step())
    losses = [r["loss"] for r in reports]
    killed = train.Trainer(plan, tmp_path)
    killed.run(until=2)
    killed.take_step()
    resumed = train.Trainer(plan, tmp_path)
    assert resumed.step == 2
    assert [resumed.take_step()["loss"] for _ in range(2)] == pytest.approx(losses[2:], rel=1e-6)
    assert len(set(losses)) == 4 and rates[-1] < rates[-2] < rates[-3] and "thought" in reports[0]
    resumed.save()
    after = torch.load(tmp_path / "state.pt", weights_only=True)["weights"]
    changed = {name for name in begun if not torch.equal(begun[name], after[name])}
    assert any(".language_model.layers" in name for name in changed)
    assert not any(".visual." in name or name.startswith("heads.") for name in changed)


def test_thinking_folder_reasons_in_the_published_form(instruct, tmp_path):
    plan = smoke_plan(1)
    train.adopt(plan, tmp_path, instruct, 0)
    train.Trainer(plan, tmp_path).run()
    out = export.folder(plan, tmp_path, tmp_path / plan.form)
    assert (out / "chat_template.jinja").read_text(encoding="utf-8").rstrip().endswith("{%- endif %}")
    assert rendered([{"role": "user", "content": "Hi"}], prompt=True).endswith("<|im_start|>assistant\n<think>\n")
    assert {p.name for p in out.iterdir()} == {p.name for p in instruct.iterdir()}
    same = ("config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json")
    assert all((out / name).read_bytes() == (instruct / name).read_bytes() for name in same)
    answerer = evaluate.Answerer(out)
    assert answerer.thinks and not evaluate.Answerer(instruct).thinks
    answer, = answerer([("Hi", None)], limit=1)
    assert answer.reasoning is not None


def test_answers_come_after_the_reasoning():
    ended = evaluate.after_reasoning("I look for the star. It is in the center.\n</think>\n\nThe star is red.")
    assert (ended, ended.reasoning, ended.ended) == ("The star is red.", "I look for the star. It is in the center.", True)
    cut = evaluate.after_reasoning("I look for the star. It")
    assert (cut, cut.reasoning, cut.ended) == ("", "I look for the star. It", False)


def test_figures_of_both_checkpoints_go_into_the_card(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(f"# Card\n{samples.MARKS[0]}\nold\n{samples.MARKS[1]}\n\n{samples.BEFORE}\n\nSmall.\n", encoding="utf-8")
    first, second = {"shapes: count": {"exact": 0.5, "n": 4}}, {"reasoning": {"ended": 0.75, "n": 4}}
    for _ in range(2):
        samples.fill_card(card, first)
        samples.fill_card(card, second, samples.THINKING_MARKS)
    told = card.read_text(encoding="utf-8")
    assert told.count("exact 50 %") == told.count("ended 75 %") == told.count("## The Thinking checkpoint") == 1 and "old" not in told
    assert told.index("exact") < told.index("ended") < told.index(samples.BEFORE) and told.endswith("Small.\n")
