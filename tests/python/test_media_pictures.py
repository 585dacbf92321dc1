"""Pictures of every kind through the program equal what Pillow makes of them, byte for byte."""
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from media_reference import decoded_pictures, saved, upright_srgb, waves

W, H = 96, 64
RGB, GREY = Image.fromarray(waves(H, W, 3, 1)), Image.fromarray(waves(H, W, 1, 2)[..., 0])
RGBA, LA, CMYK = (Image.fromarray(waves(H, W, n, n), mode) for n, mode in ((4, "RGBA"), (2, "LA"), (4, "CMYK")))
RED = Image.fromarray(np.full((H, W, 3), (200, 30, 40), np.uint8))


def oriented(kind: str, turn: int, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(RGB, kind, exif=exif, **options)


def tag(kind: bytes, body: bytes) -> bytes:
    return kind + b"\0\0\0\0" + body


def xyz(*values: float) -> bytes:
    return tag(b"XYZ ", b"".join(struct.pack(">i", round(v * 65536)) for v in values))


def curve(gamma: float) -> bytes:
    return tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))


def wide_gamut() -> bytes:
    """An ICC profile of other primaries than sRGB's: Display P3 by its numbers, matrix and curve."""
    return profile(b"RGB ", {b"wtpt": xyz(0.95045, 1, 1.08905), b"rXYZ": xyz(0.51512, 0.2412, -0.00105), b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
                             b"bXYZ": xyz(0.1571, 0.06657, 0.78407), b"rTRC": curve(2.2), b"gTRC": curve(2.2), b"bTRC": curve(2.2)})


