"""Clips through the program: the frames that the published processor samples, as ffmpeg decodes them, at the times that ffprobe
prints. Clips are made by ffmpeg here; 96 x 64 pixels within the budget are not resized."""
import math
import struct
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from media_reference import (all_frames, data_url, decoded_clip, decoded_part, ffmpeg, probe_times, saved, upright_srgb, waves)
from parity import WeftFailed

W, H = 96, 64
SIZE = {"min_pixels": 32 * 32, "max_pixels": 1 << 26}
SOURCE = ("-f", "lavfi", "-i", f"testsrc2=size={W}x{H}:rate=12:duration=5")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1")


def rate_of(path) -> float:
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=avg_frame_rate", "-of", "csv=p=0", str(path)],
                          capture_output=True, text=True, timeout=60, check=True)
    return float(Fraction(done.stdout.split()[0].strip(",")))


def sampled(total: int, native: float, fps: float = 2, num_frames: int = 0, min_frames: int = 4, max_frames: int = 768) -> list[int]:
    """sample_frames of the published video processor."""
    n = num_frames or min(max(int(total / native * fps), min_frames), max_frames, total)
    return np.linspace(0, total - 1, n).round().astype(int).tolist()


def stamps_of(times: list[float]) -> list[str]:
    times = times + times[-1:] * (len(times) % 2)
    return [f"{(a + b) / 2:.1f}" for a, b in zip(times[::2], times[1::2])]


def check(path, total_times: list[float], frames: np.ndarray, part: tuple[int, int] | None = None, tolerance: int = 0, **options) -> None:
    first, last = part or (0, len(total_times))
    keys = ("fps", "num_frames", "min_frames", "max_frames")
    chosen = [first + i for i in sampled(last - first, rate_of(path), **{k: v for k, v in options.items() if k in keys})]
    got, grid, stamps = decoded_clip(path.read_bytes(), **SIZE, **options)
    assert grid[0] == math.ceil(len(chosen) / 2)
    assert stamps == stamps_of([total_times[i] for i in chosen])
    want = frames[chosen + chosen[-1:] * (len(chosen) % 2)]
    assert got.shape == want.shape
    off = np.abs(got.astype(int) - want.astype(int)).max()
    assert off <= tolerance, f"pixels differ by up to {off}"


