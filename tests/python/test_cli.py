"""The command line: help, options, every command on a small random model, errors as one line and exit code 1.

WEFT_BIN names the program."""
import json
import os
import random
import signal
import subprocess
from pathlib import Path

import numpy as np
import numpy as np
import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MODEL = GOLDEN / "models" / "dense_tied" / "model"
GGUF = GOLDEN / "models" / "gguf_legacy" / "model" / "gguf_legacy.gguf"
PICTURE = GOLDEN / "media" / "small.png"
COMMANDS = ["serve", "chat", "inspect", "generate", "bench", "dump", "tokenize", "detokenize", "cache"]


def weft(*arguments, stdin: str | bytes = b"", **options) -> subprocess.CompletedProcess:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([os.environ["WEFT_BIN"], *map(str, arguments)], input=data, capture_output=True, timeout=120, **options)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    return done


def succeed(*arguments, **options) -> str:
    done = weft(*arguments, **options)
    assert done.returncode == 0, done.err
    return done.out


def fail(*arguments, code: int = 1, **options) -> str:
    """The message of a command that fails: one line on standard error."""
    done = weft(*arguments, **options)
    lines = [line for line in done.err.splitlines() if not line.startswith("weft: warning: ")]
    assert done.returncode == code and len(lines) == 1 and lines[0].startswith("weft: error: "), (done.returncode, done.err)
    return lines[0]


@pytest.fixture
def request_file(tmp_path):
    def write(text="Hello", **options):
        path = tmp_path / "request.json"
        path.write_text(json.dumps({"messages": [{"role": "user", "content": text}], **options}))
        return path
    return write


# ---- usage ----

