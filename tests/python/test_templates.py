"""Our template interpreter against jinja2, set up as transformers sets it up.

Needs jinja2 and the render_template program (built by CMake; WEFT_RENDER_TEMPLATE names it)."""
import json
import random
import sys
import warnings
from datetime import datetime
from pathlib import Path

import pytest

import jinja_reference

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))
import jinja_fuzz  # noqa: E402

PROGRAM = jinja_reference.renderer_path()
if PROGRAM is None:
    pytest.skip("no render_template program was built", allow_module_level=True)

CONVERSATIONS = json.loads((ROOT / "tests" / "golden" / "chat.json").read_text(encoding="utf-8"))
CONTEXT = {
    "s": "Hello World", "u": "ÄÖü ß ΑΣ 日本 🙂 ǆ", "blank": "  \n x\t\n ", "n": 7, "f": 2.5, "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "empty": [],
    "d": {"role": "user", "content": "hi", "items": [1, {"k": None}], "f": 1e22}, "none_value": None, "flag": True, "nested": [[1, [2, 3]], [4]],
    "msgs": [{"role": "system", "content": "S"}, {"role": "user", "content": "<think>\nr\n</think>\n\nq"}, {"role": "tool", "content": None, "n": 3}],
}

EXPRESSIONS = """
1 + 2 * 3 - 4 / 2 | 7 // 2, -7 // 2, 7 // -2, 7 % 3, -7 % 3, 7 % -3, 7.5 // 2, -7.5 % 2 | 2 ** 10, 2 ** -1, 2.0 ** 3, (-2) ** 3 | 1 / 3 | 10 / 5 | 0.1 + 0.2
1e16, 1e15, 123456789012345678, 1e-5, 0.0001, 1.0, -0.0, 1e100 | 1_000, 0x1F, 0b101, 0o17 | 3.0 == 3, 1 == true, 1 is sameas true | 'a' 'b' "c" | 'a' ~ 1 ~ none ~ [1]
'\\n\\t\\\\\\'\\x41\\u00e9\\101' | [1, [2, 'x'], (3,), {'k': none}, true, 1.5] | (), (1,), (1, 2), 1, 2 | {'a': 1, 2: 'b', none: 3} | {1: 'a', true: 'b', 1.0: 'c'}
1 < 2 < 3, 1 < 3 < 2, 3 > 2 >= 2 != 1 | 'a' in 'abc', 'x' not in 'abc', 1 in l, 'role' in d | not none_value and flag or missing | missing | missing is defined
'yes' if flag else 'no' | 'yes' if not flag | ('x' if false) ~ '|' | -n, +n, -f, -true | s[0], s[-1], s[1:4], s[::-1], s[-3:], s[:-3], s[::2], s[5:2], s[10:1:-3] | u[3:7], u[::-1], u[-2]
l[0], l[-1], l[1:], l[::-1], l[:2], l[7], l['x'] | d.role, d['role'], d.items is callable, d['items'], d.nope, d.get('nope', 5) | d['items'][1].k | msgs[-1].n | range(5), range(5)[1:4], range(1, 9, 3)|list
[1, 2] + [3], (1,) + (2,), 'ab' * 3, 3 * [0] | [1, 2] < [1, 3], 'a' < 'b', (1, 'x') == (1, 'x') | '%s-%d-%5.2f|%-4s|%04d' % ('a', 5, 3.14159, 'b', 42) | '%(role)s!' % d | '%s' % none
'{} {0}'.format(1) | '{0} {1}'.format('a', 2) | '{:>6}|{:<6}|{:^6}|{:06.2f}|{:+d}'.format('a', 'b', 'c', 3.14159, 5) | '{name!r:>8}'.format(name='x') | '{:,} {:_} {:x} {:#b} {:%}'.format(1234567, 89012, 255, 5, 0.25)
s.upper(), s.lower(), s.title(), s.swapcase(), s.capitalize() | u.upper() | u.lower() | u.title(), u.capitalize(), u.casefold() | "they're bill's".title(), "they're bill's"|title
blank.strip(), blank.lstrip(), blank.rstrip() | 'xxhixx'.strip('x'), 'abcba'.lstrip('ab'), 'abcba'.rstrip('ab') | 'a,b,,c'.split(','), 'a,b,,c'.split(',', 1), 'a,b,,c'.rsplit(',', 1) | ' a  b c '.split(), ' a  b c '.split(none, 1)
'a\\nb\\r\\nc\\n'.splitlines(), 'a\\nb'.splitlines(true) | s.startswith('He'), s.startswith(('x', 'H')), s.endswith('ld'), s.startswith('l', 2) | s.replace('l', 'L'), s.replace('l', '', 1), s.replace('', '-')
s.find('o'), s.find('o', 5), s.rfind('o'), s.find('zz'), s.index('W'), s.count('l') | '-'.join(words), ''.join(['a', 'b']) | 'a-b-c'.partition('-'), 'a-b-c'.rpartition('-'), 'abc'.partition('-')
'abc'.removeprefix('ab'), 'abc'.removesuffix('bc') | '42'.zfill(5), '-42'.zfill(5), 'x'.ljust(3, '.'), 'x'.rjust(3), 'x'.center(4, '*') | '12'.isdigit(), 'ab'.isalpha(), 'a1'.isalnum(), ' '.isspace(), 'AB'.isupper(), 'Ab Cd'.istitle()
d.keys()|list, d.values()|list|length, d.items()|list|length | d|length, s|length, u|length, msgs|length | d|items|list|length | d|dictsort, {'b': 1, 'A': 2}|dictsort, {'b': 1, 'A': 2}|dictsort(true), {'b': 1, 'A': 2}|dictsort(by='value', reverse=true)
d|tojson | d|tojson(indent=2) | msgs|tojson(ensure_ascii=true) | u|tojson, u|tojson(ensure_ascii=true) | {'b': 1, 'a': [{}, []]}|tojson(indent=1, sort_keys=true) | [1, 2]|tojson(separators=(',', ':')) | '</script>&\\'"\\x7f\\x01'|tojson
[1.0, 1e22, 1e-7, 0.1, 100000.0, true, none]|tojson | {1: 2, none: 3, true: 4, 1.5: 5}|tojson | (1, (2,))|tojson | s|trim, blank|trim, 'xax'|trim('x') | l|first, l|last, empty|first, s|first, s|last | l|sort, l|sort(reverse=true), words|sort, words|sort(case_sensitive=true)
msgs|sort(attribute='role')|map(attribute='role')|list | words|unique|list, ['a', 'A', 'b']|unique|list, ['a', 'A']|unique(case_sensitive=true)|list | l|min, l|max, words|min, words|max(case_sensitive=true), empty|max | l|sum, l|sum(start=10), msgs[2:]|sum(attribute='n')
l|join, l|join(', '), msgs|join('/', attribute='role') | words|map('upper')|list, msgs|map(attribute='role')|join(','), msgs|map(attribute='n', default=0)|list | msgs|selectattr('role', 'equalto', 'user')|list|length, msgs|rejectattr('content')|list|length, msgs|selectattr('n', 'defined')|list
[1, none, 2, '']|select|list, [1, none, 2]|reject('none')|list, l|select('odd')|list, [1, 2, 3, 4]|select('divisibleby', 2)|list | l|reverse|list, s|reverse | [1, 2, 3, 4, 5]|batch(2)|list, [1, 2, 3, 4, 5]|batch(2, 0)|list, [1, 2, 3, 4, 5]|slice(3)|list, [1, 2, 3, 4, 5]|slice(3, 0)|list
missing|default('x'), ''|default('x'), ''|default('x', true), none|d('y', true) | '42'|int, '42.9'|int, 'x'|int, 'x'|int(5), '0x1f'|int(base=16), 3.9|int, none|int, true|int, ' 12 '|int | '1.5'|float, 'x'|float, 'x'|float(2.5), 3|float
2.5|round, 3.5|round, 2.675|round(2), 1234|round(-2), 2.1|round(method='ceil'), 2.9|round(0, 'floor') | -5|abs, -2.5|abs | 'a b c'|wordcount | 'a b/c?d=é'|urlencode, {'a b': 'c&d', 'e': 1}|urlencode | '<a href="x">\\'&</a>'|e
'line1\\nline2\\n\\nline3'|indent, 'a\\nb'|indent(2, true), 'a\\n\\nb'|indent(3, blank=true), 'a\\nb'|indent('> ') | 'hello world'|truncate(7), 'hello big world'|truncate(9, true), 'hello'|truncate(5) | 'x'|center(5) | msgs|groupby('role')|map('first')|list
'a'|string, 5|string, l|string | nested|map('length')|list | s is string, n is number, l is sequence, d is mapping, none_value is none, flag is boolean, f is float, n is integer, s is iterable | n is odd, n is even, n is divisibleby 7, n is gt 5, n is lt(5), n is in [7] , n is not in [7]
'upper' is filter, 'nope' is filter, 'odd' is test | range is callable, s is callable | 'abc' is lower, 'ABC' is upper | none is sameas none | namespace(a=1), namespace(a=1).a, dict(a=1), dict([['x', 2]]) | cycler('a', 'b').next() | joiner()() ~ 'x' | msgs[1].content.split('</think>')[-1].lstrip('\\n')
msgs[1].content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') | [missing, none] | undefined_thing ~ 'x' | (none_value or 'dflt'), (0 or none or ''), ('a' and 'b') | 'x' is defined and 1 == 1 | "a" == 'a' | {'a': {'b': {'c': 1}}}.a.b.c | [[1, 2], [3, 4]]|map('last')|list
"""

