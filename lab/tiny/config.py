"""Plans: the model's shape and the phases of its training. Every number a run depends on is here.

A run is one long row of steps at a constant rate, and phases only change what is taught; a shipped checkpoint is a short
branch off that row in which the rate falls (warm-up, stable, decay). So a run goes on for as many sittings as one has, and
nothing is ever trained twice. Batches are a pure function of (seed, phase, step, part): a run stops and goes on anywhere.
"""

import dataclasses
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen3VLForConditionalGeneration (see its config for the meaning of each)."""
    vision_hidden: int = 192
    vision_layers: int = 5
    vision_heads: int = 3
    vision_ffn: int = 512
    taps: tuple = (1, 2, 3)          # vision layers whose output goes into decoder layers 0, 1, 2
    position_side: int = 16          # learned position table, side x side
    hidden: int = 192
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 512
    mrope_section: tuple = (12, 10, 10)
    rope_theta: float = 10000.0
    max_positions: int = 32768


# Picture sizes (width, height) with their share.
SMALL = {(160, 160): 4, (192, 160): 3, (160, 192): 2, (192, 128): 2, (128, 192): 1, (192, 192): 2, (224, 160): 1, (256, 128): 1}
FULL = {(256, 256): 4, (288, 224): 3, (320, 256): 3, (256, 320): 1, (256, 224): 2, (224, 256): 1}       # 56 to 80
LITTLE = {(192, 160): 2, (224, 160): 3, (192, 192): 2, (256, 160): 2, (256, 192): 2}      # screens of few things
WIDE = (110_000, 184_320)        # areas to which small pictures are brought: around what the processor makes of them
LARGE = {(384, 320): 2, (416, 320): 2, (384, 384): 1, (480, 384): 2, (448, 320): 1, (512, 384): 1, (640, 480): 1, (800, 600): 1}      # text stays small, or gets so where the processor shrinks them
CROP = (128, 96)
LINES = {(128, 96): 2, (160, 96): 3, (192, 96): 3, (192, 64): 2, (160, 64): 2, (224, 64): 2, (256, 64): 1}     # lessons in reading: a line or two


@dataclass(frozen=True)
class Mix:
    """Scenes that may share a micro-batch: kind -> weight, (width, height) -> weight, and the share of such batches."""
    kinds: dict
    sizes: dict
    weight: float = 1.0
    written: bool = True             # such scenes are also told as text
    areas: tuple = ()                # pictures are brought to an area between these, in pixels; (): they stay as drawn


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with the same lessons.

    parts: (task, micro-batches a step); turns: such rows for the steps in turn, instead of `parts`. Tasks: "look" pictures with questions; "see" pictures for the auxiliary heads alone;
    "crops" dense text for the heads; "clips" short clips with questions; "recall" scenes written as text and plain chat.
    """
    name: str
    steps: int
    parts: tuple
    mixes: tuple
    turns: tuple = ()
    rate: float = 3e-3               # Muon rate; AdamW takes half of it
    vision_rate: float = 1.0         # factor on the vision tower's rates; 0: it stays as it is, then `auxiliary` must be 0 too
    joint_rate: float = 1.0          # factor on the rates of the mergers and of the auxiliary heads
    cells: int = 256                 # merged cells in a micro-batch of pictures
    crops: int = 24                  # crops in a micro-batch
    texts: int = 8                   # sequences in a micro-batch
    share: int = 5                   # questions a picture
    scenes: float = 0.6              # share of scenes written as text among text sequences, the rest is chat
    auxiliary: float = 1.0           # weight of the auxiliary losses; 0: no heads at all
    weights: dict = field(default_factory=dict)   # factors on single losses of the heads by name
    level: tuple = (1.0, 1.0)        # share of the full number of candidates, at the phase's beginning and end
    acts: float = 0.0                # share of picture batches with goals for `computer_use` instead of questions
    chinese: float = 0.0             # share of pictures asked about in Chinese
    several: float = 0.0             # share of picture batches whose questions are about two to four pictures
    filler: int = 0                  # most lines of filler text in lessons of long recall; 0: none
    stored: float = 0.0              # share of picture batches that a browser drew (the store that `browser.py` fills)
    skip: tuple = ()                 # kinds of question that are not asked
    warm: int = 0                    # steps over which the rate rises from a tenth, where new lessons would shake what is there
    blur: float = 0.0                # spread of the soft targets of coordinates in pictures, of 1000; 0: hard ones
    guided: float = 0.3              # weight of the guides of attention; 0: none
    longer: float = 1.0              # looks in texts are to hold in texts so many times as long: attention to all else counts so many times
    favour: tuple = ()               # kinds of which two come first about each picture that has them
    think: float = 0.0               # share of questions with reasoning before the answer


