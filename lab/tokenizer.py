"""A small byte-level BPE tokenizer in the published Qwen form: same normaliser, pre-tokenizer regex, added tokens in the
same roles and order, only with a few hundred entries instead of 151,643.

Owns: the training text (ours) and the layout of tokenizer.json and tokenizer_config.json."""
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")

# The published order; the flag is `special`.
ADDED = [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True), ("<|object_ref_start|>", True),
         ("<|object_ref_end|>", True), ("<|box_start|>", True), ("<|box_end|>", True), ("<|quad_start|>", True),
         ("<|quad_end|>", True), ("<|vision_start|>", True), ("<|vision_end|>", True), ("<|vision_pad|>", True),
         ("<|image_pad|>", True), ("<|video_pad|>", True), ("<tool_call>", False), ("</tool_call>", False),
         ("<|fim_prefix|>", False), ("<|fim_middle|>", False), ("<|fim_suffix|>", False), ("<|fim_pad|>", False),
         ("<|repo_name|>", False), ("<|file_sep|>", False), ("<tool_response>", False), ("</tool_response>", False),
         ("<think>", False), ("</think>", False)]

CORPUS = """\
The quick brown fox jumps over the lazy dog. What is shown in this picture? Describe the image in detail, please.
You are a helpful assistant. You may call one or more functions to assist with the user query. system user assistant tool
You are provided with function signatures within XML tags: For each function call, return a json object with function name
and arguments within XML tags: {"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}
{"type": "function", "function": {"name": "click", "description": "Click at a point.", "parameters": {"type": "object",
"properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["x", "y"]}}} <0.5 seconds><1.0 seconds>
{"bbox_2d": [12, 34, 560, 780], "label": "button"}, {"point_2d": [500, 250], "label": "the red circle"}
How many circles are there? Where is the blue square? Read the text on the sign. Compare the first and the second picture.
It's not what they've seen, and we're sure they'll say I'm right; don't you think he'd agree? Let me see the first frame.
def main(argv):\n    for i in range(10):\n        print(i, argv[i])\n    return 0\n#include <stdio.h>\nint main(void) { return 0; }
Où est la bibliothèque? Größe, Straße, naïve café, señor, ação. Привет, мир! Это картинка. Γειά σου Κόσμε.
你好，世界！这张图片里有什么？请描述图像。 こんにちは、この写真には何が写っていますか。 안녕하세요 그림 🙂 🎉
Picture 1: Picture 2: Video 1: The video shows a ball that moves from left to right. Time passes, then it stops.
The total is 1,024.50 and the date is 2024-06-30. Numbers: 0 1 2 3 4 5 6 7 8 9 10 100 1000. yes no true false null
""" * 2


def train(entries: int) -> Tokenizer:
    """A tokenizer of `entries` BPE entries followed by the added tokens."""
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=entries, show_progress=False, min_frequency=2,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS.split("\n"), trainer)
    if tokenizer.get_vocab_size() != entries:
        raise ValueError(f"the corpus gives only {tokenizer.get_vocab_size()} entries, not {entries}")
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, special=special, normalized=False) for text, special in ADDED])
    return tokenizer


def save(folder: Path, entries: int = 576, merges: str = "pairs", chat_template: str | None = None) -> dict:
    """Writes tokenizer.json and tokenizer_config.json; returns the ids of the added tokens by their text.
    `merges`: "pairs" (newer files) or "strings" (older ones)."""
    tokenizer = train(entries)
    data = json.loads(tokenizer.to_str())
    data["decoder"] = dict(data["post_processor"])  # as published; the flags mean nothing to a decoder
    if merges == "strings":
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    config = {
        "add_bos_token": False, "add_prefix_space": False,
        "added_tokens_decoder": {str(t["id"]): {"content": t["content"], "lstrip": False, "normalized": False,
                                                "rstrip": False, "single_word": False, "special": t["special"]}
                                 for t in data["added_tokens"]},
        "additional_special_tokens": [text for text, special in ADDED[1:] if special],
        "bos_token": None, "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": 262144, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None}
    if chat_template is not None:
        config["chat_template"] = chat_template
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    return {t["content"]: t["id"] for t in data["added_tokens"]}
