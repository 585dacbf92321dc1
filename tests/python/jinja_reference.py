"""jinja2 set up as transformers sets it up for chat templates, and the program that renders with ours.

Needs jinja2 only; what it says about transformers was read in utils/chat_template_utils.py of version 5.23."""

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONTINUE_TAG = "CONTINUE_FINAL_MESSAGE_TAG "
REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")


class Generation(Extension):
    """{% generation %} marks what the assistant says; it changes nothing in the text."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_call"), [], [], body).set_lineno(line)

    def _call(self, caller):
        return caller()


class TemplateDict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)


class TemplateNamespace(jinja2.utils.Namespace):
    """Refuses names that begin with an underscore."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            TemplateNamespace._check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        TemplateNamespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"underscore in {name!r}")


class Raised(jinja2.exceptions.TemplateError):
    """What raise_exception raises: the template's own refusal."""


def raise_exception(message):
    raise Raised(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    env.globals["dict"] = TemplateDict()
    env.globals["namespace"] = TemplateNamespace
    return env


ENV = environment()


def reference(template, context):
    """(ok, output or error, whether raise_exception was reached)"""
    try:
        return True, ENV.from_string(template).render(**context), False
    except Raised as error:
        return False, str(error), True
    except RecursionError:
        return False, "recursion", False
    except TimeoutError:
        raise
    except Exception as error:  # whatever Python raises, the template fails
        return False, f"{type(error).__name__}: {error}", False


def alias_reasoning(messages):
    out = []
    for message in messages:
        reasoning = next((message[key] for key in REASONING_FIELDS if message.get(key) is not None), None)
        if reasoning is not None:
            message = {"thinking": reasoning, **message, "reasoning_content": reasoning}
        out.append(message)
    return out


def reference_chat(template, messages, tools=None, add_generation_prompt=False, continue_final_message=False, **kwargs):
    """render_jinja_template of transformers for one conversation."""
    messages = alias_reasoning(json.loads(json.dumps(messages)))
    if continue_final_message:
        content = messages[-1]["content"]
        if isinstance(content, list):
            block = next(block for block in reversed(content) if "text" in block)
            block["text"] += CONTINUE_TAG
        else:
            messages[-1]["content"] = content + CONTINUE_TAG
    text = ENV.from_string(template).render(
        messages=messages, tools=tools, documents=None, add_generation_prompt=add_generation_prompt, **kwargs
    )
    if continue_final_message:
        at = text.rindex(CONTINUE_TAG.strip())
        text = text[:at] if text[at : at + len(CONTINUE_TAG)] == CONTINUE_TAG else text[:at].rstrip()
    return text


def renderer_path():
    """The render_template program: WEFT_RENDER_TEMPLATE, or the newest one in a build folder of this checkout."""
    named = os.environ.get("WEFT_RENDER_TEMPLATE")
    if named:
        return named
    root = Path(__file__).resolve().parents[2]
    built = [path for path in root.glob("build*/tests/render_template") if path.is_file()]
    return str(max(built, key=lambda path: path.stat().st_mtime)) if built else None


class Renderer:
    """Our interpreter in a process of its own: a JSON line in, a JSON line out."""

    def __init__(self, path=None):
        self.process = subprocess.Popen(
            [path or renderer_path()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the renderer ended with status {self.process.wait()}")
        return json.loads(answer)

    def render(self, template, context):
        return self.ask({"template": template, "context": context})

    def chat(self, template, messages, **options):
        return self.ask({"chat": template, "messages": messages, "options": options})

    def close(self):
        self.process.stdin.close()
        return self.process.wait()
