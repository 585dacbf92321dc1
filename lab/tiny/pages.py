"""Web pages and documents for the browser to draw, with their truth: the page as plain HTML, the document as JSON.

A page's facts hold `html`, the text an answer should be; a document's hold `fields` and `table`. Owns wording and layout;
styles come from `browser.Style`.
"""

import html
import json
import re

from . import words
from .question import ASK_DESCRIBE, Question, locate

KEYS = ["Name", "Date", "City", "Order", "Total", "Phone", "Country", "Street", "Number", "Status", "Customer", "Price", "Code", "Item"]
NAMES = "Anna Ben Carla David Emma Felix Grace Hugo Iris Jonas Karen Leo Maria Nora Oscar Paula Robert Sofia Tom Vera".split()
PLACES = "Berlin Paris Oslo Madrid Rome Lima Cairo Delhi Tokyo Vienna Dublin Prague Athens Lisbon".split()


def _text(rng, source, low, high) -> str:
    return " ".join(rng.choice(source) for _ in range(rng.randint(low, high))).capitalize()


def _element(kind, name, tag, look, inner=None) -> str:
    shown = html.escape(name) if inner is None else inner
    return f'<{tag} data-kind="{kind}" data-name="{html.escape(name)}" style="{look}">{shown}</{tag}>'


def blocks(rng, size, height, source) -> tuple[str, list]:
    """(title, [(kind, content)]) of a page whose text is `size` pixels high: one to three of p, ul, ol, table, a, button, field that fit into its height."""
    title, found, room = _text(rng, source, 1, 2), [], height - 70
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(["p", "p", "list", "table", "a", "button", "field"])
        need = {"p": 3.2, "list": 5.5, "table": 5.5, "a": 2, "button": 2.6, "field": 2.6}[kind] * size
        if need > room:
            continue
        room -= need
        if kind == "p":
            found.append((kind, _text(rng, source, 3, 7) + "."))
        elif kind == "list":
            found.append((rng.choice(["ul", "ol"]), [_text(rng, source, 1, 2) for _ in range(rng.randint(2, 3))]))
        elif kind == "table":
            found.append((kind, [(_text(rng, source, 1, 1), str(rng.randint(1, 999))) for _ in range(rng.randint(2, 3))]))
        elif kind == "a":
            found.append((kind, _text(rng, source, 1, 2)))
        else:
            found.append((kind, rng.choice(words.BUTTONS if kind == "button" else words.FIELDS)))
    return title, found


def told(title, found) -> dict:
    """The facts of a page of these blocks: title and HTML."""
    lines = [f"<h1>{title}</h1>"]
    for kind, content in found:
        if kind in ("ul", "ol"):
            lines += [f"<{kind}>", *(f"<li>{t}</li>" for t in content), f"</{kind}>"]
        elif kind == "table":
            lines += ["<table>", *("<tr>" + "".join(f"<td>{t}</td>" for t in row) + "</tr>" for row in content), "</table>"]
        else:
            lines += {"p": [f"<p>{content}</p>"], "a": [f'<a href="#">{content}</a>'], "button": [f"<button>{content}</button>"],
                      "field": [f"<label>{content}</label>", '<input type="text">']}[kind]
    return {"title": title, "html": "\n".join(lines)}


def page(rng, style, width, height, source):
    """A heading and one to three blocks: paragraph, list, table, link, button, form field."""
    size = style.size
    title, found = blocks(rng, size, height, source)
    drawn = [_element("heading", title, "h1", f"font-size:{size + rng.randint(5, 10)}px;margin:0 0 6px;width:fit-content")]
    for kind, content in found:
        if kind == "p":
            drawn.append(_element("paragraph", content, "p", "margin:0 0 8px"))
        elif kind in ("ul", "ol"):
            drawn.append(f'<{kind} style="margin:0 0 8px;padding-left:24px">' + "".join(_element("item", t, "li", "width:fit-content") for t in content) + f"</{kind}>")
        elif kind == "table":
            look = f"border:1px solid {style.line};padding:2px 8px"
            drawn.append('<table style="border-collapse:collapse;margin:0 0 8px">' + "".join(
                "<tr>" + "".join(_element("cell", t, "td", look) for t in row) + "</tr>" for row in content) + "</table>")
        elif kind == "a":
            drawn.append(_element("link", content, "a", f"color:{style.accent};text-decoration:underline;display:block;width:fit-content;margin-bottom:8px"))
        elif kind == "button":
            drawn.append(f'<div style="margin-bottom:8px">{style.button(content)}</div>')
        else:
            box = _element("field", content, "span", f"display:inline-block;width:50%;height:{size + 8}px;border:1px solid {style.line};background:{style.card}", "")
            drawn.append(f'<div style="display:flex;gap:8px;align-items:center;margin-bottom:8px"><label>{content}</label>{box}</div>')
    return "".join(drawn), told(title, found)


