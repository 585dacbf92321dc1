"""Broken model files, derived from a good tiny one: each a recipe that changes a copy of a golden model.

Owns the list of faults. A recipe gets the copied folder and returns the path to open and words of which at least one must
be in the message, so that the message names the fault or the place.

usage: python hostile.py GOLDEN_DIR OUT_DIR    writes every case to OUT_DIR/<name>/ and lists what to open"""
import json
import shutil
import struct
import sys
from pathlib import Path

CASES = {}
U64_MAX = (1 << 64) - 1
GGUF_TYPES = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


def case(source: str, *words: str):
    """Registers a recipe for a copy of golden model `source`; the function's name is the case's."""
    def register(function):
        CASES[function.__name__] = (source, words, function)
        return function
    return register


def make(name: str, golden: Path, out: Path) -> tuple[Path, tuple]:
    """Copies and breaks; returns (path to open, words)."""
    source, words, recipe = CASES[name]
    folder = out / name
    shutil.copytree(golden / "models" / source / "model", folder)
    return recipe(folder) or folder, words


# ---- safetensors ----------------------------------------------------------------------------------------------------

FOLDER, SHARDED, PAIR, SPLIT = "linear", "moe", "gguf_legacy", "gguf_moe_split"


def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def edit_header(folder: Path, change, length=None) -> None:
    """Rewrites the JSON header through `change(header)`; data offsets stay as they were unless changed."""
    data = weights(folder).read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    body = change(header) or header
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    weights(folder).write_bytes(struct.pack("<Q", len(body) if length is None else length) + body + data[8 + size:])


def a_tensor(header: dict) -> dict:
    return header["model.language_model.layers.0.self_attn.q_proj.weight"]


@case(FOLDER, "model.safetensors")
def st_empty(folder):
    weights(folder).write_bytes(b"")


@case(FOLDER, "model.safetensors")
def st_seven_bytes(folder):
    weights(folder).write_bytes(b"\0" * 7)


@case(FOLDER, "header", "model.safetensors")
def st_header_cut(folder):
    weights(folder).write_bytes(weights(folder).read_bytes()[:300])


