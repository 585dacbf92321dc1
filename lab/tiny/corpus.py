"""The text on which the tokenizer is trained: every form of text that a lesson of now or later may hold.

The vocabulary is fixed once for all checkpoints to come, so this corpus is wider than the lessons: HTML, tool calls,
forms as JSON, time stamps, short Chinese, invented words. Pure functions of the seed; nothing here is a lesson.
"""

import json
import random

from . import chat, fonts, questions, scenes, words

CHINESE = (
    "图片里有什么？这张图片里有几个图形？描述这张图片。你看到了什么？圆形在哪里？正方形是什么颜色？三角形星形菱形长方形"
    "红色绿色蓝色黄色紫色橙色粉色棕色黑色白色灰色的背景是。左边右边上面下面中间最大最小有没有一个两个三个四个五个六个"
    "是的不是，没有这个。你好！你是谁？我是一个很小的视觉语言模型。我能看图片，数图形，说颜色，找到位置。谢谢不客气再见"
    "设置蓝牙无线网络声音显示电池存储隐私位置相机键盘鼠标打印机安全更新语言时间账户应用通知飞行模式深色夜间热点勿扰"
    "自动旋转振动手电筒移动数据备份麦克风省电锁屏指纹壁纸主题字体手势字幕同步投屏动画防火墙打开关闭开关已打开已关闭"
    "确定取消保存应用下一步返回提交关闭登录发送删除添加搜索重置帮助购买重试屏幕上按钮点击文字读出标题列表表格名称电话"
    "地址城市姓名邮箱密码日期数量价格总计什么时候发生视频第几秒钟开始结束出现消失移动请用格式回答如果不存在就说没有")
ZH_PARTS = [p for p in CHINESE.replace("？", "？|").replace("。", "。|").replace("！", "！|").replace("，", "，|").split("|") if p]
TAGS = "h1 h2 h3 p ul ol li table tr td th button a form label input select option div span section header footer nav main b i img br strong em code pre".split()
KEYS = ("name title type text value label items total price date city country phone email address company order number quantity "
        "description state color shape count id unit size table rows columns fields status result error message").split()
ACTIONS = ("key type mouse_move left_click left_click_drag right_click middle_click double_click triple_click scroll hscroll wait "
           "terminate answer click long_press swipe open system_button").split()
GENERAL = (
    "the a an of to and in is are was were be been it its this that these those for on with as at by from or not no yes can could "
    "will would should may might must do does did has have had there here where what which who how many much when why if then than "
    "so but because into over under between after before about also only just very more most other another same each every some any "
    "all both few one two three four five six seven eight nine ten first second third last next left right top bottom middle center "
    "above below inside outside near picture image screen page video clip frame window list row column table form field button switch "
    "icon text word line title color colour shape box point place position number answer question say says said show shows shown see "
    "find locate read count describe list open close turn click press type scroll wait done enabled disabled selected checked empty").split()


def tools_prompt() -> str:
    """A computer_use signature as a chat template shows it: the action names and arguments are the published ones."""
    properties = {
        "action": {"type": "string", "description": "The action to perform.", "enum": ACTIONS[:14]},
        "keys": {"type": "array", "description": "Keys to press together, only for action=key."},
        "text": {"type": "string", "description": "The text to type, only for action=type and action=answer."},
        "coordinate": {"type": "array", "description": "(x, y): the x (pixels from the left edge) and y (pixels from the top edge) of the mouse."},
        "pixels": {"type": "number", "description": "The amount of scrolling; positive is up, negative is down."},
        "time": {"type": "number", "description": "The seconds to wait."},
        "status": {"type": "string", "description": "The status of the task.", "enum": ["success", "failure"]}}
    tool = {"type": "function", "function": {
        "name": "computer_use", "description": "Use a mouse and a keyboard to work with a computer and see its screen. "
        "The screen's resolution is 1000x1000. Click in the center of elements like buttons, links, icons.",
        "parameters": {"type": "object", "properties": properties, "required": ["action"]}}}
    return ("# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures "
            f"within <tools></tools> XML tags:\n<tools>\n{json.dumps(tool)}\n</tools>\n\nFor each function call, return a json object with "
            "function name and arguments within <tool_call></tool_call> XML tags:\n")