CLIPS = {
    "mp4 with B-frames": ("a.mp4", (*SOURCE, *X264, "-bf", "3", "-g", "25")),
    "mkv": ("a.mkv", (*SOURCE, *X264)),
    "webm vp9": ("a.webm", (*SOURCE, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")),
    "webm vp8": ("b.webm", (*SOURCE, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")),
    "mov": ("a.mov", (*SOURCE, "-c:v", "mpeg4", "-q:v", "4")),
    "avi": ("a.avi", (*SOURCE, "-c:v", "mpeg4", "-q:v", "4")),
    "mjpeg avi": ("b.avi", (*SOURCE, "-c:v", "mjpeg")),
    "hevc": ("h.mp4", (*SOURCE, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:pools=none:frame-threads=1")),
    "av1": ("v.mp4", (*SOURCE, "-c:v", "libsvtav1", "-preset", "12", "-t", "2")),
    "non-integer rate": ("n.mp4", (*SOURCE, *X264, "-r", "30000/1001")),
    "offset": ("o.mkv", ("-itsoffset", "3.25", *SOURCE, *X264)),
    "offset mp4": ("o.mp4", ("-itsoffset", "1.5", *SOURCE, *X264)),
    "variable rate": ("v.mkv", (*SOURCE, *X264, "-vf", "select='not(mod(n\\,3))+gt(n\\,40)',setpts=N/(12*TB)+gt(N\\,12)*0.6/TB", "-fps_mode", "vfr")),
    "one and a half seconds": ("s.mp4", (*SOURCE, *X264, "-t", "1.5")),
    "odd": ("d.mp4", (*SOURCE, *X264, "-t", "2.6")),
    "huffyuv": ("f.avi", (*SOURCE, "-c:v", "huffyuv")),
    "quicktime animation": ("q.mov", (*SOURCE, "-c:v", "qtrle")),
    "prores": ("p.mov", (*SOURCE, "-c:v", "prores_ks")),
}


@pytest.mark.parametrize("name", CLIPS)
def test_times_and_frames(name, tmp_path):
    file, arguments = CLIPS[name]
    path = tmp_path / file
    try:
        ffmpeg(*arguments, str(path))
    except AssertionError as fault:
        if "Unknown encoder" in str(fault):
            pytest.skip("this ffmpeg does not write it")
        raise
    times = probe_times(path)
    check(path, times, all_frames(path, W, H))


@pytest.mark.parametrize("file, codec", [("a.ts", X264), ("a.m2ts", X264), ("a.mpg", ("-c:v", "mpeg2video", "-q:v", "2")), ("b.mpg", ("-c:v", "libx264", "-threads", "1")),
                                         ("a.vob", ("-c:v", "mpeg2video", "-q:v", "2"))], ids=str)
def test_streams_with_a_clock_of_their_own(file, codec, tmp_path):
    """Program streams stamp only some of their frames: those are shown at their times, the others evenly between them."""
    path = tmp_path / file
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={W}x{H}:rate=25:duration=5", *codec, "-bf", "2", "-g", "12", str(path))
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)],
                          capture_output=True, text=True, timeout=120, check=True)
    printed = [line.split(",")[0] for line in done.stdout.split()]
    assert printed[0] != "N/A" and float(printed[0]) > 0.3
    times = [float(printed[0]) + i / 25 for i in range(len(printed))]
    assert all(p == "N/A" or abs(float(p) - t) < 1e-3 for p, t in zip(printed, times))
    check(path, times, all_frames(path, W, H))


@pytest.mark.parametrize("start", [45, 75, 40000])
def test_late_clock_of_a_transport_stream_counts_from_its_start(start, tmp_path):
    path = tmp_path / "a.ts"
    ffmpeg(*SOURCE, *X264, "-bf", "2", "-g", "12", "-output_ts_offset", str(start), str(path))
    times = probe_times(path)
    assert times[0] > start
    check(path, times if start < 60 else [t - times[0] for t in times], all_frames(path, W, H))


def test_edit_list_hides_frames(tmp_path):
    """Cut without coding anew: the packets before the cut are there for others' sake only."""
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    ffmpeg(*SOURCE, *X264, "-g", "30", "-bf", "2", str(whole))
    ffmpeg("-ss", "1.1", "-i", str(whole), "-c", "copy", str(path))
    times = probe_times(path)
    frames = all_frames(path, W, H)
    shown = [i for i, t in enumerate(times) if t >= 0]
    check(path, [times[i] for i in shown], frames[-len(shown):])


@pytest.mark.parametrize("options", [{"fps": 0.5}, {"fps": 4.0}, {"num_frames": 5}, {"num_frames": 90}, {"num_frames": 9, "max_frames": 6}, {"min_frames": 16}, {"max_frames": 6}, {"fps": 100.0, "max_frames": 50}], ids=str)
def test_sampling_options(options, tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, str(path))
    check(path, probe_times(path), all_frames(path, W, H), **options)


def test_part_of_a_clip(tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, str(path))
    times = probe_times(path)
    part = [i for i, t in enumerate(times) if 1.3 <= t < 3.7]
    check(path, times, all_frames(path, W, H), part=(part[0], part[-1] + 1), video_start=1.3, video_end=3.7)


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.gif"])
def test_a_clip_of_one_frame(file, tmp_path):
    """Shown twice, as the last one of an odd count is."""
    path = tmp_path / file
    ffmpeg(*SOURCE, *(() if file == "a.gif" else X264), "-frames:v", "1", str(path))
    got, grid, stamps = decoded_clip(path.read_bytes(), **SIZE)
    assert grid[0] == 1 and stamps == ["0.0"] and np.array_equal(got, all_frames(path, W, H)[[0, 0]])


def test_a_file_that_is_still_being_written(tmp_path):
    """Fragments end anywhere; a frame whose bytes are not all there yet is not one."""
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, "-g", "12", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", str(path))
    whole = path.read_bytes()
    for cut in (0.4, 0.55, 0.6):
        path.write_bytes(whole[:int(len(whole) * cut)])
        times = probe_times(path)
        assert 12 < len(times) < 60
        check(path, times, all_frames(path, W, H))


def test_part_without_a_new_frame(tmp_path):
    """What is on the screen there: a frame is shown until the next one, the first one also before its time."""
    path = tmp_path / "a.mkv"
    ffmpeg("-itsoffset", "3", *SOURCE, *X264, "-vf", "select='lt(n,6)+gt(n,48)'", "-fps_mode", "vfr", str(path))
    times, frames = probe_times(path), all_frames(path, W, H)
    assert times[5] < 3.6 and times[6] > 7
    for start, end, shown in ((4, 5, 5), (6.5, 6.9, 5), (0, 2, 0), (times[-1] + 0.01, 60, len(times) - 1)):
        got, grid, stamps = decoded_clip(path.read_bytes(), **SIZE, video_start=start, video_end=end)
        assert stamps == [f"{times[shown]:.1f}"] and np.array_equal(got, frames[[shown, shown]])
    with pytest.raises(WeftFailed, match="no frame from second 9 on; it is 8.0 seconds long"):
        decoded_clip(path.read_bytes(), **SIZE, video_start=9)


@pytest.mark.parametrize("groups", [12, 250])
def test_far_frames_are_reached_by_seeking(groups, tmp_path):
    """Few frames of a long clip: what a seek brings is what decoding from the start brings."""
    for file in ("a.mp4", "a.mkv", "a.avi", "a.ts"):
        path = tmp_path / file
        codec = ("-c:v", "mpeg4", "-bf", "0") if file == "a.avi" else X264
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={W}x{H}:rate=25:duration=24", *codec, "-g", str(groups), "-pix_fmt", "yuv420p", str(path))
        check(path, probe_times(path), all_frames(path, W, H), num_frames=5)


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv"])
def test_intra_refresh(file, tmp_path):
    """Key packets whose pictures are whole some frames later only: a frame between is reached from an earlier one."""
    path = tmp_path / file
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={W}x{H}:rate=25:duration=16", *X264, "-x264-params", "intra-refresh=1:keyint=50:bframes=0", str(path))
    times, frames = probe_times(path), all_frames(path, W, H)
    for options in ({}, {"num_frames": 13}, {"fps": 0.7}):
        check(path, times, frames, **options)


def test_a_cover_is_no_clip(tmp_path):
    picture, path = tmp_path / "cover.png", tmp_path / "a.m4a"
    picture.write_bytes(saved(moving(1)[0], "PNG"))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-i", str(picture), "-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "png", "-disposition:v:0", "attached_pic", str(path))
    with pytest.raises(WeftFailed, match="no video stream, only sound and its cover"):
        decoded_clip(path.read_bytes(), **SIZE)


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)], ids=["mirrored", "flipped", "transposed", "transversed"])
def test_mirrored(matrix, tmp_path):
    """A display matrix that mirrors, written over the one of the track header."""
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, "-pix_fmt", "yuv444p", "-t", "1", str(path))
    data, (a, b, c, d) = path.read_bytes(), (65536 * n for n in matrix)
    at = data.index(b"tkhd") + 4 + 40
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36:])
    width, height = (W, H) if matrix[0] else (H, W)
    check(path, probe_times(path), all_frames(path, width, height))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation(turn, tmp_path):
    flat, path = tmp_path / "flat.mp4", tmp_path / "turned.mp4"
    ffmpeg(*SOURCE, *X264, "-pix_fmt", "yuv444p", "-t", "1", str(flat))
    ffmpeg("-i", str(flat), "-c", "copy", "-metadata:s:v:0", f"rotate={turn}", str(path))
    width, height = (H, W) if turn % 180 else (W, H)
    check(path, probe_times(path), all_frames(path, width, height))