@case(FOLDER, "past", "end", "q_proj", "safetensors")
def st_data_cut(folder):
    data = weights(folder).read_bytes()
    weights(folder).write_bytes(data[:len(data) // 2])


@case(FOLDER, "header")
def st_header_length_huge(folder):
    edit_header(folder, lambda h: None, length=U64_MAX)


@case(FOLDER, "header")
def st_header_length_wraps(folder):
    edit_header(folder, lambda h: None, length=U64_MAX - 7)


@case(FOLDER, "header", "JSON")
def st_header_not_json(folder):
    edit_header(folder, lambda h: b"{" * 4096)


@case(FOLDER, "header", "JSON", "deep")
def st_header_nested(folder):
    edit_header(folder, lambda h: b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


@case(FOLDER, "header", "JSON", "object")
def st_header_array(folder):
    edit_header(folder, lambda h: b"[1, 2, 3]")


@case(FOLDER, "q_proj", "offset")
def st_offsets_past_end(folder):
    edit_header(folder, lambda h: a_tensor(h).update(data_offsets=[1 << 40, (1 << 40) + 16384]))


@case(FOLDER, "q_proj", "offset")
def st_offsets_reversed(folder):
    edit_header(folder, lambda h: a_tensor(h).update(data_offsets=a_tensor(h)["data_offsets"][::-1]))


@case(FOLDER, "q_proj", "offset")
def st_offsets_negative(folder):
    edit_header(folder, lambda h: a_tensor(h).update(data_offsets=[-16, 100]))


@case(FOLDER, "q_proj", "offset")
def st_offsets_strings(folder):
    edit_header(folder, lambda h: a_tensor(h).update(data_offsets=["0", "100"]))


@case(FOLDER, "overlap", "share", "q_proj", "v_proj")
def st_overlap(folder):
    """Twice as long as it was, over the next tensor: no byte is left out, some belong to two."""
    def change(header):
        start, end = a_tensor(header)["data_offsets"]
        a_tensor(header).update(dtype="F32", data_offsets=[start, end + end - start])
    edit_header(folder, change)


@case(FOLDER, "q_proj", "v_proj", "belong", "gap", "hole")
def st_bytes_of_no_tensor(folder):
    def change(header):
        same = header["model.language_model.layers.1.self_attn.q_proj.weight"]
        a_tensor(header).update(data_offsets=same["data_offsets"])
    edit_header(folder, change)


@case(FOLDER, "q_proj", "shape")
def st_shape_overflows(folder):
    edit_header(folder, lambda h: a_tensor(h).update(shape=[1 << 62, 1 << 62]))


@case(FOLDER, "q_proj", "shape")
def st_shape_negative(folder):
    edit_header(folder, lambda h: a_tensor(h).update(shape=[-128, 48]))


@case(FOLDER, "q_proj", "shape")
def st_shape_many_dimensions(folder):
    edit_header(folder, lambda h: a_tensor(h).update(shape=[1] * 5000))


@case(FOLDER, "q_proj", "shape")
def st_shape_not_of_config(folder):
    edit_header(folder, lambda h: a_tensor(h).update(shape=a_tensor(h)["shape"][::-1]))


@case(FOLDER, "I16")
def st_type_wrong(folder):
    edit_header(folder, lambda h: a_tensor(h).update(dtype="I16"))


@case(FOLDER, "q_proj", "type", "dtype")
def st_type_unknown(folder):
    edit_header(folder, lambda h: a_tensor(h).update(dtype="Z99"))


@case(FOLDER, "q_proj", "type", "dtype")
def st_type_number(folder):
    edit_header(folder, lambda h: a_tensor(h).update(dtype=5))


@case(FOLDER, "q_proj", "belong to no tensor")  # its bytes are noticed first
def st_tensor_missing(folder):
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    edit_header(folder, lambda h: {name + "x" if key == name else key: value for key, value in h.items()})


@case(FOLDER, "model.safetensors", "weights")
def st_file_missing(folder):
    weights(folder).unlink()


@case(SHARDED, "model-00002-of-00002.safetensors")
def st_shard_missing(folder):
    (folder / "model-00002-of-00002.safetensors").unlink()


def edit_index(folder: Path, change) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


@case(SHARDED, "outside", "path", "..", "name")
def st_index_leaves_folder(folder):
    edit_index(folder, lambda i: i["weight_map"].update({k: "../../../../etc/passwd" for k in i["weight_map"]}))


@case(SHARDED, "weight_map", "index")
def st_index_wrong_type(folder):
    edit_index(folder, lambda i: i.update(weight_map=[1, 2]))


@case(SHARDED, "weight_map", "index")
def st_index_value_wrong(folder):
    edit_index(folder, lambda i: i["weight_map"].update({k: 7 for k in i["weight_map"]}))


@case(SHARDED, "embed_tokens", "shard", "index")
def st_index_points_to_wrong_shard(folder):
    edit_index(folder, lambda i: i["weight_map"].update({k: "model-00002-of-00002.safetensors" for k in i["weight_map"]}))


# ---- config ----------------------------------------------------------------------------------------------------------

def edit_config(folder: Path, section: str | None, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    target = config[section] if section else config
    for key, value in changes.items():
        if value is ...:
            del target[key]
        else:
            target[key] = value
    path.write_text(json.dumps(config))


def config_case(name: str, words: tuple, section: str | None, **changes) -> None:
    def recipe(folder):
        edit_config(folder, section, **changes)
    recipe.__name__ = name
    case(FOLDER, *words)(recipe)


for field, short in (("hidden_size", "hidden"), ("num_hidden_layers", "layers"), ("num_attention_heads", "heads"),
                     ("num_key_value_heads", "kv_heads"), ("head_dim", "head_dim"), ("intermediate_size", "ffn"), ("vocab_size", "vocab")):
    for label, value in (("zero", 0), ("negative", -4), ("huge", 1 << 40), ("overflow", 1 << 62), ("string", "64"), ("fraction", 2.5),
                         ("list", [64]), ("wrong", 17)):
        config_case(f"config_{short}_{label}", (field, short, "weight", "heads", "layers"), "text_config", **{field: value})
for field in ("hidden_size", "depth", "num_heads", "patch_size", "spatial_merge_size", "num_position_embeddings", "temporal_patch_size"):
    for label, value in (("zero", 0), ("negative", -1), ("huge", 1 << 40), ("string", "x")):
        config_case(f"config_vision_{field}_{label}", (field, "vision", "visual"), "vision_config", **{field: value})
config_case("config_taps_past_depth", ("deepstack",), "vision_config", deepstack_visual_indexes=[0, 99])
config_case("config_taps_negative", ("deepstack",), "vision_config", deepstack_visual_indexes=[-1])
config_case("config_taps_many", ("deepstack",), "vision_config", deepstack_visual_indexes=list(range(1000)))
config_case("config_taps_strings", ("deepstack",), "vision_config", deepstack_visual_indexes=["a"])
config_case("config_no_text", ("text_config", "hidden_size"), None, text_config=...)
config_case("config_text_number", ("text_config",), None, text_config=5)
config_case("config_other_architecture", ("llama", "model_type", "architecture"), None, model_type="llama", architectures=["LlamaForCausalLM"])
config_case("config_position_table_not_square", ("num_position_embeddings",), "vision_config", num_position_embeddings=200)
for label, rope in (("section_sum", {"mrope_section": [100, 100, 100], "rope_type": "default", "mrope_interleaved": True}),
                    ("section_negative", {"mrope_section": [-12, 30, 14], "rope_type": "default", "mrope_interleaved": True}),
                    ("section_short", {"mrope_section": [12], "rope_type": "default", "mrope_interleaved": True}),
                    ("type_unknown", {"mrope_section": [12, 10, 10], "rope_type": "magic", "mrope_interleaved": True}),
                    ("factor_zero", {"mrope_section": [12, 10, 10], "rope_type": "linear", "factor": 0}),
                    ("factor_nan", {"mrope_section": [12, 10, 10], "rope_type": "yarn", "factor": "nan"}),
                    ("theta_zero", {"mrope_section": [12, 10, 10], "rope_type": "default", "rope_theta": 0}),
                    ("list", [1, 2])):
    config_case(f"config_rope_{label}", ("rope", "mrope", "factor", "theta"), "text_config", rope_parameters=rope)


def broken_json(name: str, file: str, text: bytes, source: str = FOLDER) -> None:
    def recipe(folder):
        (folder / file).write_bytes(text)
    recipe.__name__ = name
    case(source, file, file.split(".")[0], "JSON")(recipe)


for label, text in (("empty", b""), ("cut", b'{"architectures": ["Qwen3VL'), ("deep", b"[" * 500_000), ("array", b"[]"), ("nul", b"{\0}"),
                    ("not_utf8", b'{"model_type": "\xff\xfe"}')):
    broken_json(f"json_config_{label}", "config.json", text)
for label, text in (("cut", b'{"model": {"type": "BPE", "vocab": {"a": '), ("array", b"[]"), ("no_model", b"{}"), ("deep", b'{"model":' + b"[" * 300_000)):
    broken_json(f"json_tokenizer_{label}", "tokenizer.json", text)


def tokenizer_case(name: str, change) -> None:
    """`change(tokenizer)` breaks the parsed tokenizer.json."""
    def recipe(folder):
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        change(tokenizer)
        path.write_text(json.dumps(tokenizer), encoding="utf-8")
    recipe.__name__ = name
    case(FOLDER, "tokenizer.json")(recipe)


tokenizer_case("tokenizer_id_negative", lambda t: t["model"]["vocab"].update(a=-1))
tokenizer_case("tokenizer_id_huge", lambda t: t["model"]["vocab"].update(a=1 << 40))
tokenizer_case("tokenizer_id_string", lambda t: t["model"]["vocab"].update(a="7"))
tokenizer_case("tokenizer_vocab_list", lambda t: t["model"].update(vocab=["a", "b"]))
tokenizer_case("tokenizer_merge_unknown", lambda t: t["model"]["merges"].append(["x\u0001", "y\u0001"]))
tokenizer_case("tokenizer_merge_number", lambda t: t["model"]["merges"].append(5))
tokenizer_case("tokenizer_merge_triple", lambda t: t["model"]["merges"].append(["a", "b", "c"]))
tokenizer_case("tokenizer_model_other", lambda t: t["model"].update(type="Unigram"))
tokenizer_case("tokenizer_pattern_broken", lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "(((("}))
for label, text in (("cut", b'{"size": {'), ("array", b"[1]"), ("size_string", b'{"size": "big"}'), ("mean_short", b'{"image_mean": [0.5]}'),
                    ("std_zero", b'{"image_std": [0, 0, 0]}'), ("pixels_negative", b'{"size": {"shortest_edge": -5, "longest_edge": -1}}')):
    broken_json(f"json_processor_{label}", "preprocessor_config.json", text)
broken_json("json_generation_cut", "generation_config.json", b'{"top_k": ')
broken_json("json_index_cut", "model.safetensors.index.json", b'{"weight_map": {', SHARDED)


@case(FOLDER, "config.json", "not", "model")
def folder_without_config(folder):
    (folder / "config.json").unlink()


@case(FOLDER, "no such", "cannot", "not")
def path_missing(folder):
    return folder / "nothing-here"


# ---- GGUF ------------------------------------------------------------------------------------------------------------

def gguf_file(folder: Path) -> Path:
    return folder / "gguf_legacy.gguf"


def mmproj_file(folder: Path) -> Path:
    return folder / "mmproj-gguf_legacy.gguf"


class Layout:
    """Where things are in a GGUF file: key -> (type's offset, value's offset), tensor -> offsets of its fields."""

    def __init__(self, data: bytes):
        self.data, self.keys, self.tensors = data, {}, {}
        _, self.version, self.tensor_count, self.key_count = struct.unpack_from("<4sIQQ", data)
        at = 24
        for _ in range(self.key_count):
            name, at = self.string(at)
            self.keys[name] = (at, at + 4)
            at = self.skip(struct.unpack_from("<I", data, at)[0], at + 4)
        for _ in range(self.tensor_count):
            start = at
            name, at = self.string(at)
            dims = struct.unpack_from("<I", data, at)[0]
            shape = at + 4
            kind = shape + 8 * dims
            self.tensors[name] = {"name": start, "dims": at, "shape": shape, "type": kind, "offset": kind + 4}
            at = kind + 12
        self.infos_end = at

    def string(self, at):
        size = struct.unpack_from("<Q", self.data, at)[0]
        return self.data[at + 8:at + 8 + size].decode("utf-8", "replace"), at + 8 + size

    def skip(self, kind, at):
        if kind == 8:
            return self.string(at)[1]
        if kind == 9:
            inner, count = struct.unpack_from("<IQ", self.data, at)
            at += 12
            if inner != 8:
                return at + count * struct.calcsize(GGUF_TYPES[inner])
            for _ in range(count):
                at = self.string(at)[1]
            return at
        return at + struct.calcsize(GGUF_TYPES[kind])


def poke(path: Path, at: int, form: str, *values) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, at, *values)
    path.write_bytes(data)


def gguf_case(name: str, words: tuple, change, mmproj=False, source: str = PAIR) -> None:
    """`change(path, layout)` breaks the text file, or the mmproj; the text file is what is opened."""
    def recipe(folder):
        path = mmproj_file(folder) if mmproj else gguf_file(folder)
        change(path, Layout(path.read_bytes()))
        return gguf_file(folder)
    recipe.__name__ = name
    case(source, *words)(recipe)


def put(where, form, *values):
    """A change that writes at the offset `where(layout)`."""
    return lambda path, layout: poke(path, where(layout), form, *values)


def cut(share: float):
    return lambda path, layout: path.write_bytes(path.read_bytes()[:int(len(layout.data) * share)])


Q0 = "blk.0.attn_q.weight"
gguf_case("gguf_empty", ("gguf",), cut(0))
gguf_case("gguf_magic", ("magic", "GGUF"), put(lambda g: 0, "<4s", b"FUGG"))
gguf_case("gguf_version_1", ("version",), put(lambda g: 4, "<I", 1))
gguf_case("gguf_version_big_endian", ("version", "endian"), put(lambda g: 4, ">I", 3))
gguf_case("gguf_tensor_count_huge", ("tensor", "count"), put(lambda g: 8, "<Q", U64_MAX))
gguf_case("gguf_tensor_count_more", ("tensor", "end", "past"), put(lambda g: 8, "<Q", 100_000_000))
gguf_case("gguf_key_count_huge", ("key", "count"), put(lambda g: 16, "<Q", U64_MAX))
gguf_case("gguf_key_count_more", ("key", "past", "end", "tensor"), put(lambda g: 16, "<Q", 1000))
gguf_case("gguf_key_name_huge", ("key", "string", "long", "end"), put(lambda g: 24, "<Q", U64_MAX - 8))
gguf_case("gguf_cut_in_header", ("end", "past", "cut", "trunc"), lambda p, g: p.write_bytes(g.data[:20]))
gguf_case("gguf_cut_in_keys", ("end", "past", "cut", "trunc"), lambda p, g: p.write_bytes(g.data[:g.keys["tokenizer.ggml.tokens"][1] + 1000]))
gguf_case("gguf_cut_in_tensors", ("end", "past", "cut", "trunc"), lambda p, g: p.write_bytes(g.data[:g.infos_end - 40]))
gguf_case("gguf_cut_in_data", ("end", "past", "blk", "weight"), cut(0.6))
gguf_case("gguf_value_type_unknown", ("type", "rope"), put(lambda g: g.keys["qwen3vl.rope.freq_base"][0], "<I", 77))
gguf_case("gguf_value_type_wrong", ("embedding_length",), put(lambda g: g.keys["qwen3vl.embedding_length"][0], "<I", 6))
gguf_case("gguf_array_count_huge", ("token", "array", "end", "past"), put(lambda g: g.keys["tokenizer.ggml.tokens"][1] + 4, "<Q", U64_MAX))
gguf_case("gguf_array_of_arrays", ("token", "array", "type"), put(lambda g: g.keys["tokenizer.ggml.tokens"][1], "<I", 9))
gguf_case("gguf_string_huge", ("token", "string", "end", "past"), put(lambda g: g.keys["tokenizer.ggml.tokens"][1] + 12, "<Q", 1 << 63))
gguf_case("gguf_dims_many", (Q0, "dimension"), put(lambda g: g.tensors[Q0]["dims"], "<I", 1 << 30))
gguf_case("gguf_dims_zero", (Q0, "shape", "dimension"), put(lambda g: g.tensors[Q0]["dims"], "<I", 0))
gguf_case("gguf_shape_overflows", (Q0, "shape", "large", "overflow"), put(lambda g: g.tensors[Q0]["shape"], "<QQ", 1 << 62, 1 << 62))
gguf_case("gguf_shape_zero", (Q0, "shape"), put(lambda g: g.tensors[Q0]["shape"], "<Q", 0))
gguf_case("gguf_shape_negative", (Q0, "shape"), put(lambda g: g.tensors[Q0]["shape"], "<q", -64))
gguf_case("gguf_shape_not_of_config", (Q0, "shape", "past", "end"), put(lambda g: g.tensors[Q0]["shape"], "<QQ", 128, 64))
gguf_case("gguf_row_not_of_blocks", (Q0, "block", "row", "shape"), put(lambda g: g.tensors[Q0]["shape"], "<QQ", 17, 8))
gguf_case("gguf_type_unknown", (Q0, "type"), put(lambda g: g.tensors[Q0]["type"], "<I", 4242))
gguf_case("gguf_type_rows", (Q0, "rows", "type"), put(lambda g: g.tensors[Q0]["type"], "<I", 16))
gguf_case("gguf_type_unsupported", ("IQ4_NL",), put(lambda g: g.tensors[Q0]["type"], "<I", 20))  # as long as Q4_0
gguf_case("gguf_type_integer", ("I16",), put(lambda g: g.tensors["blk.0.ffn_down.weight"]["type"], "<I", 25))  # as long as F16
gguf_case("gguf_offset_past_end", (Q0, "end", "past"), put(lambda g: g.tensors[Q0]["offset"], "<Q", 1 << 50))
gguf_case("gguf_offset_wraps", (Q0, "end", "past"), put(lambda g: g.tensors[Q0]["offset"], "<Q", U64_MAX - 31))
gguf_case("gguf_offset_unaligned", (Q0, "align"), put(lambda g: g.tensors[Q0]["offset"], "<Q", 33))
gguf_case("gguf_overlap", ("overlap", "blk"), put(lambda g: g.tensors[Q0]["offset"], "<Q", 0))
gguf_case("gguf_alignment_zero", ("align",), lambda p, g: add_key(p, g, b"general.alignment", 4, struct.pack("<I", 0)))
gguf_case("gguf_alignment_odd", ("align",), lambda p, g: add_key(p, g, b"general.alignment", 4, struct.pack("<I", 3)))
gguf_case("gguf_alignment_string", ("align",), lambda p, g: add_key(p, g, b"general.alignment", 8, struct.pack("<Q", 1) + b"x"))
gguf_case("gguf_architecture_other", ("llama12", "architecture"), lambda p, g: p.write_bytes(g.data.replace(b"qwen3vl", b"llama12")))
gguf_case("gguf_tensor_twice", ("twice", "duplicate", "blk"), lambda p, g: p.write_bytes(g.data.replace(b"blk.1.attn_q.weight", b"blk.0.attn_q.weight")))
gguf_case("gguf_tensor_missing", ("blk.1.attn_q", "missing"), lambda p, g: p.write_bytes(g.data.replace(b"blk.1.attn_q.weight", b"blk.1.attn_z.weight")))
gguf_case("gguf_layers_more", ("blk.2", "missing", "block_count"), put(lambda g: g.keys["qwen3vl.block_count"][1], "<I", 3))
gguf_case("gguf_layers_huge", ("block_count", "layers"), put(lambda g: g.keys["qwen3vl.block_count"][1], "<I", 0xFFFFFFFF))
gguf_case("gguf_heads_zero", ("head_count", "heads"), put(lambda g: g.keys["qwen3vl.attention.head_count"][1], "<I", 0))
gguf_case("gguf_kv_heads_more", ("head", "heads", "attn_k"), put(lambda g: g.keys["qwen3vl.attention.head_count_kv"][1], "<I", 3))
gguf_case("gguf_eps_nan", ("epsilon", "eps"), put(lambda g: g.keys["qwen3vl.attention.layer_norm_rms_epsilon"][1], "<f", float("nan")))
gguf_case("gguf_theta_nan", ("freq_base", "theta"), put(lambda g: g.keys["qwen3vl.rope.freq_base"][1], "<f", float("nan")))
gguf_case("mmproj_empty", ("mmproj",), cut(0), mmproj=True)
gguf_case("mmproj_cut", ("mmproj", "end", "past"), cut(0.5), mmproj=True)
gguf_case("mmproj_projector_other", ("projector",), lambda p, g: p.write_bytes(g.data.replace(b"qwen3vl_merger", b"qwen9vl_merger")), mmproj=True)
gguf_case("mmproj_heads_zero", ("head_count", "heads"), put(lambda g: g.keys["clip.vision.attention.head_count"][1], "<I", 0), mmproj=True)
gguf_case("mmproj_heads_more", ("head_count", "heads", "head"), put(lambda g: g.keys["clip.vision.attention.head_count"][1], "<I", 7), mmproj=True)
gguf_case("mmproj_width_other", ("projection_dim", "mm.2", "hidden", "embedding_length"), put(lambda g: g.keys["clip.vision.projection_dim"][1], "<I", 128), mmproj=True)
gguf_case("mmproj_patch_missing", ("v.patch_embd",), lambda p, g: p.write_bytes(g.data.replace(b"v.patch_embd.weight.1", b"v.patch_embd.weight.7")), mmproj=True)
gguf_case("mmproj_tap_missing", ("deepstack",), lambda p, g: p.write_bytes(g.data.replace(b"v.deepstack.0.fc1.weight", b"v.deepstack.0.fc9.weight")), mmproj=True)


def add_key(path: Path, layout: Layout, name: bytes, kind: int, value: bytes) -> None:
    """One more key in front; the data section moves to its new aligned place."""
    data = layout.data
    head = bytearray(data[:24])
    struct.pack_into("<Q", head, 16, layout.key_count + 1)
    infos = struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value + data[24:layout.infos_end]
    old_data = -(-layout.infos_end // 32) * 32
    path.write_bytes(bytes(head) + infos + b"\0" * (-(24 + len(infos)) % 32) + data[old_data:])


@case(SPLIT, "-00002-of-", "split")
def gguf_split_missing(folder):
    second = sorted(folder.glob("gguf_moe_split-00002-of-*.gguf"))[0]
    second.unlink()
    return sorted(folder.glob("gguf_moe_split-00001-of-*.gguf"))[0]


@case(SPLIT, "split")
def gguf_split_order(folder):
    """Every part is a copy of the first: the parts point at each other in a circle."""
    parts = sorted(folder.glob("gguf_moe_split-*.gguf"))
    for part in parts[1:]:
        part.write_bytes(parts[0].read_bytes())
    return parts[0]


@case(SPLIT, "split")
def gguf_split_count_huge(folder):
    first = sorted(folder.glob("gguf_moe_split-00001-of-*.gguf"))[0]
    poke(first, Layout(first.read_bytes()).keys["split.count"][1], "<H", 65535)
    return first


@case(SPLIT, "split")
def gguf_split_tensor_count(folder):
    first = sorted(folder.glob("gguf_moe_split-00001-of-*.gguf"))[0]
    layout = Layout(first.read_bytes())
    poke(first, layout.keys["split.tensors.count"][1], "<i", 3)
    return first


@case(PAIR, "gguf_legacy", "several", "which")
def gguf_folder_asks_which(folder):
    shutil.copy(gguf_file(folder), folder / "other.gguf")


def main() -> None:
    golden, out = Path(sys.argv[1]), Path(sys.argv[2])
    for name in CASES:
        path, words = make(name, golden, out)
        print(f"{path}\t{'|'.join(words)}")


if __name__ == "__main__":
    main()
