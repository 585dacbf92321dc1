"""Tokenizer and chat form of the embedded model: byte-level BPE in the published Qwen form, trained on `corpus`.

Owns the ids of the added tokens. Files: tokenizer.json in the work folder.
"""

import functools
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from lab.tokenizer import ADDED, PATTERN

from . import corpus

VOCABULARY = 4096
TEMPLATE, THINKING_TEMPLATE = (Path(__file__).resolve().parents[1] / "templates" / f"{form}.jinja" for form in ("instruct", "thinking"))


def train() -> Tokenizer:
    """A tokenizer whose added tokens close a vocabulary of exactly VOCABULARY entries."""
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - len(ADDED), show_progress=False, min_frequency=2,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(corpus.lines(), trainer)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, special=special, normalized=False) for text, special in ADDED])
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(f"the lessons give {tokenizer.get_vocab_size()} tokens, not {VOCABULARY}")
    return tokenizer


def load(folder: Path) -> Tokenizer:
    """The tokenizer of a work folder, trained there the first time."""
    file = Path(folder) / "tokenizer.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        train().save(str(file))
    return Tokenizer.from_file(str(file))


class Codec:
    """Encodes strings, with a cache: lessons repeat themselves."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.ids = {text: tokenizer.token_to_id(text) for text, _ in ADDED}
        self.encode = functools.lru_cache(maxsize=65536)(self._encode)
        self.spans = functools.lru_cache(maxsize=65536)(self._spans)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """The characters (first, past the last) of each token of `text`."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).offsets)

    def spelled(self, text: str, free: tuple = ()) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """(ids, spans) of `text` with each character of its parts `free` (in order) a token of its own, the rest as usual.

        Words written in a picture that no list holds are answered so: seventy characters instead of thousands of pieces, each of
        which would have to be met many times. Ids decode to the same text."""
        ids, spans, at = [], [], 0

        def add(end, single):
            nonlocal at
            for part in (text[at:end] if single else [text[at:end]]):
                ids.extend(self.encode(part))
                spans.extend((at + a, at + b) for a, b in self.spans(part))
                at += len(part)

        for part in free:
            start = text.find(part, at)
            if start < 0:
                raise ValueError(f"{part!r} is not in {text[at:]!r}")
            add(start, False)
            add(start + len(part), True)
        add(len(text), False)
        return tuple(ids), tuple(spans)

    def spaced(self) -> list[list[int]]:
        """[with, without]: ids of the pieces that there are with a space before them and without."""
        vocabulary = self.tokenizer.get_vocab()
        pairs = [(i, vocabulary[piece[1:]]) for piece, i in vocabulary.items() if piece.startswith("Ġ") and piece[1:] in vocabulary]
        return [list(side) for side in zip(*sorted(pairs))]

    def decode(self, ids) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)