@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_command(word):
    out = succeed(word)
    assert all(f"  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    assert succeed(command, "--help").startswith(f"usage: weft {command}")
    assert succeed(command, "--help") == succeed(command, "-h")


def test_version():
    assert succeed("--version").startswith("weft ")


@pytest.mark.parametrize("arguments", [["chat", "--absent"], ["chat", "--absent=5"], ["chat", "-Z"], ["serve", "--port"], ["serve", "--port", "many"], ["serve", "--port", "-1"],
                                       ["serve", "--port", "65536"], ["serve", "--exact=yes"], ["chat", "--memory", "5X"], ["chat", "--memory", "-1G"],
                                       ["chat", "--temperature", "hot"], ["dump", "--model", MODEL], ["inspect"]], ids=str)
def test_wrong_usage(arguments):
    fail(*arguments, code=2)


@pytest.mark.parametrize("arguments", [[], ["absent"], ["serve", "word"], ["tokenize", "word"]], ids=str)
def test_wrong_usage_shows_the_right_one(arguments):
    done = weft(*arguments)
    assert done.returncode == 2 and "usage: weft" in done.err and not done.out


# ---- inspect ----

@pytest.mark.parametrize("path, words", [(MODEL, ["qwen3_vl", "BF16", "262144", "vision"]), (GGUF, ["qwen3_vl", "262144"])], ids=["folder", "gguf"])
def test_inspect(path, words):
    text = succeed("inspect", path)
    assert all(word in text for word in words), text
    assert text == succeed("inspect", "--model", path)
    facts = json.loads(succeed("inspect", path, "--json"))
    assert facts["opens"] is True and facts["architecture"] == "qwen3_vl" and facts["text"]["context"] == 262144
    assert facts["file_bytes"] == sum(Path(file["path"]).stat().st_size for file in facts["files"])


def test_inspect_tells_the_numbers_of_the_config():
    facts = json.loads(succeed("inspect", MODEL, "--json"))["text"]
    config = json.loads((MODEL / "config.json").read_text())["text_config"]
    for ours, theirs in [("hidden", "hidden_size"), ("layers", "num_hidden_layers"), ("heads", "num_attention_heads"), ("kv_heads", "num_key_value_heads"),
                         ("head_dim", "head_dim"), ("ffn", "intermediate_size"), ("vocabulary", "vocab_size")]:
        assert facts[ours] == config[theirs]


def test_inspect_says_why_a_model_does_not_open(tmp_path):
    assert "absent" in fail("inspect", tmp_path / "absent")
    (tmp_path / "config.json").write_text("{")
    fail("inspect", tmp_path)
    assert json.loads(weft("inspect", "--json", tmp_path).out)["opens"] is False


# ---- tokenize and detokenize ----

LINES = ["Hello", "", " ", "a\nb\r\n\tc", "é é 你好 🙂👩‍👩‍👧 \u0000 \ud7ff\ue000", "<|im_start|>user\n<|im_end|>", "\"quoted\" \\ back", "x" * 5000, "١٢٣ 12345", "\u202e\u200b"]


def test_round_trip(tmp_path):
    random_ = random.Random(3)
    lines = LINES + ["".join(chr(random_.choice([random_.randrange(32, 127), random_.randrange(0xa1, 0x2000), random_.randrange(0x4e00, 0x9fff), random_.randrange(0x1f300, 0x1f600)]))
                             for _ in range(random_.randrange(1, 60))) for _ in range(200)]
    import unicodedata
    lines = [unicodedata.normalize("NFC", line) for line in lines]  # what the tokenizer does first
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ids = succeed("tokenize", "--model", MODEL, "--file", source)
    assert ids == succeed("tokenize", "--model", MODEL, stdin=source.read_bytes())
    assert len(ids.splitlines()) == len(lines) and all(isinstance(i, int) for line in ids.splitlines() for i in json.loads(line))
    assert json.loads(ids.splitlines()[1]) == []
    back = succeed("detokenize", "--model", MODEL, stdin=ids)
    assert [json.loads(line) for line in back.splitlines()] == lines


def test_lines_end_as_people_end_them():
    assert succeed("tokenize", "-m", MODEL, stdin='"a"\r\n\r\n"b"') == succeed("tokenize", "-m", MODEL, stdin='"a"\n"b"\n')
    assert succeed("tokenize", "-m", MODEL, stdin="") == ""


@pytest.mark.parametrize("command, text", [("tokenize", "hello"), ("tokenize", "5"), ("tokenize", '"a"\n["b"]'), ("tokenize", b'"\xff"'), ("detokenize", "5"), ("detokenize", "[-1]"),
                                           ("detokenize", "[1.5]"), ("detokenize", "[99999999]"), ("detokenize", "[99999999999999999999]"), ("detokenize", '["1"]'), ("detokenize", "[")], ids=str)
def test_bad_lines_are_named(command, text):
    assert f"line {text.count(chr(10)) + 1 if isinstance(text, str) else 1}" in fail(command, "--model", MODEL, stdin=text)


# ---- generate and dump ----

def test_generate_ids(request_file):
    ids = json.loads(succeed("generate", "--model", MODEL, "--request", request_file(), "--greedy", "--max-tokens", 7, "--ids"))
    assert len(ids) == 7 and all(isinstance(i, int) for i in ids)
    assert ids == json.loads(succeed("generate", "-m", MODEL, "--greedy", "-n", 7, "--ids", stdin=request_file().read_bytes()))
    text = succeed("generate", "-m", MODEL, "--request", request_file(), "--greedy", "-n", 7)
    assert text.endswith("\n")
    shown = json.loads(succeed("detokenize", "-m", MODEL, stdin=json.dumps(ids)))
    assert text == shown + "\n"


def test_generate_repeats_itself_with_a_seed(request_file):
    answers = {succeed("generate", "-m", MODEL, "-r", request_file(seed=4, temperature=1.5, max_tokens=20), "--ids") for _ in range(3)}
    assert len(answers) == 1


def test_thread_counts_do_not_matter(request_file):
    path = request_file("Hello. " * 60)
    answers = {succeed("generate", "-m", MODEL, "-r", path, "--greedy", "-n", 20, "--ids", "--threads", n) for n in (1, 2, 3)}
    assert len(answers) == 1


def test_kv_formats_differ_by_their_rounding_only(request_file, tmp_path):
    logits, path = {}, request_file()
    for kv in ("f32", "f16", "q8"):
        (tmp_path / kv).mkdir()
        succeed("dump", "--model", MODEL, "--request", path, "--out", tmp_path / kv, "--stages", "logits", "--kv", kv)
        logits[kv] = np.load(tmp_path / kv / "logits.npy")
    scale = np.abs(logits["f32"]).max()
    f16, q8 = (np.abs(logits[kv] - logits["f32"]).max() / scale for kv in ("f16", "q8"))
    assert 0 < f16 < 1e-3 and f16 < q8 < 3e-2


def test_an_unknown_kv_format_is_named(request_file):
    assert "f32, f16, q8, q8q4 or q4" in fail("generate", "--model", MODEL, "--request", request_file(), "--kv", "q3")


def test_dump_writes_arrays(request_file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    succeed("dump", "-m", MODEL, "-r", request_file(), "--out", out, "--stages", "input_ids,logits", "--last")
    assert {path.name for path in out.iterdir()} == {"input_ids.npy", "logits.npy"}


def test_dump_as_served_is_near_the_exact_one(request_file, tmp_path):
    """The exact mode is what a plain dump gives; --served keeps keys and values in fewer bits."""
    logits = {}
    for name, options in {"plain": [], "served": ["--served"]}.items():
        succeed("dump", "-m", MODEL, "-r", request_file("A few words to be read, one after the other."), "--out", tmp_path / name, "--stages", "logits", *options)
        logits[name] = np.load(tmp_path / name / "logits.npy").astype(np.float64)
    assert logits["plain"].shape == logits["served"].shape and np.isfinite(logits["served"]).all()
    assert not np.array_equal(logits["plain"], logits["served"])
    p, q = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (logits["plain"], logits["served"]))
    assert (np.exp(p) * (p - q)).sum(-1).mean() < 0.01


@pytest.mark.parametrize("body, words", [("{", "JSON"), ("[]", "object"), ("{}", "messages"), ('{"messages": [{"role": "user", "content": "x"}], "n": 2}', "'n'"),
                                         ('{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///absent.png"}}]}]}', "image 1"),
                                         ('{"messages": [{"role": "user", "content": "' + "word " * 300 + '"}]}', "context")], ids=lambda value: value[:20])
def test_generate_refuses(body, words):
    assert words in fail("generate", "--model", MODEL, "--context", 128, stdin=body)


def test_files_that_are_not_there(tmp_path):
    absent = tmp_path / "absent"
    for arguments in (["generate", "-m", absent], ["generate", "-m", MODEL, "-r", absent], ["tokenize", "-m", MODEL, "-f", absent], ["chat", "-m", absent, "Hi"],
                      ["serve", "-m", absent], ["dump", "-m", MODEL, "-r", absent, "-o", tmp_path], ["chat", "-m", MODEL, "--image", absent, "Hi"]):
        assert "absent" in fail(*arguments)


def test_a_full_disk_is_a_failure(request_file):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    for arguments, stdin in ((["tokenize", "-m", MODEL], '"text"'), (["inspect", MODEL], ""), (["generate", "-m", MODEL, "-n", "3", "-r", request_file()], "")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([os.environ["WEFT_BIN"], *map(str, arguments)], input=stdin.encode(), stdout=full, stderr=subprocess.PIPE, timeout=120)
        assert done.returncode == 1 and b"weft: error: " in done.stderr


# ---- chat ----

def test_chat_asks_once():
    plain = succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 12, "What is this?")
    assert plain == succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 12, "What", "is", "this?") and plain.endswith("\n")
    assert plain == succeed("chat", "-m", MODEL, "--temperature=0", "-n", 12, "--", "What is this?")
    assert plain != succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 12, "--image", PICTURE, "What is this?")