@dataclass(frozen=True)
class Plan:
    name: str
    shape: Shape
    phases: tuple
    seed: int = 1
    warm: int = 40                   # steps of warm-up, once
    floor: float = 0.03              # rate at the end of a decay branch
    min_pixels: int = 352 * 352      # areas to which the shipped processor brings pictures
    max_pixels: int = 640 * 480
    video_pixels: tuple = (4 * 160 * 160, 32 * 320 * 256)      # the same of clips: frames times area
    save_every: int = 25             # steps between checkpoints
    pages: str = "../pages"          # the browser's scenes, relative to the work folder
    source: str = ""                 # exported folder whose weights a new work folder begins with, relative to that; "": random ones
    falls: bool = False              # the rate falls over all steps and the last state ships; else branches ship

    @property
    def thinks(self) -> bool:
        return any(p.think for p in self.phases)

    @property
    def form(self) -> str:
        """The exported folder's name."""
        return "thinking" if self.thinks else "instruct"

    @property
    def steps(self) -> int:
        return sum(p.steps for p in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """(phase, step within it); past the end the last phase goes on."""
        for phase in self.phases[:-1]:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        return self.phases[-1], step


SHAPES = {"shapes": 1}
SCREENS = {"settings": 3, "dialog": 1.3, "home": 1.3, "form": 1.2, "sign": 0.6, "note": 0.5}
BOTH = (Mix(SHAPES, SMALL, 3), Mix({"shapes": 1, **SCREENS}, FULL, 2))
BOXES = ("all boxes", "name at box", "point", "locate", "not there")

# Shapes and screens, lines of text, whole pages and documents.
LETTERS = (Mix(SHAPES, SMALL, 1.3, areas=WIDE), Mix(SCREENS, LITTLE, 2.6, areas=WIDE), Mix({"shapes": 0.5, **SCREENS}, FULL, 2.4, areas=WIDE),
           Mix({"note": 1}, LINES, 1.3, written=False, areas=(22_000, 70_000)), Mix({"sign": 1}, LITTLE, 0.3, areas=WIDE), Mix({"page": 1, "document": 1}, FULL, 2.6, written=False, areas=WIDE),
           Mix({"page": 2, "document": 2, **SCREENS}, LARGE, 1.4, written=False, areas=(WIDE[0], 640 * 480)))

# Steps of two micro-batches, for phases whose steps take turns.
LOOK, CLIPS, RECALL = ((("look", 2),),), ((("look", 1), ("clips", 1)),), ((("look", 1), ("recall", 1)),)

# The published checkpoint. docs in models/tiny/README.md tell how far it has come.
LONG = Plan("long", Shape(), (
    # Eyes and words apart: the tower by its heads, the decoder on scenes written as text.
    Phase("senses", 350, (("see", 3), ("crops", 1), ("recall", 1)), BOTH, level=(0.34, 1.0)),
    # What is there: few shapes, short answers.
    Phase("name", 1325, (("look", 3), ("recall", 1)), (Mix(SHAPES, SMALL),), texts=3, auxiliary=0.4, level=(0.34, 0.8), skip=BOXES),
    # The same questions and boxes: names find their place before words come.
    Phase("boxes", 255, (("look", 3), ("recall", 1)), (Mix(SHAPES, SMALL),), texts=3, auxiliary=0.4,
          weights={"place": 2.0}, level=(0.5, 0.8), favour=("place", *BOXES), stored=0.2),
    # Letters for the tower, names and places of few things for the decoder, in one step: small steps of all of it.
    Phase("ground", 820, (), (Mix(SHAPES, SMALL, 3), Mix(SCREENS, LITTLE, 2)),
          turns=((("look", 1), ("crops", 3), ("see", 1)), (("look", 1), ("crops", 3), ("see", 1)), (("look", 1), ("crops", 2), ("recall", 1))),
          rate=2e-3, cells=224, texts=5, auxiliary=0.5, level=(0.5, 0.9), warm=40, stored=0.15, favour=("place", "locate")),
    Phase("screens", 6300, (), (Mix(SHAPES, SMALL, 1.2), Mix(SCREENS, LITTLE, 2.5), Mix({"shapes": 0.5, **SCREENS}, FULL, 2), Mix({"page": 1, "document": 1}, {}, 3)),
          turns=((("look", 2), ("crops", 2)), (("look", 2), ("crops", 2)), (("look", 1), ("clips", 1), ("crops", 2)), (("look", 1), ("recall", 1), ("crops", 2)), (("look", 1), ("recall", 1), ("crops", 2))),
          rate=1e-3, cells=256, texts=8, scenes=0.3, auxiliary=0.5, level=(0.7, 1.0), warm=0, acts=0.15, blur=6.0, filler=250, stored=0.3, favour=("locate", "switch state", "point", "not there")),
    # What is written, letter by letter: lines and notes, whole pages, documents.
    Phase("letters", 20000, (), LETTERS,
          turns=((("look", 3), ("crops", 1)), (("look", 2), ("recall", 1), ("crops", 1)), (("look", 2), ("clips", 1)), (("look", 2), ("recall", 1)), (("look", 2), ("clips", 1), ("crops", 1))),
          rate=1e-3, cells=432, share=7, texts=8, scenes=0.25, auxiliary=0.5, acts=0.18, blur=5.0, filler=220, stored=0.3, favour=("locate", "switch state", "point", "not there", "page to HTML", "form to JSON", "read", "value", "clip: when", "count"),
          weights={"merged characters": 1.5, "tapped characters": 1.5, "written": 4.0, "read": 3.0}, joint_rate=1.2, longer=20.0, several=0.06, chinese=0.04),
    Phase("all", 100000, (), (*LETTERS, Mix({"shapes": 0.7, **SCREENS}, FULL, 2, areas=WIDE)),
          turns=((("look", 2), ("crops", 1)), (("look", 2), ("recall", 1)), (("look", 1), ("clips", 1), ("crops", 1)), (("look", 2), ("recall", 1), ("crops", 1)), (("look", 2), ("clips", 1))),
          rate=1e-3, cells=432, share=7, texts=4, auxiliary=0.4, warm=30, blur=5.0, acts=0.2, chinese=0.06, several=0.12, filler=250, longer=20.0, stored=0.4,
          weights={"written": 2.0, "read": 2.0}),
))

# All tasks in three minutes on a laptop, only to see that every part works.
SMOKE = Plan("smoke", Shape(vision_hidden=64, vision_layers=4, vision_heads=1, vision_ffn=128, taps=(0, 1, 2), hidden=64,
                            layers=3, heads=2, kv_heads=1, ffn=128), (
    Phase("senses", 12, (("see", 1), ("crops", 1), ("recall", 1)), BOTH, cells=64, crops=4, texts=4, share=3),
    Phase("all", 16, (("look", 1), ("clips", 1), ("crops", 1), ("recall", 1)), BOTH, cells=64, crops=4, texts=4, share=3, auxiliary=0.5, acts=0.2, chinese=0.1, several=0.3, filler=4),
), warm=4, save_every=5)

# The Thinking checkpoint: the Instruct one's eyes as they are, its decoder taught to speak before it answers.
LAST = LONG.phases[-1]
THINKING = dataclasses.replace(LONG, name="thinking", phases=(
    Phase("think", 700, (), LAST.mixes, turns=(LOOK + CLIPS + RECALL) * 3 + LOOK, rate=2e-3, vision_rate=0.0, auxiliary=0.0, cells=432, share=7, texts=6, scenes=0.25,
          acts=LAST.acts, chinese=LAST.chinese, blur=LAST.blur, filler=LAST.filler, longer=LAST.longer, stored=LAST.stored, favour=("relation", "count", "switch state"), think=1.0),
), seed=2, warm=20, source="../../models/tiny/instruct", falls=True)
SMOKE_THINKING = dataclasses.replace(THINKING, name="smoke-thinking", shape=SMOKE.shape, pages=SMOKE.pages, source="../smoke/instruct", warm=2, save_every=2, phases=(
    dataclasses.replace(THINKING.phases[0], steps=4, turns=((("look", 1), ("clips", 1)), (("look", 1), ("recall", 1))), cells=64, texts=4, share=3, filler=4),))

PLANS = {p.name: p for p in (LONG, THINKING, SMOKE, SMOKE_THINKING)}


def with_steps(plan: Plan, changes: dict[str, int]) -> Plan:
    """The plan with other phase lengths, by phase name."""
    phases = tuple(dataclasses.replace(p, steps=changes.get(p.name, p.steps)) for p in plan.phases)
    return dataclasses.replace(plan, phases=phases)
