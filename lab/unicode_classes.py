"""Writes src/text/unicode_tables.h: the character classes and the NFC data that the `tokenizers` library really uses.

Its regular expressions, its added-token matching and its normaliser each follow a Unicode version of their own, and none of
them is the one of Python or of a system library. So nothing is taken from a Unicode table here: every code point is put
through the library and the answer is what counts. Run again when the pinned version of `tokenizers` changes:

    python lab/unicode_classes.py          # rewrites the header
    python lab/unicode_classes.py --check  # fails if the committed header differs
"""
import argparse
import sys
from collections import defaultdict
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

HEADER = Path(__file__).resolve().parent.parent / "src" / "text" / "unicode_tables.h"
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
NFC, NFD = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
HANGUL = range(0xAC00, 0xAC00 + 11172)
FLAGS = ["LETTER", "NUMBER", "MARK", "SPACE", "WORD", "NFC_UNSAFE", "DECOMPOSES"]


def regex_class(name: str) -> set[int]:
    """Code points that `name` matches in a Split pre-tokenizer: what is left after removing the others."""
    kept = set()
    text = "".join(map(chr, SCALARS))
    for piece, _ in pre_tokenizers.Split(Regex(f"[^{name}]+"), "removed").pre_tokenize_str(text):
        kept.update(map(ord, piece))
    return kept


def added_token_class(**flags) -> set[int]:
    """Code points c for which an added token with `flags` behaves differently after c than at the start of the text:
    single_word refuses to match after a word character, lstrip swallows a white-space character."""
    tokenizer = Tokenizer(models.BPE(vocab={"@": 0}, merges=[]))
    tokenizer.add_tokens([AddedToken("@@", normalized=False, **flags)])
    token = tokenizer.token_to_id("@@")
    found = set()
    for start in range(0, len(SCALARS), 4096):
        block = SCALARS[start:start + 4096]
        encodings = tokenizer.encode_batch([chr(c) + "@@" for c in block])
        for c, encoding in zip(block, encodings):
            plain = encoding.ids == [token] and encoding.offsets == [(1, 3)]
            if not plain and c != ord("@"):
                found.add(c)
    return found


def combining_classes() -> dict[int, int]:
    """Canonical combining classes, from which neighbours the library swaps."""
    probe = {c for c in SCALARS if c not in HANGUL and NFD(chr(c)) == chr(c)
             and (NFD(chr(c) + "\u0334") != chr(c) + "\u0334" or NFD("\u0345" + chr(c)) != "\u0345" + chr(c))}
    probe |= {0x334, 0x345}
    # Sort the marks by class: a is of a lower class than b when (b, a) is swapped. Equal classes never swap.
    levels: list[list[int]] = []
    for c in sorted(probe):
        for i, level in enumerate(levels):
            if NFD(chr(level[0]) + chr(c)) != chr(level[0]) + chr(c):  # c belongs before this level
                levels.insert(i, [c])
                break
            if NFD(chr(c) + chr(level[0])) == chr(c) + chr(level[0]):  # neither order moves: the same level
                level.append(c)
                break
        else:
            levels.append([c])
    # Only the order matters to the algorithm, so a class is numbered by its rank.
    return {c: rank for rank, level in enumerate(levels, 1) for c in level}


def nfc_data():
    decompositions, compositions, seconds = {}, {}, set()
    for c in SCALARS:
        if c in HANGUL:
            continue
        full = NFD(chr(c))
        if full == chr(c):
            continue
        decompositions[c] = [ord(x) for x in full]
        if NFC(chr(c)) == chr(c):
            first, second = NFC(full[:-1]), full[-1]
            if len(first) != 1 or NFC(first + second) != chr(c):
                raise ValueError(f"U+{c:04X} is not composed of a pair")
            compositions[ord(first), ord(second)] = c
            seconds.add(ord(second))
    return decompositions, compositions, seconds


def stages(values: list[int]):
    """The smallest three-stage table: values[c] == third[second[first[c >> (a+b)] << a | (c >> b & mask)] << b | low]."""
    def split(data, shift):
        blocks, index = {}, []
        for i in range(0, len(data), 1 << shift):
            index.append(blocks.setdefault(tuple(data[i:i + (1 << shift)]), len(blocks)))
        return index, [x for block in blocks for x in block]
    best = None
    for b in range(3, 8):
        middle, third = split(values, b)
        for a in range(3, 8):
            first, second = split(middle, a)
            size = len(third) + 2 * len(second) + len(first) * (1 if max(first) < 256 else 2)
            if best is None or size < best[0]:
                best = size, a, b, first, second, third
    return best[1:]