def test_chat_with_a_picture_is_generate_with_its_path(tmp_path):
    odd = tmp_path / "a b%20#é?.png"
    odd.write_bytes(PICTURE.read_bytes())
    body = {"temperature": 0, "max_tokens": 10, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": PICTURE.as_uri()}}, {"type": "text", "text": "What?"}]}]}
    expected = succeed("generate", "-m", MODEL, stdin=json.dumps(body))
    for path in (PICTURE, odd):
        assert succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 10, "--image", path, "What?") == expected


def test_chat_reads_questions_from_standard_input():
    one = succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 8, stdin="First?\n")
    two = succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 8, stdin="First?\nSecond?\n")
    assert two.startswith(one) and len(two) > len(one)
    again = succeed("chat", "-m", MODEL, "--temperature", 0, "-n", 8, stdin="First?\n/clear\nFirst?\n/quit\nNever asked\n")
    assert again == one + one


def test_chat_tells_what_is_wrong_with_a_picture(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(PICTURE.read_bytes()[:100])
    assert "image 1" in fail("chat", "-m", MODEL, "--image", broken, "What?")


# ---- serve ----

@pytest.mark.parametrize("there, broken, served", [
    (["instruct", "thinking"], [], ["weft-tiny-instruct", "weft-tiny-thinking"]), (["instruct"], [], ["weft-tiny-instruct"]),
    (["thinking"], [], ["weft-tiny-thinking"]), (["instruct"], ["thinking"], ["weft-tiny-instruct"]), (["thinking"], ["instruct"], ["weft-tiny-thinking"])])
def test_serve_offers_the_embedded_models_that_are_there(tmp_path, there, broken, served):
    from weft_server import Server, head
    for folder in there:
        (tmp_path / folder).symlink_to(GOLDEN / "models" / ("thinking" if folder == "thinking" else "dense_tied") / "model")
    for folder in broken:
        (tmp_path / folder).mkdir()
    running = Server(model=None, environment={"WEFT_MODELS": str(tmp_path)})
    try:
        models = json.loads(running.raw(head("GET", "/v1/models", "Connection: close"))[2])["data"]
        assert [(m["id"], m["weft"]["embedded"], m["weft"]["thinking"]) for m in models] == [(name, True, name.endswith("thinking")) for name in served]
        assert [f"weft-tiny-{folder} is left out" in "".join(running.messages) for folder in broken] == [True] * len(broken)
    finally:
        running.stop()


def test_without_an_embedded_model_nothing_is_served_or_chatted(tmp_path):
    alone = {**os.environ, "WEFT_MODELS": str(tmp_path)}
    assert "--model" in fail("serve", "--port", 0, env=alone) and "--model" in fail("chat", "Hello", env=alone)
    (tmp_path / "instruct").mkdir()
    fail("serve", "--port", 0, env=alone)
    (tmp_path / "thinking").symlink_to(GOLDEN / "models" / "thinking" / "model")
    (tmp_path / "instruct").rmdir()
    succeed("chat", "--quiet", "--max-tokens", 2, "Hello", env=alone)


def test_serve_says_why_it_does_not_start():
    from weft_server import Server
    fail("serve", "-m", MODEL, "--host", "300.1.1.1")
    assert "two models" in fail("serve", "-m", MODEL, "-m", MODEL, "--port", 0)
    assert "KV" in fail("serve", "-m", MODEL, "--port", 0, "--memory", "1k")
    running = Server()
    try:
        assert "another" in fail("serve", "-m", MODEL, "--port", running.port)
    finally:
        running.stop()


def test_serve_ends_on_ctrl_c():
    from weft_server import Server
    running = Server()
    running.process.send_signal(signal.SIGINT)
    running.process.wait(60)
    running.stop()  # checks the exit code
