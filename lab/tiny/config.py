"""Plans: the model's shape, the stages of its training and their lengths. Every number a run depends on is here.

A plan is data; a run is a pure function of (plan, seed, step), so it can stop and go on anywhere.
"""

import dataclasses
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen3VLForConditionalGeneration (see its config for the meaning of each)."""
    vision_hidden: int = 128
    vision_layers: int = 5
    vision_heads: int = 2
    vision_ffn: int = 384
    taps: tuple = (1, 2, 3)          # vision layers whose output goes into decoder layers 0, 1, 2
    position_side: int = 16          # learned position table, side x side
    hidden: int = 192
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 512
    mrope_section: tuple = (12, 10, 10)
    rope_theta: float = 10000.0
    max_positions: int = 8192


# Picture sizes (width, height) with their share. The shipped processor scales every picture to the area of the last
# stage's sizes, so that what a user sends looks like what was trained.
SMALL = {(160, 160): 5, (192, 128): 2, (192, 160): 2, (128, 192): 1, (160, 128): 1}     # about 25 visual tokens
FULL = {(256, 256): 5, (288, 224): 4, (224, 288): 2, (320, 192): 2, (192, 320): 1, (256, 224): 2, (320, 224): 1}  # 64
CROP = (128, 96)


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    task: "read" trains the vision tower by auxiliary heads, "recall" the decoder on scenes written as text, "joint" both.
    """
    name: str
    task: str
    steps: int
    start: tuple = ()                # earlier stages whose weights to begin with, later ones win (vision / language only)
    rate: float = 2e-3               # Muon rate; AdamW takes 0.7 of it
    vision_rate: float = 1.0         # factor on the vision tower's rates
    decay: float = 0.3               # last share of the steps in which the rate falls to `floor`
    floor: float = 0.05
    pictures: int = 14               # pictures of 64 visual tokens a step (fewer of larger ones)
    crops: int = 0                   # dense text crops a step
    texts: int = 0                   # text-only sequences a step
    share: int = 5                   # questions a picture
    scenes: float = -1.0             # share of scenes written as text among text-only sequences, the rest is chat; -1: by task
    auxiliary: float = 1.0           # weight of the auxiliary losses
    weights: dict = field(default_factory=dict)   # factors on single auxiliary losses by head name
    curriculum: float = 0.3          # share of the steps over which the number of candidates grows to full
    level: float = 1.0               # share of the full number of candidates at the end of the curriculum
    skip: tuple = ()                 # kinds of question that are not asked
    kinds: dict = field(default_factory=dict)   # scene kind -> weight
    sizes: dict = field(default_factory=lambda: FULL)   # (width, height) -> weight


@dataclass(frozen=True)
class Plan:
    name: str
    shape: Shape
    stages: tuple
    seed: int = 1
    pixels: int = 256 * 256          # area to which the shipped processor scales pictures
    save_every: int = 50             # steps between checkpoints

    def stage(self, name: str) -> Stage:
        return next(s for s in self.stages if s.name == name)


MIX = {"shapes": 5, "settings": 2.2, "dialog": 1.3, "sign": 2, "note": 0.5}
SHAPES = {"shapes": 1}

# The shipped checkpoint: shapes and chat only, small pictures, few shapes at a time, no boxes: what half an hour of CPU time
# can begin to teach. (Its own run was cut into pieces by hand; the model card tells how.)
BOXES = ("all boxes", "name at box", "point", "locate", "not there")
FIRST = Plan("first", Shape(), (
    Stage("read", "read", steps=200, pictures=12, kinds=SHAPES, sizes=SMALL, decay=0.1, floor=0.5, curriculum=0.0),
    Stage("look", "read", steps=200, start=("read",), pictures=12, kinds=SHAPES, sizes=SMALL, decay=0.1, floor=0.5, curriculum=0.0),
    Stage("recall", "recall", steps=150, texts=14, share=5, kinds=SHAPES, sizes=SMALL, decay=0.1, floor=0.5),
    Stage("joint", "joint", steps=225, start=("recall", "look"), pictures=8, texts=2, auxiliary=0.25, weights={"kind": 6, "box": 0.2}, kinds=SHAPES, sizes=SMALL,
          share=5, decay=0.35, curriculum=0.0, level=0.5, skip=BOXES),
    # What the model says of itself, set right at the end, when it is known.
    Stage("words", "recall", steps=60, start=("joint",), rate=5e-4, texts=6, scenes=0.2, kinds=SHAPES, sizes=SMALL, skip=BOXES),
), pixels=160 * 160, save_every=10)

# The next step, not yet run: long stages in the order that the first one suggests (few shapes and short answers until they
# are right, then boxes, then text crops and screens at full size). Lengths are for a machine that has its cores to itself.
SECOND = Plan("second", Shape(), (
    Stage("look", "read", steps=1500, pictures=12, kinds=SHAPES, sizes=SMALL, decay=0.2, floor=0.3),
    Stage("recall", "recall", steps=800, texts=14, kinds=MIX, sizes=FULL, decay=0.2, floor=0.3),
    Stage("name", "joint", steps=1500, start=("recall", "look"), pictures=8, texts=2, auxiliary=0.25, kinds=SHAPES, sizes=SMALL,
          curriculum=0.5, skip=BOXES, decay=0.1, floor=0.5),
    Stage("place", "joint", steps=3000, start=("name",), pictures=8, texts=2, auxiliary=0.25, kinds=SHAPES, sizes=SMALL, decay=0.1, floor=0.5),
    Stage("letters", "read", steps=3000, start=("place",), pictures=8, crops=48, kinds=MIX, decay=0.1, floor=0.5),
    Stage("screens", "joint", steps=5000, start=("place", "letters"), pictures=10, crops=8, texts=2, vision_rate=0.5, auxiliary=0.3,
          kinds=MIX, decay=0.35),
), pixels=256 * 256, save_every=50)

# All stages in three minutes on a laptop, only to see that every part works.
SMOKE = Plan("smoke", Shape(vision_hidden=64, vision_layers=4, vision_heads=1, vision_ffn=128, taps=(0, 1, 2), hidden=64,
                            layers=3, heads=2, kv_heads=1, ffn=128), (
    Stage("read", "read", steps=12, pictures=2, crops=4, kinds=MIX),
    Stage("recall", "recall", steps=12, texts=4, share=3, kinds=MIX),
    Stage("joint", "joint", steps=16, start=("recall", "read"), pictures=2, crops=2, texts=1, share=3, kinds=MIX),
), save_every=5)

PLANS = {p.name: p for p in (FIRST, SECOND, SMOKE)}


def with_steps(plan: Plan, changes: dict[str, int]) -> Plan:
    """The plan with other stage lengths, by stage name."""
    stages = tuple(dataclasses.replace(s, steps=changes.get(s.name, s.steps)) for s in plan.stages)
    return dataclasses.replace(plan, stages=stages)