def array(kind: str, name: str, data) -> str:
    lines, line = [], "   "
    for item in data:
        item = f" {item},"
        if len(line) + len(item) > 120:
            lines.append(line)
            line = "   "
        line += item
    lines.append(line)
    return f"static const {kind} {name}[{len(data)}] = {{\n" + "\n".join(lines) + "\n};\n"


def make() -> str:
    classes = [regex_class(r"\p{L}"), regex_class(r"\p{N}"), regex_class(r"\p{M}"), regex_class(r"\s")]
    word, space = added_token_class(single_word=True), added_token_class(lstrip=True)
    if space != classes[3]:
        raise ValueError("the two meanings of white space differ: they need a bit each")
    ccc = combining_classes()
    decompositions, compositions, seconds = nfc_data()
    # Hangul vowels and trailing consonants compose with what precedes them, by arithmetic.
    unsafe = set(ccc) | seconds | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    unsafe |= {c for c in decompositions if NFC(chr(c)) != chr(c)}
    classes += [word, unsafe, set(decompositions)]

    properties, values = {(0, 0): 0}, [0] * 0x110000
    flags = defaultdict(int)
    for bit, members in enumerate(classes):
        for c in members:
            flags[c] |= 1 << bit
    for c in set(flags) | set(ccc):
        values[c] = properties.setdefault((flags[c], ccc.get(c, 0)), len(properties))
    if len(properties) > 256:
        raise ValueError("more than 256 kinds of characters")
    a, b, first, second, third = stages(values)

    singles = sorted((c, d[0]) for c, d in decompositions.items() if len(d) == 1)
    longer = sorted((c, d) for c, d in decompositions.items() if len(d) > 1)
    pool = [x for _, d in longer for x in d]
    starts = [0]
    for _, d in longer:
        starts.append(starts[-1] + len(d))
    pairs = sorted((s, f, c) for (f, s), c in compositions.items())
    out = [f"""/* Made by lab/unicode_classes.py from what tokenizers {tokenizers.__version__} answers for every code point; do not edit.
 *
 * Character classes as its regular expressions (LETTER NUMBER MARK SPACE) and its added tokens (WORD SPACE) see them, and
 * NFC as its normaliser computes it. Combining classes are ranks: only their order has a meaning. */
#ifndef WEFT_TEXT_UNICODE_TABLES_H
#define WEFT_TEXT_UNICODE_TABLES_H

#include <stdint.h>
"""]
    out.append("enum {\n" + "".join(f"    UNICODE_{name} = {1 << i},\n" for i, name in enumerate(FLAGS)) +
               f"    UNICODE_SHIFT_HIGH = {a},\n    UNICODE_SHIFT_LOW = {b},\n"
               f"    UNICODE_COMBINING_CLASSES = {max(ccc.values()) + 1}, /* 0 … {max(ccc.values())} */\n"
               f"    UNICODE_SINGLES = {len(singles)},\n    UNICODE_LONGER = {len(longer)},\n"
               f"    UNICODE_PAIRS = {len(pairs)},\n}};\n")
    out.append("/* Flags of ASCII, for the fast path. */")
    out.append(array("uint8_t", "unicode_ascii", [flags[c] for c in range(128)]))
    out.append("/* {flags, combining class} by property number. */")
    out.append(array("uint8_t", "unicode_properties", [x for p in properties for x in p]))
    out.append(array("uint8_t" if max(first) < 256 else "uint16_t", "unicode_first", first))
    out.append(array("uint16_t", "unicode_second", second))
    out.append(array("uint8_t", "unicode_third", third))
    out.append("/* Full canonical decompositions to one character: sorted by the character; then the same, longer. */")
    out.append(array("uint32_t", "unicode_single_from", [x for x, _ in singles]))
    out.append(array("uint32_t", "unicode_single_to", [x for _, x in singles]))
    out.append(array("uint32_t", "unicode_longer_from", [x for x, _ in longer]))
    out.append(array("uint16_t", "unicode_longer_start", starts))
    out.append(array("uint32_t", "unicode_longer_to", pool))
    out.append("/* Primary composites, sorted by (second, first). */")
    out.append(array("uint32_t", "unicode_pair_second", [x[0] for x in pairs]))
    out.append(array("uint32_t", "unicode_pair_first", [x[1] for x in pairs]))
    out.append(array("uint32_t", "unicode_pair_composite", [x[2] for x in pairs]))
    out.append("#endif")
    return "\n".join(out) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed header instead of writing it")
    text = make()
    if parser.parse_args().check:
        same = HEADER.read_text() == text
        print("the header is what the library answers" if same else "the header differs from what the library answers")
        return 0 if same else 1
    HEADER.write_text(text)
    print(f"{HEADER.name}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
