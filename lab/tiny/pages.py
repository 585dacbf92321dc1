"""Web pages and documents for the browser to draw, with their truth: the page as plain HTML, the document as JSON.

A page's facts hold `html`, the text an answer should be; a document's hold `fields` and `table`. Owns wording and layout;
styles come from `browser.Style`.
"""

import html
import json

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


def page(rng, style, width, height, source):
    """A heading and one to three blocks: paragraph, list, table, link, button, form field."""
    size = style.size
    title = _text(rng, source, 1, 2)
    drawn = [_element("heading", title, "h1", f"font-size:{size + rng.randint(5, 10)}px;margin:0 0 6px;width:fit-content")]
    told, room = [f"<h1>{title}</h1>"], height - 70
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(["p", "p", "list", "table", "a", "button", "field"])
        need = {"p": 3.2, "list": 5.5, "table": 5.5, "a": 2, "button": 2.6, "field": 2.6}[kind] * size
        if need > room:
            continue
        room -= need
        if kind == "p":
            text = _text(rng, source, 3, 7) + "."
            drawn.append(_element("paragraph", text, "p", "margin:0 0 8px"))
            told.append(f"<p>{text}</p>")
        elif kind == "list":
            tag, items = rng.choice(["ul", "ol"]), [_text(rng, source, 1, 2) for _ in range(rng.randint(2, 3))]
            drawn.append(f'<{tag} style="margin:0 0 8px;padding-left:24px">' + "".join(_element("item", t, "li", "width:fit-content") for t in items) + f"</{tag}>")
            told += [f"<{tag}>"] + [f"<li>{t}</li>" for t in items] + [f"</{tag}>"]
        elif kind == "table":
            rows = [(_text(rng, source, 1, 1), str(rng.randint(1, 999))) for _ in range(rng.randint(2, 3))]
            look = f"border:1px solid {style.line};padding:2px 8px"
            drawn.append('<table style="border-collapse:collapse;margin:0 0 8px">' + "".join(
                "<tr>" + "".join(_element("cell", t, "td", look) for t in row) + "</tr>" for row in rows) + "</table>")
            told += ["<table>"] + ["<tr>" + "".join(f"<td>{t}</td>" for t in row) + "</tr>" for row in rows] + ["</table>"]
        elif kind == "a":
            text = _text(rng, source, 1, 2)
            drawn.append(_element("link", text, "a", f"color:{style.accent};text-decoration:underline;display:block;width:fit-content;margin-bottom:8px"))
            told.append(f'<a href="#">{text}</a>')
        elif kind == "button":
            name = rng.choice(words.BUTTONS)
            drawn.append(f'<div style="margin-bottom:8px">{style.button(name)}</div>')
            told.append(f"<button>{name}</button>")
        else:
            name = rng.choice(words.FIELDS)
            box = _element("field", name, "span", f"display:inline-block;width:50%;height:{size + 8}px;border:1px solid {style.line};background:{style.card}", "")
            drawn.append(f'<div style="display:flex;gap:8px;align-items:center;margin-bottom:8px"><label>{name}</label>{box}</div>')
            told += [f"<label>{name}</label>", '<input type="text">']
    return "".join(drawn), {"title": title, "html": "\n".join(told)}


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


def document(rng, style, width, height, source):
    """A paper form: a title, two to five keys with values, at times a small table."""
    keys = rng.sample(KEYS, rng.randint(2, max(2, min(5, (height - 60) // (style.size + 12)))))
    fields = {k: _value(rng, k, source) for k in keys}
    title = rng.choice(["Invoice", "Receipt", "Order", "Ticket", "Report", "Form"])
    inner = f'<div style="font-size:{style.size + 5}px;margin-bottom:8px">{title}</div>'
    dots, apart = rng.choice([":", "", " -"]), rng.choice([90, 110, 130])
    for key, value in fields.items():
        inner += (f'<div style="display:flex;margin-bottom:{rng.randint(2, 6)}px"><span style="width:{apart}px">{key}{dots}</span>'
                  + _element("cell", value, "span", "white-space:nowrap") + "</div>")
    table = []
    if rng.random() < 0.5 and height - 60 - len(keys) * (style.size + 12) > 3.5 * (style.size + 8):
        table = [[rng.choice(source).capitalize(), str(rng.randint(1, 20))] for _ in range(2)]
        look = f"border:1px solid {style.line};padding:2px 8px"
        inner += '<table style="border-collapse:collapse;margin-top:6px">' + "".join(
            "<tr>" + "".join(_element("cell", t, "td", look) for t in row) + "</tr>" for row in [["Item", "Count"], *table]) + "</table>"
    return inner, {"title": title, "fields": fields, "table": table}


def page_questions(rng, scene) -> list[Question]:
    facts = scene.facts
    code = "```html\n" + facts["html"] + "\n```"
    q = [Question("page to HTML", rng.choice(["Convert this page to HTML.", "Write the HTML of this page.", "Give the HTML for this screenshot.", "Turn the picture into HTML."]), code),
         Question("title", rng.choice(["What is the heading?", "What is the title of the page?"]), facts["title"] + "."),
         Question("describe", rng.choice(ASK_DESCRIBE), f'A web page titled "{facts["title"]}".')]
    items = [e.name for e in scene.elements if e.kind == "item"]
    if items:
        q.append(Question("list", "List the items.", ", ".join(items) + "."))
    names = [e.name for e in scene.elements]
    for e in scene.elements:
        if e.kind in ("button", "link", "heading", "field") and names.count(e.name) == 1:
            q.append(locate(rng, scene, e.box, f"{e.name} {e.kind}"))
    return q


def document_questions(rng, scene) -> list[Question]:
    fields, table = scene.facts["fields"], scene.facts["table"]
    whole = dict(fields, items=[{"item": a, "count": int(b)} for a, b in table]) if table else fields
    q = [Question("form to JSON", rng.choice(["Read this document as JSON.", "Return all fields as JSON.", "Extract the fields as a JSON object."]), json.dumps(whole, ensure_ascii=False), about=tuple(fields)),
         Question("title", "What kind of document is this?", scene.facts["title"] + ".")]
    some = rng.sample(list(fields), rng.randint(1, len(fields)))
    schema = {"type": "object", "properties": {k: {"type": "string"} for k in some}, "required": some}
    q.append(Question("form to JSON", "Fill this JSON schema from the picture: " + json.dumps(schema), json.dumps({k: fields[k] for k in some}, ensure_ascii=False), about=tuple(some)))
    for key, value in fields.items():
        q.append(Question("value", rng.choice([f"What is the {key.lower()}?", f"What does it say for {key}?"]), value, about=("line", key)))
    for item, count in table:
        q.append(Question("value", f"How many {item}?", count, about=("table", item)))
    return q