STATEMENTS = [
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in d|dictsort %}{{ k }}{% endfor %}",
    "{% for x in empty %}x{% else %}none{% endfor %}{% for x in l if x > 5 %}x{% else %}none{% endfor %}",
    "{% for x in l if x != 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
    "{% for x in [1, 2, 3, 4] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in nested recursive %}[{{ loop.depth }}:{{ loop(x) if x is iterable else x }}]{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, 'xy')] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in 'aé🙂' %}{{ x }}.{% endfor %}{% for x in missing %}{% else %}E{% endfor %}",
    "{% for m in msgs[::-1] %}{% set i = msgs|length - 1 - loop.index0 %}{{ i }}{{ m.role }}{% endfor %}{{ i is defined }}",
    "{% set x = 1 %}{% for y in l %}{% set x = x + y %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=0, seen=[]) %}{% for y in l %}{% set ns.x = ns.x + y %}{% set ns.seen = ns.seen + [y] %}{% endfor %}{{ ns.x }}{{ ns.seen }}",
    "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c = (1, 2) %}{{ c }}{% set (p, q) = l[:2] %}{{ p }}{{ q }}",
    "{% set t %}  body {{ n }}\n{% endset %}[{{ t }}]{% set t | upper | trim %} up {% endset %}[{{ t }}]",
    "{% if n == 1 %}a{% elif n == 7 %}b{% elif true %}c{% else %}d{% endif %}{% if missing %}x{% else %}y{% endif %}",
    "{% macro m(a, b='B', c=a) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m(1, c=5) }}{{ m() }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}{{ m.name }}{{ m.arguments }}",
    "{% macro m(x) %}{{ caller(x, 2) }}{% endmacro %}{% call(a, b=0) m(1) %}{{ a }}-{{ b }}{% endcall %}",
    "{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(4) }}",
    "{% macro show(c) %}{% if c is string %}{{ c }}{% else %}{% for p in c %}{{ p.text }}{% endfor %}{% endif %}{% endmacro %}{% for m in msgs if m.content %}{{ show(m.content) }}{% endfor %}",
    "{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a', 'b')|trim %} aaa {% endfilter %}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% generation %}{% set z = 1 %}text{% endgeneration %}{{ z is defined }}",
    "{% raw %}{{ not }} {% a %}{% endraw %}|{%- raw -%}  {{ x }}  {%- endraw -%}  |",
    "{# comment #}a{#- c -#}  b  {#+ d +#}\nc {# e #}\nd",
    "  {% if true %}\n    a\n  {% endif %}\n  b\n", "a  {%- if true -%}  b  {%- endif -%}  c", "a\n  {%+ if true %}\nb{% endif +%}\nc", "{{- 1 -}}  {{ 2 -}}\n{{- 3 }}",
    "x\n\n{% if true %}\n\ny\n\n{% endif %}\n\nz\n\n", "a\r\nb\rc\n{% if true %}\r\nd{% endif %}\r\n", "\t{%- set x = 1 %}\n\t{% set y = 2 %}\n{{ x }}{{ y }}",
    "{{ '%}' }}{{ '{{' }}{% set a = '}}' %}{{ a }}{{ {'a': {'b': 1}}['a'] }}", "{% print 1, 'a' %}{% block b %}in{% endblock %}", "{{ raise_exception('Bad role: ' ~ msgs[0].role) }}",
    "{% for x in [1] %}[{{ flag }}]{% endfor %}{% set flag = 2 %}{{ flag }}", "{% if flag %}{% set w = 1 %}{% endif %}{{ w }}", "{{ l.append(4) }}", "{{ d.update({}) }}", "{{ d.pop('role') }}",
    "{{ missing.attr }}", "{{ missing['x'] }}", "{{ missing() }}", "{{ missing + 1 }}", "{{ none_value.x }}{{ none_value['y'] }}", "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ l + s }}", "{{ s.nope() }}", "{{ 'abc'.index('z') }}",
    "{{ l|nope }}", "{{ n is nope }}", "{% if false %}{{ l|nope }}{% endif %}ok", "{{ (l|nope) if false else 'ok' }}", "{% for x in 5 %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% set a.b = 1 %}", "{% set 1 = 2 %}",
    "{{ ''.__class__ }}|{{ ''.__class__.__mro__ }}", "{{ namespace(_a=1) }}", "{{ range(1000000) }}", "{{ {}|tojson(foo=1) }}", "{{ missing|tojson }}", "{{ range(3)|tojson }}", "{% endfor %}", "{% for x in l %}", "{{ }}", "{{ 1 2 }}",
    "{% set loop = 1 %}{{ loop }}", "{% for x in l %}{% set loop = 1 %}{% endfor %}", "{% break %}", "{% macro m(a=1, b) %}{% endmacro %}", "{{ f(**{'a': 1}, b=2) }}",
]

