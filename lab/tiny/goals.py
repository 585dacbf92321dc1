"""What the embedded model is to reach, and how far an examination's figures are: the first table of its card."""

import re

# task, share to reach, rows of the examination (a pattern), figure; others' drawing code (browser, Qt) has rows of its own.
OWN, OTHERS, ANY = r"(?!browser|toolkit)", r"(?:browser|toolkit), ", r"(?:(?:browser|toolkit), )?"
GOALS = [
    ("locate a named element: centre inside", 0.95, OWN + r".*: locate", "centre inside"),
    ("the same, drawn by others", 0.80, OTHERS + r".*: locate", "centre inside"),
    ("boxes with IoU > 0.5", 0.85, OWN + r".*: locate", "IoU > 0.5"),
    ("the same, drawn by others", None, OTHERS + r".*: locate", "IoU > 0.5"),
    ("state of a switch", 0.98, OWN + r".*: switch state", "exact"),
    ("the same, drawn by others", None, OTHERS + r".*: switch state", "exact"),
    ("next action: click inside", 0.93, r"action", "click inside"),
    ("not there", 0.90, ANY + r"(?!clip).*: not there", "exact"),
    ("page to HTML: tags", 0.90, ANY + r"page: page to HTML", "tags exact"),
    ("page to HTML: characters", 0.97, ANY + r"page: page to HTML", "characters alike"),
    ("the same, words never seen", 0.90, r"page: page to HTML \(new words\)", "characters alike"),
    ("time of an event within 1 s", 0.90, r"clip: when", "both ends within 1 s"),
    ("counting to six", 0.90, r"shapes: count", "exact"),
    ("colour", 0.98, OWN + r".*shapes: colour", "exact"),
    ("relation", 0.90, OWN + r".*shapes: relation", "exact"),
    ("form to JSON: fields", 0.90, ANY + r"(?:form|document): form to JSON", "fields right"),
    ("planted fact, 4,000 tokens", 0.95, r"recall: 4K tokens", "exact"),
    ("planted fact, 32,000 tokens", 0.80, r"recall: 32K tokens", "exact"),
]


def reached(results: dict) -> list[tuple[str, float | None, float, int]]:
    """(task, share to reach or None, mean over all its questions, number of questions) of each goal that was examined."""
    found = []
    for task, goal, rows, figure in GOALS:
        counted = [(row[figure], row["n"]) for name, row in results.items() if re.fullmatch(rows, name) and figure in row]
        if counted:
            questions = sum(n for _, n in counted)
            found.append((task, goal, sum(v * n for v, n in counted) / questions, questions))
    return found


def table(results: dict) -> str:
    """The goals as a Markdown table; "" when none was examined."""
    lines = [f"| {task} | {f'{100 * goal:.0f} %' if goal else '–'} | {100 * value:.0f} % | {n} |" for task, goal, value, n in reached(results)]
    return "\n".join(["| goal | at least | reached | questions |", "|---|---|---|---|", *lines]) if lines else ""
