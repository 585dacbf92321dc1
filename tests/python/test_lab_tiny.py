"""The embedded model's lab at smoke size: training resumes exactly, the fast forward is transformers' own, questions are
true, and the exported folder loads as a published checkpoint does. Skipped where torch is not installed."""

import dataclasses
import random
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")
np = pytest.importorskip("numpy")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab import pixels  # noqa: E402
from lab.tiny import clips, config, evaluate, export, fonts, goals, lessons, model, question, questions, scenes, text, train  # noqa: E402

try:
    FONTS = fonts.paths()
except RuntimeError:
    pytest.skip("no known font installed", allow_module_level=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder that holds the tokenizer, made once."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lab")
    text.load(folder)
    return folder


def in_new_folder(work, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((work / "tokenizer.json").read_bytes())
    return tmp_path


def phase_plan(name, steps, **changes):
    """The smoke plan with only one of its phases."""
    plan = config.with_steps(config.SMOKE, {name: steps})
    return dataclasses.replace(plan, phases=tuple(p for p in plan.phases if p.name == name), **changes)


@pytest.mark.parametrize("phase", ["senses", "all"])
def test_resumed_training_equals_uninterrupted(work, tmp_path, phase):
    plan = phase_plan(phase, 5, save_every=2)
    folder = in_new_folder(work, tmp_path)
    straight = train.Trainer(plan, folder)
    losses = [straight.take_step()["loss"] for _ in range(5)]
    # A kill after step 3 loses what came after the checkpoint of step 2.
    killed = train.Trainer(plan, folder)
    assert killed.step == 0
    killed.run(until=2)
    killed.take_step()
    resumed = train.Trainer(plan, folder)
    assert resumed.step == 2
    assert [resumed.take_step()["loss"] for _ in range(3)] == pytest.approx(losses[2:], rel=1e-6)
    assert len(set(losses)) == 5


def test_two_processes_equal_one(work, tmp_path, monkeypatch):
    """However the processes share the micro-batches, the step is the same up to the order of sums. In f32: short products round by the
    order too, and the optimiser gives directions of next to no gradient the same length as all others."""
    monkeypatch.setattr(model, "short_products", lambda: False)
    plan = phase_plan("all", 3, save_every=3)
    results = []
    for ranks in (1, 2):
        (tmp_path / str(ranks)).mkdir()
        folder = in_new_folder(work, tmp_path / str(ranks))
        trainer = train.Trainer(plan, folder, ranks)
        trainer.run()
        results.append(torch.load(trainer.file, weights_only=True))
    one, two = results
    assert one["step"] == two["step"] == 3
    begun = train.Trainer(plan, in_new_folder(work, tmp_path))
    for slot in begun.slots:
        moved = (one["weights"][slot.name] - slot.of(begun.shared.weights[0])).abs().max()
        apart = (one["weights"][slot.name] - two["weights"][slot.name]).abs().max()
        assert apart <= 0.01 * moved, slot.name


def test_branch_decays_and_leaves_the_run_alone(work, tmp_path):
    plan = phase_plan("senses", 4)
    folder = in_new_folder(work, tmp_path)
    train.Trainer(plan, folder).run()
    before = torch.load(folder / "state.pt", weights_only=True)
    branch = train.Trainer(plan, folder, branch=3)
    rates = []
    while branch.step < branch.end():
        rates.append(branch.rate())
        branch.take_step()
        branch.save()
    assert rates == sorted(rates, reverse=True) and len(rates) == 3 and rates[-1] < 0.5 * rates[0]
    again = train.Trainer(plan, folder, branch=3)
    assert again.step == again.end() == 7
    after = torch.load(folder / "state.pt", weights_only=True)
    assert all(torch.equal(before["weights"][k], after["weights"][k]) for k in before["weights"])


def test_packed_forward_equals_transformers(work):
    plan = config.SMOKE
    codec = text.Codec(text.load(work))
    net = model.build(plan.shape, codec.ids, text.VOCABULARY, seed=3).eval()
    fast, rng = model.Forward(net), random.Random(5)
    scene = scenes.make("shapes", rng, 288, 224, FONTS)
    patches = torch.from_numpy(scenes.patches(scene.image))
    grid = (scene.height // 16, scene.width // 16)
    asked = questions.ask(scene, rng)[:3]

    packed = lessons.Sequence(codec)
    packed.text("<|im_start|>user\n")
    packed.picture(grid[0] // 2, grid[1] // 2)
    start, spans = packed.next, []
    for i, q in enumerate(asked):
        packed.next, packed.segment = start, i + 1
        packed.question(q.text)
        spans.append((len(packed.ids), q))
        packed.answer(q.answer)
    batch = lessons.collate([packed], codec.ids["<|endoftext|>"])
    with torch.no_grad():
        _, merged, deep = fast.see(patches[None], *grid)
        hidden = fast.read(batch["ids"], batch["positions"], batch["mask"], batch["visual"], merged, deep)[0]
        for at, q in spans:
            single = lessons.Sequence(codec)
            single.text("<|im_start|>user\n")
            single.picture(grid[0] // 2, grid[1] // 2)
            single.question(q.text)
            single.answer(q.answer)
            ids = torch.tensor([single.ids])
            count = len(codec.encode(q.answer)) + 1
            pixels = (patches.float() / 127.5 - 1).view(-1, 3, 1, 256).expand(-1, 3, 2, 256).reshape(-1, 1536)
            net.model.rope_deltas = None
            want = net(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels,
                       image_grid_thw=torch.tensor([[1, *grid]]),
                       mm_token_type_ids=(ids == codec.ids["<|image_pad|>"]).int()).logits[0, -count - 1:-1]
            got = net.lm_head(hidden[at - 1:at - 1 + count])
            assert (got - want).abs().max() < 1e-4 * want.abs().max()


def test_clip_forward_equals_transformers(work):
    """Pairs of frames that differ, time stamps between them, positions of every pair: as the published model has them."""
    plan = config.SMOKE
    codec = text.Codec(text.load(work))
    net = model.build(plan.shape, codec.ids, text.VOCABULARY, seed=3).eval()
    fast, clip = model.Forward(net), clips.make(random.Random(8), 128, 96, 3)
    assert any((clip.frames[0] != f).any() for f in clip.frames)
    question = clips.ask(clip, random.Random(1))[0]
    lesson = lessons.clip_sequence(codec, clip, [question])
    batch = lessons.collate([lesson], codec.ids["<|endoftext|>"])
    patches, count = torch.from_numpy(clips.patches(clip)), len(lesson.ids)
    with torch.no_grad():
        _, merged, deep = fast.see(patches, 6, 8)
        got = net.lm_head(fast.read(batch["ids"], batch["positions"], batch["mask"], batch["visual"], merged, deep)[0, :count])
        ids = torch.tensor([lesson.ids])
        net.model.rope_deltas = None
        want = net(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values_videos=(patches.float() / 127.5 - 1).reshape(-1, 1536),
                   video_grid_thw=torch.tensor([[3, 6, 8]]), mm_token_type_ids=2 * (ids == codec.ids["<|video_pad|>"]).int()).logits[0]
    assert (got - want).abs().max() < 1e-4 * want.abs().max()


def test_clips_tell_the_truth():
    for seed in range(30):
        clip = clips.make(random.Random(seed), 96, 96, 4)
        for e in clip.events:
            if any(e.move):
                continue
            x, y = (int(v) for v in e.start)
            for i, frame in enumerate(clip.frames):
                near = abs(frame[y, x].astype(int) - e.colour).sum() < 60
                assert near == (e.first <= i // 2 <= e.last), (seed, e.name, i)


def test_prompt_is_the_template(work):
    """A lesson's tokens are what the chat template and the processor would make of the same conversation."""
    import jinja2
    codec = text.Codec(text.load(work))
    lesson = lessons.Sequence(codec)
    lesson.text("<|im_start|>user\n")
    lesson.picture(1, 1)
    lesson.question("What is this?")
    template = jinja2.Environment().from_string(text.TEMPLATE.read_text(encoding="utf-8"))
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    wanted = template.render(messages=[{"role": "user", "content": content}], add_generation_prompt=True)
    assert codec.decode(lesson.ids) == wanted
    assert tuple(lesson.ids) == codec.encode(wanted)


def test_questions_are_true():
    rng, kinds = random.Random(11), set()
    for _ in range(40):
        scene = scenes.make("shapes", rng, 256, 256, FONTS, draw=False)
        names = [e.name for e in scene.elements]
        for q in questions.ask(scene, rng):
            kinds.add(q.kind)
            if q.kind == "count" and "shapes" in q.answer and q.answer.split()[2].isdigit() and q.text.lower().startswith("how many shapes"):
                assert int(q.answer.split()[2]) == len(names)
            if q.kind == "locate" and " " in q.answer:
                (box, label), = evaluate.parsed_boxes(q.answer)
                at = [scene.relative(e.box) for e in scene.elements if e.name.endswith(label)]
                assert at == [box]
            if q.kind == "not there":
                assert q.answer.removeprefix("There is no ").rstrip(".") not in names
    assert {"count", "locate", "describe", "relation", "all boxes"} <= kinds


def test_favoured_kinds_come_first_and_skipped_ones_never(work):
    phase, rng = dataclasses.replace(config.SMOKE.phases[0], favour=("locate",), skip=("count",), share=5), random.Random(7)
    teacher, with_place = lessons.Lessons(config.SMOKE, text.Codec(text.load(work)), work), 0
    for _ in range(40):
        scene = scenes.make("shapes", rng, 160, 160, FONTS)
        kinds = [q.kind for q in teacher.ask(phase, scene, rng)]
        assert "count" not in kinds and 0 < len(kinds) <= 5
        if "locate" in kinds:
            with_place += 1
            assert kinds[0] == "locate"
    assert with_place > 20


def test_targets_point_at_their_cells():
    scene = scenes.make("settings", random.Random(2), 256, 256, FONTS)
    target = scenes.targets(scene)
    assert target["characters"].shape == (256, 4) and target["kind"].shape == (64,)
    columns = 256 // 32
    for e in scene.elements:
        if e.switch:
            x, y = (e.switch[0] + e.switch[2]) / 2, (e.switch[1] + e.switch[3]) / 2
            assert list(target["box"][int(y / 32) * columns + int(x / 32)]) == scene.relative(e.switch)


def test_a_picture_is_brought_to_an_area_with_all_that_is_known_of_it():
    rng = random.Random(5)
    fine = 0
    for kind in ("settings", "page", "note", "shapes") * 3:
        scene = scenes.make(kind, rng, 224, 160, FONTS)
        high, wide = pixels.smart_resize(160, 224, 32, 120_000, 184_320)
        large = scene.enlarged(wide, high)
        fine += scene.fine is not None
        assert large.image.shape == (high, wide, 3) and (large.width, large.height) == (wide, high)
        for a, b in zip(scene.elements, large.elements):
            assert max(abs(x - y) for x, y in zip(scene.relative(a.box), large.relative(b.box))) <= 1 and (a.name, a.on) == (b.name, b.on)
            assert (a.switch is None) == (b.switch is None)
        assert [c for _, _, c in scene.characters] == [c for _, _, c in large.characters]
        assert all(0 <= x < wide and 0 <= y < high for x, y, _ in large.characters)
        # The same picture: shrunk again it is near the small one.
        again = np.asarray(Image.fromarray(large.image).resize((224, 160), Image.BICUBIC)).astype(int)
        assert np.abs(again - scene.image).mean() < 8
    assert 0 < fine < 12


def test_exported_folder_answers(work, tmp_path):
    """Untrained weights answer nonsense, but through the published classes and files."""
    plan = phase_plan("all", 1)
    folder = in_new_folder(work, tmp_path)
    train.Trainer(plan, folder).run()
    out = export.folder(plan, folder, tmp_path / "instruct", "state.pt")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json",
                 "video_preprocessor_config.json", "generation_config.json", "chat_template.jinja"):
        assert (out / name).stat().st_size > 0
    (tmp_path / "again").mkdir()
    train.adopt(plan, tmp_path / "again", out, 7)
    again = train.Trainer(plan, tmp_path / "again")
    assert again.step == 7
    begun = torch.load(folder / "state.pt", weights_only=True)["weights"]
    name = "model.visual.blocks.0.attn.qkv.weight"
    assert torch.equal(dict(again.model.named_parameters())[name], begun[name].to(torch.bfloat16).float())
    items = evaluate.held_out(1)
    answers = evaluate.Answerer(out)([(i.question.text, i.image) for i in items if i.image is not None][:2], limit=4)
    assert len(answers) == 2
    pair = export.gguf_files(plan, out, tmp_path / "gguf", "Q8_0")
    assert all(f.stat().st_size > 1000 for f in pair)


def test_scores_count_only_what_is_right():
    item = evaluate.Item("shapes: locate", question.Question("locate", "", "", box=[100, 100, 300, 300]))
    assert evaluate.score(item, '[{"bbox_2d":[110,110,300,300],"label":"x"}]') == {"centre inside": 1.0, "IoU > 0.5": 1.0}
    assert evaluate.score(item, '[{"bbox_2d":[500,500,900,900],"label":"x"}]') == {"centre inside": 0.0, "IoU > 0.5": 0.0}
    assert evaluate.score(item, "There is no x.") == {"centre inside": 0.0, "IoU > 0.5": 0.0}
    page = evaluate.Item("page: page to HTML", question.Question("page to HTML", "", "```html\n<h1>Red house</h1>\n<p>It rains.</p>\n```"), None)
    assert evaluate.score(page, page.question.answer) == {"tags exact": 1.0, "characters alike": 1.0}
    near = evaluate.score(page, "```html\n<h1>Red horse</h1>\n<p>It rains.</p>\n```")
    assert near["tags exact"] == 1 and 0.9 < near["characters alike"] < 1
    assert evaluate.score(page, "```html\n<h1>Red house It rains.</h1>\n```") == {"tags exact": 0.0, "characters alike": 1.0}
    form = evaluate.Item("form: form to JSON", question.Question("form to JSON", "", '{"Name": "Ann", "City": "Oslo"}'), None)
    assert evaluate.score(form, '{"Name": "Ann", "City": "Rome"}') == {"exact": 0.0, "fields right": 0.5}
    assert evaluate.score(form, '{"Name": "Ann", "City": "Oslo", "Age": "3"}')["fields right"] < 0.7
    assert evaluate.score(form, "[1]") == evaluate.score(form, "Ann, Oslo") == {"exact": 0.0, "fields right": 0.0}


def test_goals_are_read_off_the_examination():
    results = {"shapes: locate": {"centre inside": 1.0, "IoU > 0.5": 0.5, "n": 10}, "settings: locate": {"centre inside": 0.5, "IoU > 0.5": 0.5, "n": 30},
               "browser, home: locate": {"centre inside": 0.9, "IoU > 0.5": 0.8, "n": 10}, "clip: not there": {"exact": 0.0, "n": 9}, "shapes: not there": {"exact": 1.0, "n": 9}}
    found = {(task, goal): (value, n) for task, goal, value, n in goals.reached(results)}
    assert found["locate a named element: centre inside", 0.95] == (0.625, 40)
    assert found["the same, drawn by others", 0.80] == (0.9, 10) and found["not there", 0.90] == (1.0, 9)
    assert len(found) == 5 and goals.table({}) == "" and "| 62 % | 40 |" in goals.table(results)