CHAT_TEMPLATES = {
    "alternating": """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set system = false %}{% endif %}
{%- for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate, not ' ~ message['role']) }}{% endif %}
{%- if loop.first and system %}{% set content = '<<SYS>>\n' ~ system ~ '\n<</SYS>>\n\n' ~ message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}
{%- if message['role'] == 'user' %}[INST] {{ content | string | trim }} [/INST]{% else %} {{ content | string | trim }}</s>{% endif %}{% endfor %}""",
    "headers": """{%- set date = '26 Jul 2024' %}{%- if tools is not none %}{%- set names = tools | map(attribute='function') | map(attribute='name') | list %}{%- endif %}
{%- for message in messages %}
{%- set content %}{% if message.content is string %}{{ message.content }}{% elif message.content is iterable %}{% for part in message.content | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% if not loop.last %}
{% endif %}{% endfor %}{% endif %}{% endset %}
    {{- '<|start|>' + message['role'] + '<|end|>\n\n' + content | trim + '<|eot|>' }}
    {%- for call in message.tool_calls or [] %}{% set f = call.function if call.function is defined else call %}{{- '\n{"name": ' ~ f.name | tojson ~ ', "parameters": ' ~ f.arguments | tojson(indent=2) ~ '}' }}{%- endfor %}
{%- endfor %}
{%- if names is defined %}{{ names | join(' / ') }}{% endif %}
{%- if add_generation_prompt %}{{- '<|start|>assistant<|end|>\n\n' }}{%- endif %}""",
    "reasoning": """{%- set ns = namespace(last=-1, system='') -%}
{%- for m in messages -%}{%- if m.role == 'system' -%}{%- set ns.system = ns.system ~ ('\n\n' if ns.system else '') ~ m.content -%}{%- elif m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}
{{- bos_token | default('<s>') ~ ns.system -}}
{%- macro text(c) -%}{%- if c is string -%}{{ c }}{%- elif c is none or c is undefined -%}{%- else -%}{%- for p in c -%}{%- if p.type in ['image', 'video'] -%}<{{ p.type }}>{%- else -%}{{ p.text }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}
{%- for m in messages if m.role != 'system' -%}
{%- set content = text(m.content) -%}
{%- if m.role == 'assistant' -%}
{%- if '</think>' in content -%}{%- set parts = content.split('</think>', 1) -%}{%- set thought, content = parts[0].split('<think>')[-1].strip(), parts[1].lstrip() -%}{%- else -%}{%- set thought = m.reasoning_content | default('', true) -%}{%- endif -%}
{{- '<A>' ~ ('<think>' ~ thought ~ '</think>' if thought and loop.index0 > ns.last - (messages | selectattr('role', 'equalto', 'system') | list | length)) ~ content -}}
{%- if m.tool_calls -%}{%- for c in m.tool_calls -%}{{- loop.index ~ '/' ~ loop.length ~ ':' ~ (c.function or c).name ~ ((c.function or c).arguments | tojson if (c.function or c).arguments is mapping else (c.function or c).arguments) -}}{%- endfor -%}{%- endif -%}</A>
{%- else -%}<{{ m.role[0] | upper }}>{{ content }}</{{ m.role[:1] | upper }}>
{%- endif -%}
{%- endfor -%}
{{- '<A>' if add_generation_prompt }}""",
    "lines": """{% for message in messages %}
    {% if not loop.first %}

    {% endif %}
    {%+ if message.role == "tool" %}
### {{ message.role | title }} ({{ loop.index }} of {{ loop.length }}, after {{ loop.previtem.role if loop.previtem is defined else 'nothing' }})
    {% else %}
### {{ message.role | capitalize }}
    {% endif %}
{{ message.content if message.content is string else message.content | map(attribute='type') | join('+') }}
{% endfor %}
{% if tools %}
{{ tools | tojson(indent=4) | indent(2, first=true) }}
{% endif %}
""",
}


