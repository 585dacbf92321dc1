"""Compares token ids with the `tokenizers` library on lines of hostile text.

    python lab/tokenizer_fuzz.py TOKENIZER.json -- COMMAND...

COMMAND reads a JSON string a line, on standard input or from the file put in place of {file}, and writes a JSON array of
ids a line:

    weft tokenize --model MODEL --file {file}
    build/tests/test_tokenizer ids TOKENIZER.json

The same seed makes the same lines."""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import unicodedata
from itertools import chain

from tokenizers import Tokenizer

BLOCKS = [(0x20, 0x7F), (0xA0, 0x250), (0x250, 0x2B0), (0x2B0, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x600),
          (0x600, 0x780), (0x780, 0x900), (0x900, 0xE00), (0xE00, 0x1000), (0x1000, 0x1100), (0x1100, 0x1200),
          (0x1200, 0x1800), (0x1800, 0x1DC0), (0x1DC0, 0x2000), (0x2000, 0x2070), (0x2070, 0x2C00), (0x2C00, 0x3000),
          (0x3000, 0x3400), (0x4E00, 0xA000), (0xA000, 0xAC00), (0xAC00, 0xD7A4), (0xD7A4, 0xD800), (0xE000, 0x10000),
          (0x10000, 0x12000), (0x16000, 0x17000), (0x1B000, 0x1B300), (0x1D100, 0x1D300), (0x1D400, 0x1D800),
          (0x1E000, 0x1F000), (0x1F000, 0x20000), (0x20000, 0x32000), (0xE0000, 0xE0200), (0x100000, 0x110000)]
SPACES = [chr(c) for c in (*range(9, 14), 0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x2010),
                           0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)]
CONTROLS = [chr(c) for c in (*range(0, 32), *range(127, 160), 0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x202E, 0xFFFD, 0xFFFE,
                             0xFFFF, 0x10FFFF)]
MARKS = [chr(c) for c in chain(range(0x300, 0x370), range(0x591, 0x5C8), range(0x64B, 0x660), (0x93C, 0x94D, 0x9BC, 0xE38,
         0xF71, 0xF72, 0x1037, 0x302A, 0x3099, 0x309A, 0x1D165, 0x1D16D, 0x1E000, 0x20D0, 0x11938, 0x11930, 0x16D67))]
CODE = ["def f(x):\n    return x**2\n", "for(int i=0;i<n;++i){", "#include <stdio.h>\r\n", "\t\t}\r\n\r\n", "a->b::c<T&&>", "/* x */",
        "// y\n", "SELECT * FROM t WHERE a='b';", "{\"k\": [1, 2.5e-10, null]}", "<div class=\"a\">&nbsp;</div>", "0xDEADBEEF",
        "$\\frac{a}{b}$", "\\u0041\\n", "console.log(`${x}`)", "if (a!=b || !c) ...", "'''doc'''", "f'{x!r:>{w}}'"]
WORDS = ["I'm", "they'RE", "we'Ve", "it'ſ", "don'T", "he'll", "I'D", "'S", "''s", "x'sx", "Straße", "naïve", "ﬁn", "ǆ", "İi",
         "schön", "Привет", "שלום", "مرحبا", "नमस्ते", "สวัสดี", "你好世界", "こんにちは", "ｶﾞ", "한국어", "각", "ไทย", "𝒜𝓁", "①②",
         "Ⅷ", "½", "१२३", "1234567", "3.14", "😀", "👩‍👩‍👧‍👦", "👍🏽", "🇫🇷🇩🇪", "❤️", "1️⃣", "é", "a\u0323\u0307", "ά",
         "豈", "\u2126", "\u212B", "\u1100\u1161\u11A8", "\uAC00\u11A7", "\uAC00\u11A8", "\u0958", "\u2ADC", "\U0001D15E"]


def pieces(rng: random.Random, added: list[str]):
    def block():
        low, high = rng.choice(BLOCKS)
        return "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 12)))

    def anywhere():
        points = (rng.randrange(0x110000) for _ in range(rng.randrange(1, 10)))
        return "".join(chr(c) for c in points if not 0xD800 <= c < 0xE000)

    def look_alike():
        text = rng.choice(added) if added else "<|x|>"
        kind = rng.randrange(6)
        if kind == 0:
            return text
        at = rng.randrange(len(text) + 1)
        if kind == 1:
            return text[:at] + text
        if kind == 2:
            return text[:at]
        if kind == 3:
            return text[:at] + rng.choice(SPACES) + text[at:]
        if kind == 4:
            return rng.choice(SPACES) * rng.randrange(3) + text + rng.choice(SPACES) * rng.randrange(3)
        return rng.choice("aé_1 ") + unicodedata.normalize("NFD", text) + rng.choice("aé_1 ")

    def repeat():
        unit = rng.choice([rng.choice(SPACES), rng.choice(MARKS), rng.choice(WORDS), chr(rng.randrange(33, 127)), "\n", " "])
        return unit * rng.choice([1, 2, 3, 7, 20, 60, 200])

    def long_word():
        letters = rng.choice(["etaoinshr", "ab", "theing ", "=-/*", "的是不了", "\u0301\u0323\u030d\u0308", "аеиотн"])
        return "".join(rng.choice(letters) for _ in range(rng.randrange(20, 400)))

    return [block, anywhere, look_alike, repeat, long_word,
            lambda: "".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 7))),
            lambda: "".join(rng.choice(" \n\r\t") for _ in range(rng.randrange(1, 9))),
            lambda: "".join(rng.choice(CONTROLS) for _ in range(rng.randrange(1, 4))),
            lambda: rng.choice("aAeoéกكम가") + "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 9))),
            lambda: unicodedata.normalize(rng.choice(["NFD", "NFKD", "NFC"]), rng.choice(WORDS)),
            lambda: "".join(chr(rng.randrange(0x1100, 0x1200)) for _ in range(rng.randrange(1, 6))),
            lambda: rng.choice(CODE), lambda: rng.choice(WORDS), lambda: rng.choice(WORDS) + " ",
            lambda: "".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(1, 30)))]


def lines(count: int, seed: int, added: list[str]):
    rng = random.Random(seed)
    makers = pieces(rng, added)
    for _ in range(count):
        yield "".join(rng.choice(makers)() for _ in range(rng.randrange(0, 9)))


def answers_of(command: list[str], texts: list[str]) -> list[str]:
    with tempfile.NamedTemporaryFile("w+", suffix=".jsonl") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
        file.seek(0)
        named = [part.replace("{file}", file.name) for part in command]
        return subprocess.run(named, stdin=file, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="special tokens count as text (the command has to do so too)")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    reference = Tokenizer.from_file(options.tokenizer)
    reference.no_truncation()
    reference.no_padding()
    reference.encode_special_tokens = options.plain
    added = [token.content for token in reference.get_added_tokens_decoder().values()]
    texts = list(lines(options.lines, options.seed, added))
    answers = answers_of(options.command, texts)
    if len(answers) != len(texts):
        print(f"{len(texts)} lines went in, {len(answers)} came out")
        return 1
    wrong = 0
    for start in range(0, len(texts), 2000):
        block = texts[start:start + 2000]
        for i, expected in enumerate(reference.encode_batch(block, add_special_tokens=False), start):
            if json.loads(answers[i]) != expected.ids:
                wrong += 1
                if wrong <= 5:
                    print(f"line {i}: {texts[i]!a}\n  expected {expected.ids}\n  got      {answers[i]}")
    print(f"{len(texts)} lines, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