@pytest.mark.parametrize("aspect, width, height", [("2/1", 2 * W, H), ("1/2", W, 2 * H)])
def test_pixel_aspect(aspect, width, height, tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, "-vf", f"setsar={aspect}", "-t", "1", str(path))
    got, grid, _ = decoded_clip(path.read_bytes(), **SIZE)
    assert tuple(grid[1:] * 16) == (height, width)
    raw = ffmpeg("-i", str(path), "-vf", f"scale={width}:{height}:flags=bilinear,format=rgb24", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
    chosen = sampled(len(frames), 12)
    assert np.abs(got.astype(int) - frames[chosen].astype(int)).max() <= 1


def moving(count: int, channels: int = 3) -> list[Image.Image]:
    return [Image.fromarray(np.roll(waves(H, W, channels, 1), 7 * i, 1), "RGBA" if channels == 4 else "RGB") for i in range(count)]


def test_animated_webp():
    pictures = moving(6, 4)
    durations = [100, 300, 200, 500, 100, 250]
    data = saved(pictures[0], "WEBP", save_all=True, append_images=pictures[1:], duration=durations, lossless=True)
    got, grid, stamps = decoded_clip(data, **SIZE)
    starts = np.cumsum([0, *durations])[:-1] / 1000
    chosen = sampled(6, 6 / (sum(durations) / 1000))
    assert stamps == stamps_of([float(starts[i]) for i in chosen])
    for frame, i in zip(got, chosen):
        assert np.abs(frame.astype(int) - upright_srgb(saved(pictures[i], "PNG")).astype(int)).max() <= 1


def test_more_frames_than_an_animation_has():
    pictures = moving(3, 4)
    data = saved(pictures[0], "WEBP", save_all=True, append_images=pictures[1:], duration=200, lossless=True)
    got, grid, stamps = decoded_clip(data, num_frames=8, **SIZE)
    chosen = sampled(3, 5, num_frames=8)
    assert stamps == stamps_of([i / 5 for i in chosen])
    for frame, i in zip(got, chosen):
        assert np.abs(frame.astype(int) - upright_srgb(saved(pictures[i], "PNG")).astype(int)).max() <= 1


def test_animated_gif():
    pictures = [p.quantize(64) for p in moving(8)]
    data = saved(pictures[0], "GIF", save_all=True, append_images=pictures[1:], duration=250, optimize=False)
    got, grid, stamps = decoded_clip(data, **SIZE)
    chosen = sampled(8, 4)
    assert stamps == stamps_of([i / 4 for i in chosen])
    for frame, i in zip(got, chosen):
        assert np.array_equal(frame, np.asarray(pictures[i].convert("RGB")))


@pytest.mark.parametrize("count, fps", [(4, 2), (5, 1), (7, 3)])
def test_list_of_frames(count, fps):
    pictures = moving(count)
    got, grid, stamps = decoded_part({"type": "video", "video": [data_url(saved(p, "PNG")) for p in pictures], "fps": fps, **SIZE})
    assert stamps == stamps_of([i / fps for i in range(count)])
    assert np.array_equal(got, np.stack([np.asarray(p) for p in pictures + pictures[-1:] * (count % 2)]))


def test_list_of_frames_of_other_sizes():
    pictures = [moving(1)[0], moving(1)[0].resize((64, 64))]
    with pytest.raises(WeftFailed, match="frame 2: 64 x 64 pixels, but the first frame has 96 x 64"):
        decoded_part({"type": "video", "video": [data_url(saved(p, "PNG")) for p in pictures], **SIZE})


def test_two_clips_and_pictures_in_one_request(tmp_path):
    """Clips take turns in one worker: the first is opened again when its frames are wanted."""
    from media_reference import dump, frames_of
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for path, rate in zip(paths, (12, 5)):
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={W}x{H}:rate={rate}:duration=3", *X264, str(path))
    picture = moving(1)[0]
    parts = [{"type": "video_url", "video_url": {"url": data_url(paths[0].read_bytes())}, **SIZE},
             {"type": "image_url", "image_url": {"url": data_url(saved(picture, "PNG"))}, **SIZE},
             {"type": "video_url", "video_url": {"url": data_url(paths[1].read_bytes())}, **SIZE}]
    out = dump(parts, "pixels", str(tmp_path))
    grids, values = np.load(out / "video_grid_thw.npy"), np.load(out / "video_pixel_values.npy")
    at = 0
    for path, grid, rate in zip(paths, grids, (12, 5)):
        frames, n = all_frames(path, W, H), int(grid.prod())
        chosen = sampled(len(frames), rate)
        assert np.array_equal(frames_of(values[at:at + n], grid)[:len(chosen)], frames[chosen])
        at += n


def test_truncated_and_foreign(tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, "-movflags", "+faststart", str(path))
    data = path.read_bytes()
    for damaged in (data[:len(data) // 2], data[:200], b"not a clip at all" * 50, b"#EXTM3U\nfile:///etc/passwd\n", saved(moving(1)[0], "WEBP"), b""):
        with pytest.raises(WeftFailed, match="video 1: "):
            decoded_clip(damaged, **SIZE)


def test_streamed_frames_give_the_same_rows(tmp_path):
    """With the pixels wanted, a dump keeps all frames; without, they come to the encoder a pair at a time, as in service."""
    from media_reference import dump
    path = tmp_path / "a.mp4"
    ffmpeg(*SOURCE, *X264, str(path))
    parts = [{"type": "video_url", "video_url": {"url": data_url(path.read_bytes())}, **SIZE},
             {"type": "video", "video": [data_url(saved(p, "PNG")) for p in moving(5)], **SIZE}]
    rows = []
    for stages in ("pixels,vision,logits", "vision,logits"):
        folder = tmp_path / stages
        folder.mkdir()
        out = dump(parts, stages, str(folder))
        rows.append([np.load(out / f"{name}.npy") for name in ("vision_embeds", "logits")])
    assert len(rows[0][0]) == (5 + 3) * (W // 32) * (H // 32)
    for whole, streamed in zip(*rows):
        assert np.array_equal(whole, streamed)