@pytest.fixture(scope="module")
def renderer():
    program = jinja_reference.Renderer(PROGRAM)
    yield program
    assert program.close() == 0, "the renderer did not end well"


def check(renderer, template, context):
    ok, want, raised = jinja_reference.reference(template, context)
    got = renderer.render(template, context)
    assert got["ok"] == ok, f"jinja2: {want!r}; we: {got.get('error', got.get('output'))!r}"
    if ok:
        assert got["output"] == want
    elif raised:
        assert got["error"] == want


def expressions():
    return [part.strip() for line in EXPRESSIONS.strip().splitlines() for part in split_bars(line)]


def split_bars(line):
    """Cases are set apart by ' | '; filters in them are written without spaces."""
    return [part for part in line.split(" | ") if part.strip()]


@pytest.mark.parametrize("expression", expressions())
def test_expression(renderer, expression):
    check(renderer, "{{ " + expression + " }}", CONTEXT)


@pytest.mark.parametrize("template", STATEMENTS)
def test_statement(renderer, template):
    check(renderer, template, CONTEXT)


@pytest.mark.parametrize("name", CHAT_TEMPLATES)
@pytest.mark.parametrize("number", range(0, len(CONVERSATIONS), 4))
def test_conversation(renderer, name, number):
    case = CONVERSATIONS[number]
    context = {"messages": case["messages"], "tools": case["options"].get("tools"), "add_generation_prompt": case["options"]["add_generation_prompt"]}
    check(renderer, CHAT_TEMPLATES[name], context)