def linear_grey() -> bytes:
    return profile(b"GRAY", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": curve(1)})


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": tag(b"desc", struct.pack(">I", 3) + b"xx\0" + bytes(4 + 4 + 2 + 1 + 67)), b"cprt": tag(b"text", b"none\0"), **tags}
    table, bodies, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += struct.pack(">4sII", name, at + len(bodies), len(body))
        bodies += body
    size = at + len(bodies)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">iii", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + bodies


def pictures() -> dict[str, bytes]:
    palette = RGB.quantize(60)
    files = {f"jpeg {name}": saved(RGB, "JPEG", **options) for name, options in {
        "4:2:0": {"quality": 85}, "4:4:4": {"quality": 95, "subsampling": 0}, "4:2:2": {"subsampling": 1}, "progressive": {"progressive": True},
        "optimised": {"optimize": True}, "restarts": {"restart_marker_blocks": 3}, "rgb": {"keep_rgb": True}}.items()}
    files |= {"jpeg grey": saved(GREY, "JPEG"), "jpeg cmyk": saved(CMYK, "JPEG"), "png": saved(RGB, "PNG"), "png grey": saved(GREY, "PNG"),
              "png alpha": saved(RGBA, "PNG"), "png grey alpha": saved(LA, "PNG"), "png palette": saved(palette, "PNG"),
              "png palette key": saved(palette, "PNG", transparency=7), "png bits": saved(GREY.convert("1"), "PNG"),
              "png grey 16": saved(Image.fromarray((np.arange(H * W, dtype=np.uint16) % 700).reshape(H, W)), "PNG"),
              "apng": saved(RGB, "PNG", save_all=True, append_images=[RED, RGB.rotate(180)], duration=50),
              "apng with another first": saved(RGB, "PNG", save_all=True, default_image=True, append_images=[RED, RGB.rotate(180)])}
    files |= {f"jpeg turn {turn}": oriented("JPEG", turn) for turn in range(1, 9)}
    files |= {"png turn 6": oriented("PNG", 6), "webp turn 8": oriented("WEBP", 8), "tiff turn 7": saved(RGB, "TIFF", tiffinfo={274: 7})}
    files |= {"webp": saved(RGB, "WEBP"), "webp lossless": saved(RGB, "WEBP", lossless=True), "webp alpha": saved(RGBA, "WEBP"),
              "webp animated": saved(RGBA, "WEBP", save_all=True, append_images=[RGBA.rotate(180)], duration=100)}
    partly = palette.copy()
    files |= {"gif": saved(palette, "GIF"), "gif plain rows": saved(palette, "GIF", interlace=0), "gif key": saved(partly, "GIF", transparency=5),
              "gif animated": saved(palette, "GIF", save_all=True, append_images=[RED.quantize(2)], duration=80),
              "gif grey": saved(GREY, "GIF"), "gif two colours": saved(GREY.convert("1"), "GIF"), "gif 256": saved(RGB.quantize(256), "GIF")}
    files |= {"bmp": saved(RGB, "BMP"), "bmp grey": saved(GREY, "BMP"), "bmp palette": saved(palette, "BMP"), "bmp bits": saved(GREY.convert("1"), "BMP"),
              "bmp alpha": saved(RGBA, "BMP"), "bmp top down": bmp_top_down(), "bmp 16": bmp_16(), "bmp 565": bmp_16((0xF800, 0x7E0, 0x1F)),
              "bmp os/2": bmp_os2(), "bmp runs": bmp_runs()}
    for name, image in {"rgb": RGB, "grey": GREY, "alpha": RGBA, "grey alpha": LA, "cmyk": CMYK, "palette": palette, "bits": GREY.convert("1"),
                        "grey 16": Image.fromarray((np.arange(H * W, dtype=np.uint16) % 700).reshape(H, W)),
                        "float": Image.fromarray(np.linspace(-20, 300, H * W, dtype=np.float32).reshape(H, W))}.items():
        files[f"tiff {name}"] = saved(image, "TIFF")
        if name not in ("float", "grey alpha"):
            files[f"tiff {name} lzw"] = saved(image, "TIFF", compression="tiff_lzw")
    files |= {"tiff deflate": saved(RGB, "TIFF", compression="tiff_adobe_deflate"), "tiff packbits": saved(RGB, "TIFF", compression="packbits"),
              "tiff jpeg": saved(RGB, "TIFF", compression="jpeg"), "tiff fax": saved(GREY.convert("1"), "TIFF", compression="group4"),
              "tiff many strips": saved(RGB, "TIFF", compression="tiff_lzw", strip_size=W * 3 * 5), "tiff big": saved(RGB, "TIFF", big_tiff=True),
              "tiff pages": saved(RGB, "TIFF", save_all=True, append_images=[RED])}
    profile, grey_profile = wide_gamut(), linear_grey()
    files |= {"jpeg p3": saved(RGB, "JPEG", quality=95, icc_profile=profile), "png p3": saved(RGB, "PNG", icc_profile=profile),
              "png p3 alpha": saved(RGBA, "PNG", icc_profile=profile), "webp p3": saved(RGB, "WEBP", lossless=True, icc_profile=profile),
              "tiff p3": saved(RGB, "TIFF", icc_profile=profile), "png p3 palette": saved(palette, "PNG", icc_profile=profile)}
    files |= {f"{kind} grey profile".lower(): saved(GREY, kind, icc_profile=grey_profile) for kind in ("PNG", "JPEG", "TIFF")}
    return files


def bmp(header: bytes, rows: bytes, between: bytes = b"") -> bytes:
    offset = 14 + len(header) + len(between)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + between + rows


def bmp_top_down() -> bytes:
    pixels = np.asarray(RGB)[..., ::-1]
    return bmp(struct.pack("<IiiHHIIiiII", 40, W, -H, 1, 24, 0, 0, 0, 0, 0, 0), np.ascontiguousarray(pixels).tobytes())


def bmp_16(masks: tuple | None = None) -> bytes:
    values = np.random.default_rng(3).integers(0, 1 << (16 if masks else 15), (H, W)).astype("<u2")
    return bmp(struct.pack("<IiiHHIIiiII", 40, W, H, 1, 16, 3 if masks else 0, 0, 0, 0, 0, 0), values.tobytes(),
               struct.pack("<III", *masks) if masks else b"")


def bmp_os2() -> bytes:
    indices = np.random.default_rng(4).integers(0, 16, (H, W // 2, 2))
    colours = np.random.default_rng(5).integers(0, 256, (16, 3)).astype(np.uint8)
    return bmp(struct.pack("<IHHHH", 12, W, H, 1, 4), (indices[..., 0] << 4 | indices[..., 1]).astype(np.uint8).tobytes(), colours.tobytes())


def bmp_runs() -> bytes:
    """Run lengths of all sorts: runs, literals, ends of rows, a move."""
    rng, rows = np.random.default_rng(6), b""
    for y in range(H):
        rows += b"".join(bytes((24, int(rng.integers(256)))) for _ in range(2)) + bytes((0, 13)) + rng.bytes(13) + b"\0"
        rows += bytes((0, 2, 5, 0)) if y % 2 else bytes((5, 9))
        rows += b"\0\0"
    colours = np.random.default_rng(7).integers(0, 256, (256, 4)).astype(np.uint8)
    return bmp(struct.pack("<IiiHHIIiiII", 40, W, H, 1, 8, 1, len(rows), 0, 0, 256, 0), rows + b"\0\1", colours.tobytes())


@pytest.fixture(scope="module")
def decoded():
    files = pictures()
    return files, dict(zip(files, decoded_pictures(list(files.values()))))


@pytest.mark.parametrize("name", list(pictures()))
def test_equals_pillow(decoded, name):
    files, ours = decoded
    want = upright_srgb(files[name])
    assert ours[name].shape == want.shape
    off = np.abs(ours[name].astype(int) - want.astype(int))
    # Little CMS of another year may round one step differently
    tolerance = 1 if " p3" in name else 0
    assert off.max() <= tolerance, f"{(off > tolerance).sum()} values differ, by up to {off.max()}"


def test_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = decoded_pictures([saved(RGB, "PNG"), saved(RGB, "PNG", icc_profile=profile)])
    assert np.array_equal(plain, tagged) and np.array_equal(plain, np.asarray(RGB))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_profile_beside_alpha(kind):
    """Pillow converts no grey with alpha by a profile: the grey alone, then the alpha."""
    plain, tagged = decoded_pictures([saved(GREY, kind, icc_profile=linear_grey()), saved(Image.merge("LA", (GREY, LA.getchannel("A"))), kind, icc_profile=linear_grey())])
    want = Image.alpha_composite(Image.new("RGBA", GREY.size, (255, 255, 255, 255)), Image.merge("RGBA", (*Image.fromarray(plain).split(), LA.getchannel("A"))))
    assert np.array_equal(tagged, np.asarray(want.convert("RGB")))


def test_broken_profile_counts_as_none():
    plain, tagged = decoded_pictures([saved(RGB, "PNG"), saved(RGB, "PNG", icc_profile=b"no profile" * 40)])
    assert np.array_equal(plain, tagged)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
@pytest.mark.parametrize("name, image, options", [
    ("4:4:4", RGB, {"quality": 95, "subsampling": "4:4:4"}), ("4:2:0", RGB, {"quality": 80}), ("alpha", RGBA, {"quality": 90}),
    ("two frames", RGB, {"save_all": True, "append_images": [RED]})])
def test_avif(name, image, options):
    data = saved(image, "AVIF", **options)
    ours, want = decoded_pictures([data])[0], upright_srgb(data)
    # the same library of another year: its fast conversion from YUV may round one step differently
    assert ours.shape == want.shape and np.abs(ours.astype(int) - want.astype(int)).max() <= 2


def test_huge_jpeg_is_decoded_smaller():
    """Over 128 million pixels: memory of an eighth, the grid of the whole."""
    from media_reference import data_url, dump
    import tempfile
    wide = Image.new("L", (16000, 8800), 90)
    data = saved(wide, "JPEG", quality=30)
    with tempfile.TemporaryDirectory() as folder:
        out = dump([{"type": "image_url", "image_url": {"url": data_url(data)}, "max_pixels": 640 * 352}], "pixels", folder)
        grid, values = np.load(out / "image_grid_thw.npy")[0], np.load(out / "pixel_values.npy")
    assert grid.tolist() == [1, 22, 40]
    assert np.abs((values * 0.5 + 0.5) * 255 - 90).max() < 1
