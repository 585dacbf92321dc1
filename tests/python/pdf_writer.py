"""Small PDF documents for tests, with fonts that are named and not embedded, and the oldest encryption (RC4, 40 bits)."""
import hashlib

PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def lines_page(*lines: tuple[float, float, str]) -> str:
    """Content of a page: text at points from the lower left corner."""
    return "BT /F1 24 Tf " + " ".join(f"1 0 0 1 {x} {y} Tm ({escape(text)}) Tj" for x, y, text in lines) + " ET"


def pdf(contents: list[str], password: str | None = None, media_box=(0, 0, 612, 792), catalog: str = "", extra: list[str] = ()) -> bytes:
    count = len(contents)
    objects: list[tuple[str, bytes | None]] = [(f"<< /Type /Catalog /Pages 2 0 R {catalog} >>", None),
                                               (f"<< /Type /Pages /Kids [{' '.join(f'{5 + 2 * i} 0 R' for i in range(count))}] /Count {count} >>", None),
                                               ("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", None)]
    box = " ".join(map(str, media_box))
    for i, content in enumerate(contents):
        objects.append(("", content.encode("latin-1")))
        objects.append((f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents {4 + 2 * i} 0 R /Resources << /Font << /F1 3 0 R >> >> >>", None))
    objects += [(text, None) for text in extra]
    key, trailer, identity = None, "", b"0123456789abcdef"
    if password is not None:
        padded = (password.encode() + PAD)[:32]
        owner = rc4(hashlib.md5(padded).digest()[:5], padded)
        key = hashlib.md5(padded + owner + (-4 & 0xffffffff).to_bytes(4, "little") + identity).digest()[:5]
        objects.append((f"<< /Filter /Standard /V 1 /R 2 /O <{owner.hex()}> /U <{rc4(key, PAD).hex()}> /P -4 >>", None))
        trailer = f"/Encrypt {len(objects)} 0 R /ID [<{identity.hex()}> <{identity.hex()}>]"
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, (text, stream) in enumerate(objects, 1):
        offsets.append(len(out))
        if stream is not None:
            if key:
                stream = rc4(hashlib.md5(key + number.to_bytes(3, "little") + bytes(2)).digest()[:10], stream)
            out += f"{number} 0 obj\n<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream\nendobj\n"
        else:
            out += f"{number} 0 obj\n{text}\nendobj\n".encode()
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode() + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)