@pytest.mark.parametrize("seed", range(20))
def test_random_templates(renderer, seed):
    """A slice of what lab/jinja_fuzz.py does for hours."""
    warnings.simplefilter("ignore")
    rng = random.Random(f"templates {seed}")
    compared = 0
    for _ in range(30):
        template, context = jinja_fuzz.Generator(rng).template(), jinja_fuzz.random_context(rng)
        if "**" in template:
            continue  # a tower of powers keeps Python busy for minutes
        ok, want, raised = jinja_reference.reference(template, context)
        got = renderer.render(template, context)
        same = ok == got["ok"] and (not ok or want == got["output"]) and (not raised or got["error"] == want)
        assert same or jinja_fuzz.may_differ(ok, want, got), (template, context, want, got)
        compared += same
    assert compared >= 15


@pytest.mark.parametrize("number", range(len(CONVERSATIONS)))
def test_built_in_templates(renderer, number):
    """The prompts of the published templates; see lab/chat_goldens.py."""
    case = CONVERSATIONS[number]
    got = renderer.chat(None, case["messages"], **case["options"])
    assert got.get("output", got.get("error")) == case["prompt"]


def test_dates(renderer):
    before = datetime.now().strftime("%d %b %Y %H:%M")
    got = renderer.render("{{ strftime_now('%d %b %Y %H:%M') }}", {})["output"]
    assert got in (before, datetime.now().strftime("%d %b %Y %H:%M"))
