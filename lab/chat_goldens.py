#!/usr/bin/env python3
"""Makes tests/golden/chat.json: conversations, and the prompts that the published templates make of them with jinja2.

    lab/chat_goldens.py --instruct chat_template.jinja --thinking chat_template.jinja

The two files are the chat templates of published Qwen3-VL Instruct and Thinking checkpoints. Only their output is kept."""
import argparse
import copy
import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))
from jinja_reference import reference_chat  # noqa: E402

TEXTS = ["Hello", "", "What is this?", "日本語とemoji 🙂", "line one\nline two", "  spaced  ", "<b>\"quoted\" & 'more'</b>", "a\\b\tc", "{\"json\": [1, 2]}",
         "<tool_response>\nnot really\n</tool_response>", "</think>", "é\u0301\u00a0", "{{ not a template }} {% if %}", "x" * 300]
ARGUMENTS = [{}, {"city": "Paris"}, {"n": 1, "f": 2.5, "t": True, "z": None, "neg": -3e-7}, {"nested": {"list": [1, [2, {"k": "v"}], "ü"]}}, {"text": "a\n\"b\"\\c"},
             {"bbox_2d": [10, 20, 300.0, 4e10], "label": "猫"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Current weather. \"Quotes\", ünicode.", "parameters": {
             "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1.0}}, "required": ["city"]}}},
         {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object", "properties": {}}}}]


def image(rng):
    return rng.choice([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, {"type": "image"}, {"type": "image", "image": "a.png"},
                       {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg", "detail": "high"}, "max_pixels": 65536}, {"type": "input_image", "image_url": "https://example.org/a.jpg"}])


def video(rng):
    return rng.choice([{"type": "video_url", "video_url": {"url": "https://example.org/v.mp4"}}, {"type": "video", "video": "v.mp4", "fps": 2.0}])


def parts(rng, media=True):
    out = []
    for _ in range(rng.randint(0 if media else 1, 4)):
        kind = rng.random()
        out.append({"type": "text", "text": rng.choice(TEXTS)} if not media or kind < 0.5 else image(rng) if kind < 0.85 else video(rng))
    return out


def content(rng, media=True):
    return rng.choice(TEXTS) if rng.random() < 0.5 else parts(rng, media)


def tool_call(rng, number):
    arguments = rng.choice(ARGUMENTS)
    function = {"name": rng.choice(["weather", "zoom", "computer_use"]), "arguments": json.dumps(arguments) if rng.random() < 0.5 else arguments}
    if rng.random() < 0.1:
        function["arguments"] = rng.choice(["not json", "[1, 2]", ""])
    return function if rng.random() < 0.1 else {"id": f"call_{number}", "type": "function", "function": function}


def assistant(rng):
    message = {"role": "assistant", "content": content(rng, False)}
    if rng.random() < 0.3:
        message["content"] = rng.choice(["<think>\nhm\n</think>\n\n", "<think>\n\n</think>\n\n", "open end\n</think>\n", "<think>a</think>b</think>"]) + rng.choice(TEXTS)
    if rng.random() < 0.3:
        message[rng.choice(["reasoning_content", "reasoning", "thinking"])] = rng.choice(["because", "\n\nlong\nthought\n", "", None])
    if rng.random() < 0.4:
        message["tool_calls"] = [tool_call(rng, i) for i in range(rng.randint(0, 3))]
        if rng.random() < 0.4:
            message["content"] = rng.choice([None, ""])
    return message


def conversation(rng):
    messages = [{"role": "system", "content": content(rng, rng.random() < 0.2)}] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.9:
            messages.append({"role": "user", "content": content(rng)})
        if rng.random() < 0.7:
            messages.append(assistant(rng))
            for _ in range(rng.choice([0, 0, 1, 2, 3])):
                messages.append({"role": "tool", "tool_call_id": "call_0", "content": content(rng)})
        if rng.random() < 0.08:
            messages.append({"role": rng.choice(["system", "developer"]), "content": rng.choice(TEXTS)})
    return messages or [{"role": "user", "content": "Hello"}]


def normal(messages):
    """What the server does to messages before a template sees them."""
    messages = copy.deepcopy(messages)
    for message in messages:
        if message["role"] == "assistant" and message.get("content", "") is None:
            message["content"] = ""
        for part in message["content"] if isinstance(message["content"], list) else []:
            part["type"] = {"image_url": "image", "input_image": "image", "video_url": "video"}.get(part["type"], part["type"])
            for old, new in (("image_url", "image"), ("video_url", "video")):
                if old in part:
                    part[new] = part.pop(old)
        for call in message.get("tool_calls") or []:
            function = call.get("function", call)
            try:
                parsed = json.loads(function["arguments"])
                function["arguments"] = parsed if isinstance(parsed, dict) else function["arguments"]
            except (TypeError, ValueError):
                pass
    return messages


def case(rng, templates):
    thinking = rng.random() < 0.5
    messages = conversation(rng)
    options = {"thinking": thinking, "add_generation_prompt": rng.random() < 0.7, "add_vision_id": rng.random() < 0.3}
    if rng.random() < 0.4:
        options["tools"] = TOOLS[: rng.randint(1, 2)]
    final = messages[-1].get("content")
    if not options["add_generation_prompt"] and isinstance(final, str) and final.strip() and messages[-1]["role"] in ("user", "assistant") and rng.random() < 0.5:
        options["continue_final_message"] = True
    extra = {"add_vision_id": True} if options["add_vision_id"] else {}
    prompt = reference_chat(templates[thinking], normal(messages), options.get("tools"), options["add_generation_prompt"],
                            options.get("continue_final_message", False), **extra)
    return {"messages": messages, "options": options, "prompt": prompt}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--instruct", required=True)
    arguments.add_argument("--thinking", required=True)
    arguments.add_argument("--count", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=3)
    arguments.add_argument("--out", default=str(ROOT / "tests" / "golden" / "chat.json"))
    options = arguments.parse_args()
    templates = {False: Path(options.instruct).read_text(encoding="utf-8"), True: Path(options.thinking).read_text(encoding="utf-8")}
    rng, cases = random.Random(options.seed), []
    while len(cases) < options.count:
        cases.append(case(rng, templates))
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in cases)
    Path(options.out).write_text("[\n" + lines + "\n]\n", encoding="utf-8")
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