def _page(rng) -> str:
    pick = lambda low, high: " ".join(rng.choice(words.TRAIN_WORDS) for _ in range(rng.randint(low, high)))
    lines = [f"<h1>{pick(1, 3).capitalize()}</h1>"]
    for _ in range(rng.randint(1, 4)):
        tag = rng.choice(TAGS)
        if tag in ("ul", "ol"):
            lines += [f"<{tag}>"] + [f"<li>{pick(1, 3)}</li>" for _ in range(3)] + [f"</{tag}>"]
        elif tag in ("table", "tr", "td", "th"):
            lines += ["<table>"] + [f"<tr><td>{pick(1, 2)}</td><td>{rng.randint(1, 999)}</td></tr>" for _ in range(2)] + ["</table>"]
        elif tag in ("form", "input", "label", "select", "option"):
            lines += ["<form>", f'<label>{pick(1, 2).capitalize()}</label><input type="text" value="{pick(1, 1)}">', "<button>Submit</button>", "</form>"]
        elif tag == "a":
            lines.append(f'<a href="#">{pick(1, 3)}</a>')
        else:
            lines.append(f"<{tag}>{pick(2, 7).capitalize()}.</{tag}>")
    return "```html\n" + "\n".join(lines) + "\n```"


def _form(rng) -> str:
    fields = {rng.choice(KEYS): rng.choice([rng.choice(words.TRAIN_WORDS).capitalize(), rng.randint(0, 9999), True, False, None]) for _ in range(5)}
    return json.dumps(fields, indent=rng.choice([None, 2])) + f"\nReturn the form as JSON with the keys {', '.join(fields)}."


def _action(rng) -> str:
    arguments = {"action": rng.choice(ACTIONS)}
    if rng.random() < 0.7:
        arguments["coordinate"] = [rng.randint(0, 1000), rng.randint(0, 1000)]
    if rng.random() < 0.3:
        arguments.update(rng.choice([{"status": "success"}, {"text": rng.choice(words.TRAIN_WORDS)}, {"keys": ["ctrl", "enter"]}]))
    name = rng.choice(["Turn on", "Turn off", "Open", "Go to", "Enable", "Disable"]) + " " + rng.choice(words.SETTINGS)
    return f"{name}.\n<tool_call>\n" + json.dumps({"name": "computer_use", "arguments": arguments}) + f"\n</tool_call>\nStep {rng.randint(1, 5)}: clicked."


def _clip(rng) -> str:
    a, b = sorted((rng.randint(0, 59), rng.randint(0, 59)))
    thing = f"{rng.choice(list(words.COLOURS))} {rng.choice(words.SHAPES)}"
    return (f"<{a}.{rng.randint(0, 9)} seconds>When does the {thing} appear? The {thing} appears at "
            f"[00:00:{a:02d} - 00:00:{b:02d}]. What happens first? First the {thing} moves to the left, then it disappears.")


def lines(seed: int = 7, pictures: int = 1500):
    """The whole corpus, piece by piece."""
    rng, paths = random.Random(seed), fonts.paths()
    kinds = [k for k in scenes.MAKERS if k != "crop"]
    for _ in range(pictures):
        scene = scenes.make(rng.choice(kinds), rng, 320, 256, paths, draw=False)
        yield questions.as_text(scene, rng)
        for q in questions.ask(scene, rng) + chat.questions(rng, 3):
            yield q.text
            yield q.answer
        for make in (_page, _form, _action, _clip):
            if rng.random() < 0.5:
                yield make(rng)
        yield "".join(rng.sample(ZH_PARTS, 3))
    names = words.SETTINGS + words.BUTTONS + words.TITLES
    for word in words.TRAIN_WORDS + " ".join(words.SIGNS).split() + list(words.COLOURS) + words.SHAPES + GENERAL + KEYS:
        yield f"{word} {word} {word}\n{word.capitalize()} {word.capitalize()} {word} {word} {word}\n{word.upper()}"
    for word in GENERAL:
        yield f"{word} {word.capitalize()} " * 40
    for _ in range(12):
        for name in names:
            yield f"{name} {name}\n\"{name}\": {name}"
        for part in ZH_PARTS:
            yield part
    for _ in range(4000):
        yield f"{words.invented(rng)} {words.invented(rng).capitalize()}"
    for _ in range(40):
        yield tools_prompt()
        yield "system\nuser\nassistant\ntool\n"