def _value(rng, key, source) -> str:
    if key in ("Name", "Customer"):
        return rng.choice(NAMES)
    if key in ("City", "Country"):
        return rng.choice(PLACES)
    if key == "Date":
        return f"{rng.randint(2015, 2030)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    if key in ("Total", "Price"):
        return f"{rng.randint(1, 999)}.{rng.randint(0, 99):02d}"
    if key in ("Order", "Number", "Code", "Phone"):
        return str(rng.randint(10, 99999))
    return rng.choice(source).capitalize()


def record(rng, room, size, source) -> dict:
    """The facts of a paper form `room` pixels high: title, two to five fields, at times a small table."""
    keys = rng.sample(KEYS, rng.randint(2, max(2, min(5, (room - 60) // (size + 12)))))
    fields = {k: _value(rng, k, source) for k in keys}
    title, table = rng.choice(["Invoice", "Receipt", "Order", "Ticket", "Report", "Form"]), []
    if rng.random() < 0.5 and room - 60 - len(keys) * (size + 12) > 3.5 * (size + 8):
        table = [[rng.choice(source).capitalize(), str(rng.randint(1, 20))] for _ in range(2)]
    return {"title": title, "fields": fields, "table": table}


def document(rng, style, width, height, source):
    """A paper form: a title, two to five keys with values, at times a small table."""
    facts = record(rng, height, style.size, source)
    inner = f'<div style="font-size:{style.size + 5}px;margin-bottom:8px">{facts["title"]}</div>'
    dots, apart = rng.choice([":", "", " -"]), rng.choice([90, 110, 130])
    for key, value in facts["fields"].items():
        inner += (f'<div style="display:flex;margin-bottom:{rng.randint(2, 6)}px"><span style="width:{apart}px">{key}{dots}</span>'
                  + _element("cell", value, "span", "white-space:nowrap") + "</div>")
    if facts["table"]:
        look = f"border:1px solid {style.line};padding:2px 8px"
        inner += '<table style="border-collapse:collapse;margin-top:6px">' + "".join(
            "<tr>" + "".join(_element("cell", t, "td", look) for t in row) + "</tr>" for row in [["Item", "Count"], *facts["table"]]) + "</table>"
    return inner, facts


def _texts(facts) -> tuple:
    """The pieces of text of a page's HTML, in order."""
    return tuple(t for t in re.split(r"<[^<>]*>|\n", facts["html"]) if t)


def _quoted(values) -> tuple:
    return tuple(json.dumps(v, ensure_ascii=False) for v in values)


def page_questions(rng, scene) -> list[Question]:
    facts = scene.facts
    code = "```html\n" + facts["html"] + "\n```"
    q = [Question("page to HTML", rng.choice(["Convert this page to HTML.", "Write the HTML of this page.", "Give the HTML for this screenshot.", "Turn the picture into HTML."]), code, free=_texts(facts)),
         Question("title", rng.choice(["What is the heading?", "What is the title of the page?"]), facts["title"] + ".", free=(facts["title"],)),
         Question("describe", rng.choice(ASK_DESCRIBE), f'A web page titled "{facts["title"]}".', free=(facts["title"],))]
    items = [e.name for e in scene.elements if e.kind == "item"]
    if items:
        q.append(Question("list", "List the items.", ", ".join(items) + ".", free=tuple(items)))
    names = [e.name for e in scene.elements]
    for e in scene.elements:
        if e.kind in ("button", "link", "heading", "field") and names.count(e.name) == 1:
            q.append(locate(rng, scene, e.box, f"{e.name} {e.kind}"))
    return q


def document_questions(rng, scene) -> list[Question]:
    fields, table = scene.facts["fields"], scene.facts["table"]
    whole = dict(fields, items=[{"item": a, "count": int(b)} for a, b in table]) if table else fields
    q = [Question("form to JSON", rng.choice(["Read this document as JSON.", "Return all fields as JSON.", "Extract the fields as a JSON object."]), json.dumps(whole, ensure_ascii=False), about=tuple(fields), free=_quoted([*fields.values(), *(a for a, _ in table)])),
         Question("title", "What kind of document is this?", scene.facts["title"] + ".")]
    some = rng.sample(list(fields), rng.randint(1, len(fields)))
    schema = {"type": "object", "properties": {k: {"type": "string"} for k in some}, "required": some}
    q.append(Question("form to JSON", "Fill this JSON schema from the picture: " + json.dumps(schema), json.dumps({k: fields[k] for k in some}, ensure_ascii=False), about=tuple(some),
                      free=_quoted(fields[k] for k in some)))
    for key, value in fields.items():
        q.append(Question("value", rng.choice([f"What is the {key.lower()}?", f"What does it say for {key}?"]), value, about=("line", key), free=(value,)))
    for item, count in table:
        q.append(Question("value", f"How many {item}?", count, about=("table", item)))
    return q
