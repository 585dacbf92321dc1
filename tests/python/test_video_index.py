"""Indexing and searching videos from the command line: segments, what an interruption leaves, exports, words. The model is random, so
captions are noise; what is checked is that each is kept, found again by its words, and led back to its time."""
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

from media_reference import ffmpeg
from weft_server import GOLDEN

CLIP = GOLDEN / "media" / "long.avi"
COMMON = ["--model", str(GOLDEN / "models" / "video" / "model"), "--quiet", "--segment", "1", "--fps", "2"]


def arguments(command, tmp_path, *more):
    return [os.environ["WEFT_BIN"], command, str(CLIP), *more, *COMMON, "--data-dir", str(tmp_path)]


def run(command, tmp_path, *more):
    return subprocess.run(arguments(command, tmp_path, *more), capture_output=True, text=True, check=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)}).stdout


def test_an_index_is_made_once_exported_and_searched(tmp_path):
    made = json.loads(run("index", tmp_path, "--json", "-"))
    segments = made["segments"]
    assert len(segments) == -(-made["duration"] // 1) >= 3
    assert segments[0]["begin"] == 0 and segments[-1]["end"] == pytest.approx(made["duration"])
    assert all(a["end"] == b["begin"] for a, b in zip(segments, segments[1:]))
    changed = (tmp_path / "videos.db").stat().st_mtime_ns
    assert json.loads(run("index", tmp_path, "--json", "-")) == made  # nothing is asked again: noise would differ in time, not in text
    run("index", tmp_path, "--srt", str(tmp_path / "a.srt"))
    blocks = (tmp_path / "a.srt").read_text().strip("\n").split("\n\n")
    assert len(blocks) == len(segments) and re.match(r"1\n00:00:00,000 --> 00:00:01,000\n", blocks[0])
    captions = [re.findall(r"[A-Za-z]{3,}", segment["caption"]) for segment in segments]
    words = [(i, word) for i, each in enumerate(captions) for word in each]
    assert words and changed
    for i, word in words[:3]:
        hits = json.loads(run("find", tmp_path, word, "--no-refine", "--json"))
        assert hits and all(re.fullmatch(r"\[\d\d:\d\d:\d\d - \d\d:\d\d:\d\d\]", hit["range"]) for hit in hits)
        assert any(hit["begin"] == segments[i]["begin"] for hit in hits) or len(hits) == 5
    for odd in ('"', "a OR", "NEAR(x y)", "caption:x", "x*", "' ; DROP TABLE segments"):
        result = subprocess.run(arguments("find", tmp_path, odd, "--no-refine"), capture_output=True, text=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)})
        assert result.returncode in (0, 1) and "syntax" not in result.stderr


def test_a_closer_look_moves_an_edge_by_less_than_a_segment(tmp_path):
    segments = json.loads(run("index", tmp_path, "--json", "-"))["segments"]
    word = next(word for segment in segments for word in re.findall(r"[A-Za-z]{3,}", segment["caption"]))
    whole = json.loads(run("find", tmp_path, word, "--json", "--no-refine"))
    hits = json.loads(run("find", tmp_path, word, "--json"))
    assert 1 <= len(hits) <= len(whole)
    for hit in hits:
        joined = next(each for each in whole if each["caption"] == hit["caption"] and each["score"] == hit["score"])
        assert hit["begin"] < hit["end"] and abs(hit["begin"] - joined["begin"]) <= 1 + 1 and abs(hit["end"] - joined["end"]) <= 1 + 1
        assert hit["confirmed"] or (hit["begin"], hit["end"]) == (joined["begin"], joined["end"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_index_goes_on(tmp_path, how):
    command = [a for a in arguments("index", tmp_path) if a != "--quiet"]
    whole = json.loads(run("index", tmp_path / "whole", "--json", "-"))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    assert re.match(r"1 of \d+ segments", process.stderr.readline())
    process.send_signal(how)
    process.communicate()
    rest = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)}).stderr
    assert not rest.startswith("1 of")  # what was done is not done again
    assert json.loads(run("index", tmp_path, "--json", "-")) == whole


def peaks(tmp_path, clip, seconds):
    """Peak resident sizes in KiB of an index run over `clip`: of the program by itself, and of the largest of it and its workers."""
    command = [os.environ["WEFT_BIN"], "index", str(clip), "--model", COMMON[1], "--segment", "10", "--fps", "0.2", "--data-dir", str(tmp_path / clip.stem)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    own, seen = 0, 0
    for line in process.stderr:
        seen = int(re.match(r"(\d+) of \d+ segments", line)[1])
        try:
            own = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
        except (OSError, TypeError):  # it has ended since it wrote the line
            pass
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0 and seen == seconds // 10 and own > 0
    return own, usage.ru_maxrss


def test_ten_minutes_take_no_more_memory_than_one(tmp_path):
    found = []
    for seconds in (60, 600):
        clip = tmp_path / f"{seconds}.mp4"
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=2:d={seconds}", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", str(clip))
        found.append(peaks(tmp_path, clip, seconds))
    for short, long in zip(*found):
        assert long < short + 4096  # KiB
