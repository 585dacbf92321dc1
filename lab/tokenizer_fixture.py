"""Writes tests/text/data/: small tokenizers of every supported variant, and what the `tokenizers` library makes of texts.

    python lab/tokenizer_fixture.py

The tokenizer of each variant is <name>.json; cases.json holds, for each, texts with their ids (special tokens parsed, and
as plain text) and what decoding the ids gives with and without the special tokens. words.json holds, for each pattern, texts
and the words it cuts them into (ids of a small vocabulary do not show every cut)."""
import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers

import tokenizer as base
import tokenizer_fuzz

OUT = Path(__file__).resolve().parent.parent / "tests" / "text" / "data"
ENTRIES = 480
CONTRACTIONS, SPACES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"|\s*[\r\n]+|\s+(?!\S)|\s+"
MARKS = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES)
THREE_DIGITS = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES)
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}

TEXTS = ["", " ", "\n", "a", "Hello, world!", "  two  spaces  ", "line\r\n\r\n  next\n\n\n", "tab\t\tx", "I'm you'LL it'ſ 's 'S",
         "1234567 x1y22z333", "e\u0301 \u00e9 a\u0323\u0307 a\u0307\u0323", "\u1100\u1161\u11a8 \uac00\u11a8",
         "\u0301\u0301start", "a\u030d\u0301 a\u0301\u030d a\u0323\u0301\u0302", "nul\x00nul", "it'ſx 'ſ", "\uac01\u0301 \ud55c\u0323\uae00", "😀👩‍👩‍👧", "中文，标点。", "नमस्ते दुनिया", "\u2126\u212b\u0958\u2adc",
         "<|im_start|>user\nhi<|im_end|>\n", "<|im_start|><|im_end|><|im_sta", "<think>\n\n</think>\n\n", "x" * 70, " " * 70,
         "ab" * 40, "\n " * 30, "the the the the the the the the the the the the the the the the the the", "\ufffd\ufeff\u200b"]


RNG = random.Random(3)
# Words over the length where merging changes its method, with pairs that arise out of order.
LONG = ["".join(RNG.choice(letters) for _ in range(90)) for letters in ("etaoinshr", "inger", "the ", "*=-")]


def split(pattern: str) -> dict:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def added(content: str, **flags) -> dict:
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False, **flags}


def with_flags(data: dict) -> None:
    """Added tokens of all kinds: stripping, whole words, normalised, nested in each other, already in the vocabulary."""
    data["added_tokens"] += [
        added("<l>", lstrip=True), added("<r>", rstrip=True), added("<lr>", lstrip=True, rstrip=True, special=True),
        added("word", single_word=True), added("<n>", normalized=True), added("e\u0301#", normalized=True),
        added("\u00f6\u00f6", normalized=True), added("\u212b\u212b"), added("wordy"), added("<|im_start|>x"),
        added("the", single_word=True, lstrip=True), added("m_end|>"), added("   ", normalized=True), added("\u00e9t\u00e9"),
        added("\u4e2d", rstrip=True, normalized=True), added("<r>", rstrip=True, special=True)]


def variants() -> dict[str, dict]:
    def fresh() -> dict:
        return json.loads(base.train(ENTRIES).to_str())

    made = {"published": fresh(), "flags": fresh(), "marks": fresh(), "strings": fresh(), "gpt2": fresh(), "sparse": fresh(),
            "pieces": fresh()}
    with_flags(made["flags"])
    made["marks"]["pre_tokenizer"]["pretokenizers"][0] = split(MARKS)
    strings = made["strings"]  # older spelling, no normaliser, words of the vocabulary taken whole
    strings["model"]["merges"] = [" ".join(pair) for pair in strings["model"]["merges"]]
    strings["model"]["ignore_merges"] = True
    strings["normalizer"] = None
    strings["pre_tokenizer"]["pretokenizers"][0] = split(THREE_DIGITS)
    strings["model"]["vocab"]["unreachable"] = ENTRIES  # in no merge: only ignore_merges finds it
    strings["model"]["vocab"]["Ġhello"] = ENTRIES + 1
    made["gpt2"]["pre_tokenizer"] = {**BYTE_LEVEL, "use_regex": True}
    made["gpt2"]["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFC"}]}
    sparse = made["sparse"]  # bytes without a token are dropped
    used = {part for pair in sparse["model"]["merges"] for part in (*pair, "".join(pair))}
    sparse["model"]["vocab"] = {token: i for token, i in sparse["model"]["vocab"].items() if token in used}
    made["pieces"]["pre_tokenizer"]["pretokenizers"] = [
        {"type": "Split", "pattern": {"String": "ar"}, "behavior": "Isolated", "invert": False},
        split(r"[A-Z]?[a-z]+|\d+|\p{P}\p{P}?|\s+$"),
        {"type": "Sequence", "pretokenizers": [BYTE_LEVEL]}]
    return made


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def write_words() -> None:
    texts = TEXTS + [text for text in tokenizer_fuzz.lines(60, 5, []) if len(text) < 40]
    cases = []
    for pattern in (base.PATTERN, MARKS, THREE_DIGITS, GPT2):
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
        cases.append({"pattern": pattern,
                      "rows": [[word for word, _ in cut.pre_tokenize_str(text)] for text in texts if text]})
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (OUT / "words.json").write_text(f"[\n{lines}\n]\n")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, data in variants().items():
        for part in ("truncation", "padding"):
            data[part] = None
        (OUT / f"{name}.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
        reference = Tokenizer.from_file(str(OUT / f"{name}.json"))
        tokens = [token.content for token in reference.get_added_tokens_decoder().values()]
        texts = TEXTS + ["unreachable hello unreachable", "a<l>  <l> b<r>  <r>c <lr> wordy word words word", "été   ÅÅ中 x"]
        texts += [text for text in tokenizer_fuzz.lines(100, 7, tokens) if len(text) < 90][:28]
        texts += LONG
        rows = []
        for text in texts:
            reference.encode_special_tokens = False
            ids = reference.encode(text, add_special_tokens=False).ids
            reference.encode_special_tokens = True
            plain = reference.encode(text, add_special_tokens=False).ids
            rows.append({"text": text, "ids": ids, "plain": plain, "shown": reference.decode(ids),
                         "whole": reference.decode(ids, skip_special_tokens=False)})
        cases[name] = {"size": max(reference.get_vocab().values()) + 1, "rows": rows}
    lines = (f" {json.dumps(name)}: {{\"size\": {case['size']}, \"rows\": [\n  " +
             ",\n  ".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in case["rows"]) + "]}"
             for name, case in cases.items())
    (OUT / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    write_words()
    print({path.name: path.stat().st_size for path in sorted(OUT.iterdir())})


if __name__ == "__main__":
    main()
