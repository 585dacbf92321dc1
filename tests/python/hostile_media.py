"""Pictures, clips and documents that mean harm, each with the words that its refusal must have. What is harmless after all, because
nobody asks for the part that is a bomb, has None."""
import struct
import zlib
from pathlib import Path

from PIL import Image

from media_reference import saved, waves

FIXTURES = Path(__file__).resolve().parent.parent / "worker" / "fixtures"
RGB = Image.fromarray(waves(64, 96, 3, 1))
ROWS = zlib.compress(bytes(64 * (1 + 96 * 3)))  # of a black picture of 96 x 64
ZEROS = zlib.compress(bytes(200 << 20), 9)      # 200 MiB in 200 KiB


def png(width: int, height: int, *chunks: tuple[bytes, bytes], colour: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def gif(width: int, height: int, frames: int) -> bytes:
    frame = b"!\xF9\4\0\1\0\0\0," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\1\0\0"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame * frames + b";"


def tiff(**tags: tuple[int, int, int]) -> bytes:
    """A directory of (tag, type, value), with nothing behind it."""
    entries = sorted(tags.values())
    return b"II*\0\10\0\0\0" + struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in entries) + bytes(4)


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box(b"moov", body)
    return box(b"ftyp", b"isom\0\0\0\0isom") + body


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_animation(width: int, height: int, frames: int) -> bytes:
    canvas = struct.pack("<I", 2) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    inner = saved(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    frame = bytes(6) + struct.pack("<I", 15)[:3] * 2 + struct.pack("<I", 100)[:3] + b"\0" + inner
    return webp((b"VP8X", canvas), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * frames)


def jpeg_with(*segments: bytes) -> bytes:
    return saved(RGB, "JPEG")[:2] + b"".join(b"\xFF" + s[:1] + struct.pack(">H", len(s) + 1) + s[1:] for s in segments) + saved(RGB, "JPEG")[2:]


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A HEIF picture that says to be as large as that (its ispe boxes)."""
    parts = data.split(b"ispe")
    return parts[0] + b"".join(b"ispe" + part[:4] + struct.pack(">II", width, height) + part[12:] for part in parts[1:])


def in_mp4(name: bytes, change) -> bytes:
    """A true clip in which the box `name` of the first track that has one has another body; change(body) gives it, or boxes in its place."""
    inside = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
    done = []

    def walk(data: bytes) -> bytes:
        out, at = b"", 0
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8:at + size]
            if kind == name and not done:
                done.append(1)
                body = change(body)
            elif kind in inside:
                body = walk(body)
            out, at = out + box(kind, body), at + size
        return out

    result = walk((FIXTURES / "b_frames.mp4").read_bytes())
    assert done
    return result


def packed_moov(size: int, packed: bytes) -> bytes:
    """A clip whose tables are compressed, as QuickTime wrote them, and say to be `size` bytes."""
    data = (FIXTURES / "b_frames.mp4").read_bytes()
    return data[:data.index(b"moov") - 4] + box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", size) + packed)))


def ebml(name: str, body: bytes, size: bytes | None = None) -> bytes:
    return bytes.fromhex(name) + (size or b"\x01" + struct.pack(">Q", len(body))[1:]) + body


def matroska(body: bytes) -> bytes:
    return ebml("1A45DFA3", ebml("4282", b"matroska")) + ebml("18538067", body, b"\x01" + b"\xFF" * 7)


def nested_tags(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = ebml("67C8", body)
    return matroska(ebml("1254C367", ebml("7373", body)))


def split(head: bytes, count: int) -> list[bytes]:
    return [head + bytes((i + 1, count)) + bytes(60000) for i in range(count)]


BMP_HEAD = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54)
TOO_MANY = "pixels"
PICTURES = {
    "png of 65,535 x 65,535": (png(65535, 65535, (b"IDAT", zlib.compress(bytes(1 << 20)))), TOO_MANY),
    "png of 2^31 - 1": (png(0x7FFFFFFF, 0x7FFFFFFF, (b"IDAT", ZEROS)), "PNG"),
    "png of no width": (png(0, 5), "PNG"), "png without pixels": (png(96, 64), "PNG"), "png cut": (saved(RGB, "PNG")[:900], "PNG"),
    "jpeg bomb": (saved(Image.new("L", (64, 64)), "JPEG").replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65500, 65500), 1), "JPEG"),
    "jpeg cut": (saved(RGB, "JPEG")[:500], "JPEG"), "jpeg that is a zip": (b"\xFF\xD8\xFF\xE0" + b"PK\3\4" * 500, "JPEG"),
    "gif bomb": (gif(65535, 65535, 1), TOO_MANY), "gif loop": (b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"!\xFE\1x" * 1000, "GIF"),
    "gif that is a script": (b"GIF89a=1;/*" + b"A" * 200 + b"*/alert(1)", "GIF"),
    "bmp bomb": (BMP_HEAD + struct.pack("<IiiHHIIiiII", 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0), TOO_MANY),
    "bmp of negative width": (BMP_HEAD + struct.pack("<IiiHHIIiiII", 40, -5, 5, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99), "BMP"),
    "tiff bomb": (tiff(w=(256, 4, 65535), h=(257, 4, 65535), b=(258, 3, 8), o=(273, 4, 8), n=(279, 4, 4)), TOO_MANY),
    "tiff of a huge strip": (tiff(w=(256, 4, 60000), h=(257, 4, 2000), b=(258, 3, 8), p=(262, 3, 1), o=(273, 4, 8), n=(279, 4, 0xFFFFFFF0), r=(278, 4, 2000)), "TIFF"),
    "tiff directory loop": (b"II*\0\10\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 5) + struct.pack("<I", 8), "TIFF"),
    "webp of nothing": (b"RIFF" + struct.pack("<I", 4) + b"WEBP", "WebP"), "webp cut": (saved(RGB, "WEBP")[:99], "WebP"),
    "webp animation of 16,383 x 16,383": (webp_animation(16383, 16383, 3), TOO_MANY),
    "avif of nothing": (box(b"ftyp", b"avif\0\0\0\0mif1avif"), "AVIF"), "avif of 65,535 x 65,535": (with_size(saved(RGB, "AVIF"), 65535, 65535), "AVIF"),
    "heic of nothing": (box(b"ftyp", b"heic\0\0\0\0mif1heic"), "HEIC"), "heic of 65,535 x 65,535": (with_size((FIXTURES / "colour.heic").read_bytes(), 65535, 65535), "65535x65535"),
    "heic of boxes": (box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + box(b"iloc", b"\xFF" * 4000)), "HEIC"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "an SVG drawing"),
    "xml bomb": (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'b'><!ENTITY c '&b;&b;'>]><a>&c;</a>", "an XML document"),
    "pdf": (b"%PDF-1.7\n1 0 obj<</S/JavaScript/JS(app.alert(1))>>", "a PDF document"), "zip": (b"PK\3\4" + bytes(100), "a ZIP archive"),
    "html": (b"<html><body>hello", "not a format"), "empty": (b"", "empty"), "text": (b"hello", "not a format"),
    "video": ((FIXTURES / "b_frames.mp4").read_bytes(), "a video"),
    # These are pictures after all: bombs in what nobody asked for.
    "png with a profile of 200 MB": (png(96, 64, (b"iCCP", b"x\0\0" + ZEROS), (b"IDAT", ROWS)), None),
    "png with a text of 200 MB": (png(96, 64, (b"zTXt", b"x\0\0" + ZEROS), (b"IDAT", ROWS)), None),
    "png with XMP of 200 MB": (png(96, 64, (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + ZEROS), (b"IDAT", ROWS)), None),
    "png with a thousand texts": (png(96, 64, *[(b"tEXt", b"a\0b")] * 3000, (b"IDAT", ROWS)), None),
    "png of 2^31 frames": (png(96, 64, (b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)), (b"fcTL", struct.pack(">IIIIIHHBB", 0, 96, 64, 0, 0, 1, 1, 0, 0)), (b"IDAT", ROWS)), None),
    "gif of 500 frames": (saved(Image.new("L", (64, 64)), "GIF", save_all=True, append_images=[Image.new("L", (64, 64), 1 + i % 2) for i in range(499)]), None), "webp of 2,000 frames": (webp_animation(64, 64, 2000), None),
    "webp with XMP of 4 MB": (webp((b"VP8X", b"\4" + bytes(3) + struct.pack("<I", 95)[:3] + struct.pack("<I", 63)[:3]), (b"VP8L", saved(RGB, "WEBP", lossless=True)[20:]), (b"XMP ", b"<" * (4 << 20))), None),
    "jpeg with XMP of 6 MB": (jpeg_with(*[b"\xE1http://ns.adobe.com/xmp/extension/\0" + bytes(60000)] * 100), None),
    "jpeg with a profile of 15 MB": (jpeg_with(*split(b"\xE2ICC_PROFILE\0", 255)), None),
    "jpeg with a zip behind it": (saved(RGB, "JPEG") + b"PK\3\4" * 100, None),
    "jpeg with a pdf behind it": (saved(RGB, "JPEG") + b"%PDF-1.7\n", None),
    "jpeg with exif in circles": (saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xFF\xFF" + bytes(2)), None),
}

U32 = 0xFFFFFFFF


def bmp_rle(body: bytes) -> bytes:
    offset = 14 + 40 + 1024
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", offset + len(body), 0, 0, offset, 40, 64, 64, 1, 8, 1, len(body), 0, 0, 256, 0) + bytes(1024) + body


def tiff_directories(count: int) -> bytes:
    """Each names the next; none has a picture."""
    out = bytearray(b"II*\0\10\0\0\0")
    for _ in range(count):
        out += struct.pack("<HHHII", 1, 256, 4, 1, 16) + struct.pack("<I", len(out) + 18)
    return bytes(out[:-4] + bytes(4))


def mp4_tracks(count: int) -> bytes:
    data = (FIXTURES / "b_frames.mp4").read_bytes()
    moov, trak = data.index(b"moov") - 4, data.index(b"trak") - 4
    size = struct.unpack_from(">I", data, trak)[0]
    whole = struct.pack(">I", struct.unpack_from(">I", data, moov)[0] + size * count)
    return data[:moov] + whole + data[moov + 4:trak] + data[trak:trak + size] * (count + 1) + data[trak + size:]


PICTURES |= {
    "bmp that jumps for ever": (bmp_rle(b"\0\2\xFF\xFF" * 200_000), None), "bmp of runs without an end": (bmp_rle(b"\xFF\1" * 500_000), "truncated"),
    "tiff of 100,000 directories": (tiff_directories(100_000), "malformed or truncated"),
    "tiff of 65,535 samples": (tiff(a=(256, 4, 64), b=(257, 4, 64), c=(258, 3, 8), d=(259, 3, 1), e=(262, 3, 2), f=(273, 4, 8), g=(277, 3, 65535), h=(279, 4, 100)), "truncated or damaged"),
    "png of 100,000 empty parts": (png(96, 64, *[(b"IDAT", b"")] * 100_000, (b"IDAT", ROWS)), None),
    "gif with codes of 11 bits": (b"GIF89a" + struct.pack("<HHBBB", 2000, 2000, 0x80, 0, 0) + bytes(6) + b"," + struct.pack("<HHHHB", 0, 0, 2000, 2000, 0) + b"\x0B" + (b"\xFF" * 256) * 500 + b"\0;",
                                  "LZW codes of 11 bits"),
}
VIDEOS = {
    "mp4 of nothing": (box(b"ftyp", b"isom\0\0\0\0isom"), "not a container"), "mp4 of nested boxes": (nested(2000), "not a container"),
    "mp4 with a size of 2^63": (b"\0\0\0\1ftyp\x7F" + b"\xFF" * 7, "not a container"),
    "mp4 cut": ((FIXTURES / "b_frames.mp4").read_bytes()[:-300], "not a container"),
    "mp4 with 2^32 times": (in_mp4(b"stts", lambda body: struct.pack(">III", 0, U32, 1) + struct.pack(">I", 512)), "more memory than a decoder gets"),
    "mp4 with times of 2^32 frames": (in_mp4(b"stts", lambda body: struct.pack(">IIII", 0, 1, U32, U32)), "its index lists 4294967295 frames"),
    "mp4 with 2^31 samples": (in_mp4(b"stsz", lambda body: struct.pack(">III", 0, 1, 0x7FFFFFFF)), "no frames"),
    "mp4 with 10^7 samples": (in_mp4(b"stsz", lambda body: struct.pack(">III", 0, 1, 10_000_000)), "damaged"),
    "mp4 with 2^32 chunks": (in_mp4(b"stco", lambda body: struct.pack(">II", 0, U32) + bytes(64)), "more memory than a decoder gets"),
    "mp4 with an edit list of 2^32": (in_mp4(b"elst", lambda body: struct.pack(">II", 0, U32) + body[8:]), None),
    "mp4 with an edit list in circles": (in_mp4(b"elst", lambda body: struct.pack(">II", 0, 1_000) + struct.pack(">IiI", 1000, 0, 0x10000) * 1_000), None),
    "mp4 with packed tables of 200 MB": (packed_moov(200 << 20, ZEROS), "no video stream"), "mp4 with packed tables of 4 GB": (packed_moov(0xFFFFFFF0, ZEROS), "more memory than a decoder gets"),
    "mkv of nothing": (b"\x1A\x45\xDF\xA3\x01" + b"\xFF" * 7, "truncated"), "mkv of tags in tags": (nested_tags(3000), "truncated"),
    "mkv of clusters of unknown size": (matroska(ebml("1F43B675", b"", b"\x01" + b"\xFF" * 7) * 20_000), "no video stream"),
    "mkv of segments in segments": (matroska(ebml("18538067", b"", b"\x01" + b"\xFF" * 7) * 5_000), "truncated"),
    "avi of nothing": (b"RIFF\xFF\xFF\xFF\xFFAVI LIST\xFF\xFF\xFF\xFFhdrl", "not a container"),
    "gif of 65,535 x 65,535, 50 frames": (gif(65535, 65535, 50), TOO_MANY),
    "webp of 16,383 x 16,383, 50 frames": (webp_animation(16383, 16383, 50), TOO_MANY),
    "png of 65,535 x 65,535, 2^31 frames": (png(65535, 65535, (b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)), (b"fcTL", struct.pack(">IIIIIHHBB", 0, 65535, 65535, 0, 0, 1, 1, 0, 0)),
                                                (b"IDAT", zlib.compress(bytes(1 << 20)))), "not a container"),
    "playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "not a container"),
    "concat": (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a container"),
    "sdp": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "not a container"), "still webp": (saved(RGB, "WEBP"), "a still WebP picture"),
    "y4m of 65,535 x 65,535": (b"YUV4MPEG2 W65535 H65535 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(1000), "not a container"),
    "y4m of no rate": (b"YUV4MPEG2 W96 H64 F0:0 Ip A1:1 C420\nFRAME\n" + bytes(1000), "no frames"),
    "mp4 of 68 years": (in_mp4(b"mvhd", lambda body: body[:12] + struct.pack(">II", 1, 0x7FFFFFFF) + body[20:]), "the limit is 86400"),
    "mp4 of 2,001 tracks": (mp4_tracks(2000), "more memory than a decoder gets"),
    "gif of 20,000 frames": (gif(1, 1, 20_000), None),
    "sound": (b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + bytes(4), "not a container"), "empty": (b"", "empty"),
}
