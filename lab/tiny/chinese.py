"""Short lessons in Chinese: shapes, places and switches of a scene, greetings.

The same facts as `questions`, in another language; answers for boxes keep the JSON form with Chinese labels.
"""

from .question import Question, boxes_json

COLOURS = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "orange": "橙色", "pink": "粉色",
           "brown": "棕色", "black": "黑色", "white": "白色", "gray": "灰色"}
SHAPES = {"circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星形", "diamond": "菱形", "rectangle": "长方形"}
NUMBERS = ["没有", "一个", "两个", "三个", "四个", "五个", "六个"]
CHAT = [(["你好", "你好！"], "你好！"), (["你是谁？"], "我是一个很小的视觉语言模型。"), (["谢谢", "谢谢！"], "不客气。"), (["再见"], "再见！")]


def _count(number, noun) -> str:
    return f"没有{noun}。" if number == 0 else f"有{NUMBERS[number]}{noun}。"


def _shapes(rng, scene):
    elements = scene.elements
    name = lambda e: COLOURS[e.colour] + SHAPES[e.shape]
    names = [name(e) for e in elements]
    yield Question("zh: describe", rng.choice(["图片里有什么？", "描述这张图片。", "你看到了什么？"]), "有" + "、".join(names) + "。")
    yield Question("zh: count", "这张图片里有几个图形？", _count(len(elements), "图形"))
    shape = rng.choice(list(SHAPES))
    yield Question("zh: count", f"有几个{SHAPES[shape]}？", _count(sum(e.shape == shape for e in elements), SHAPES[shape]), about=(shape,))
    for e in elements:
        if sum(o.shape == e.shape for o in elements) == 1:
            yield Question("zh: colour", f"{SHAPES[e.shape]}是什么颜色？", COLOURS[e.colour] + "。", about=(e,))
        if names.count(name(e)) == 1:
            yield Question("zh: locate", f"{name(e)}在哪里？", boxes_json([(scene.relative(e.box), name(e))]), scene.relative(e.box))
    missing = rng.choice(list(COLOURS.values())) + rng.choice(list(SHAPES.values()))
    if missing not in names:
        yield Question("zh: not there", f"{missing}在哪里？", f"没有{missing}。", about=(missing,))


def _settings(rng, scene):
    for e in scene.elements:
        if e.switch:
            yield Question("zh: switch state", f"{e.name}打开了吗？", "是的，已打开。" if e.on else "不是，已关闭。", about=(e,))
            yield Question("zh: locate", f"{e.name}的开关在哪里？", boxes_json([(scene.relative(e.switch), e.name)]), scene.relative(e.switch))


MAKERS = {"shapes": _shapes, "settings": _settings}


def ask(scene, rng) -> list[Question]:
    """Questions in Chinese about the scene, in random order; [] for kinds of scene that have none."""
    found = list(MAKERS[scene.kind](rng, scene)) if scene.kind in MAKERS else []
    rng.shuffle(found)
    return found


def chat(rng) -> Question:
    asked, answer = rng.choice(CHAT)
    return Question("zh: chat", rng.choice(asked), answer)
