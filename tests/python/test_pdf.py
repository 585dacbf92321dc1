"""PDF documents: pages as pictures and as text with places, ranges, passwords, limits, and documents that mean harm."""
import base64
import http.client
import io
import json
import os
import re
import subprocess
import time
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)
if not (Path(os.environ["WEFT_BIN"]).parent / "weft-pdf").exists():
    pytest.skip("this weft was built without poppler-glib", allow_module_level=True)

from pdf_writer import lines_page, pdf
from test_server import ask, client_of, refused
from weft_server import GOLDEN, PeakOfWorkers, Server

MODEL = GOLDEN / "models" / "dense_tied" / "model"
THREE = pdf([lines_page((72, 700, f"Heading {i}"), (72, 100, "left foot"), (400, 100, "right (foot)")) for i in (1, 2, 3)])


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server):
    return client_of(server)


def ask_about(content: bytes, text: str = "What?", **file) -> list[dict]:
    data = "data:application/pdf;base64," + base64.b64encode(content).decode()
    return [{"role": "user", "content": [{"type": "file", "file": {"file_data": data, "filename": "some.pdf", **file}}, {"type": "text", "text": text}]}]


def dump(tmp_path, messages, stages="prompt,pixels") -> Path:
    """The prompt and the pixels that the model would see."""
    request, out = tmp_path / "request.json", tmp_path / "out"
    request.write_text(json.dumps({"messages": messages}))
    subprocess.run([os.environ["WEFT_BIN"], "dump", "--model", str(MODEL), "--request", str(request), "--out", str(out), "--stages", stages],
                   check=True, capture_output=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    return out


def plan(client, messages):
    return client.post("/media/plan", body={"messages": messages}, cast_to=object)


# ---- what the model gets ----

def test_text_comes_in_reading_order_with_pages_and_boxes(tmp_path):
    text = (dump(tmp_path, ask_about(THREE, mode="text"), "prompt") / "prompt.txt").read_text()
    at = [text.index(words) for i in (1, 2, 3) for words in (f"[some.pdf, page {i} of 3]", f"Heading {i}")]
    assert at == sorted(at) and text.count("left foot") == text.count("right (foot)") == 3 and "image_pad" not in text
    boxes = (dump(tmp_path, ask_about(THREE, mode="text", boxes=True), "prompt") / "prompt.txt").read_text()
    x1, y1, x2, y2 = map(int, re.search(r"\[(\d+), (\d+), (\d+), (\d+)\] Heading 2", boxes).groups())
    assert abs(x1 - 72 / 612 * 1000) < 5 and x1 < x2 < 400  # 24 points high, standing on 700 of 792 points
    assert y1 < (792 - 700) / 792 * 1000 <= y2 + 1 and 15 < y2 - y1 < 45


def test_pages_are_drawn_where_their_text_is(tmp_path):
    """The rectangles and letters of a page are found in the pixels that the encoder gets; the font is not in the document."""
    content = lines_page((72, 700, "MMMMMM")) + " 1 0 0 rg 306 0 306 396 re f"
    out = dump(tmp_path, ask_about(pdf([content]), mode="pages", max_pixels=160_000))
    t, h, w = np.load(out / "image_grid_thw.npy")[0]
    patches = np.load(out / "pixel_values.npy").reshape(t, h // 2, w // 2, 2, 2, 3, 2, 16, 16)
    picture = patches[0, :, :, :, :, :, 0].transpose(0, 2, 5, 1, 3, 6, 4).reshape(h * 16, w * 16, 3)
    lower_right = picture[h * 9:h * 16, w * 9:w * 16]
    assert np.allclose(lower_right[..., 0], picture.max()) and np.allclose(lower_right[..., 1:], picture.min())
    assert np.allclose(picture[h * 9:, :w * 7], picture.max())  # the rest of the lower half is white
    letters = picture[int(h * 16 * 0.085):int(h * 16 * 0.12), int(w * 16 * 0.11):int(w * 16 * 0.3)]
    assert letters.min() < 0 < letters.max()


def test_pages_cost_what_their_resolution_says(client):
    tokens = {dpi: [item["tokens"] for item in plan(client, ask_about(THREE, dpi=dpi, mode="pages", max_pixels=4_000_000))["items"]] for dpi in (50, 100, 150)}
    for dpi, each in tokens.items():
        assert len(each) == 3 and len(set(each)) == 1
        assert each[0] == pytest.approx(612 * 792 * (dpi / 72) ** 2 / 32 ** 2, rel=0.1)
    budget = plan(client, ask_about(THREE, page_tokens=100, mode="pages"))
    assert all(80 <= item["tokens"] <= 100 for item in budget["items"])
    both, text = plan(client, ask_about(THREE, page_tokens=100)), plan(client, ask_about(THREE, mode="text"))
    assert both["media_tokens"] == budget["media_tokens"] and text["media_tokens"] == 0
    assert both["prompt_tokens"] > budget["prompt_tokens"] and ask(client, ask_about(THREE, page_tokens=100), max_tokens=1)[2].prompt_tokens == both["prompt_tokens"]


@pytest.mark.parametrize("pages, expected", [("2", [2]), ("1-2", [1, 2]), ("3,1", [3, 1]), ("2-", [2, 3]), ("1,1", [1, 1]), ("1-3", [1, 2, 3])])
def test_ranges(tmp_path, pages, expected):
    text = (dump(tmp_path, ask_about(THREE, pages=pages, mode="text"), "prompt") / "prompt.txt").read_text()
    assert [int(number) for number in re.findall(r"page (\d) of 3\]", text)] == expected
    assert [int(number) for number in re.findall(r"Heading (\d)", text)] == expected


def test_the_same_file_every_way(client, tmp_path):
    expected = ask(client, ask_about(THREE, page_tokens=64), temperature=0)
    file = client.files.create(file=("some.pdf", THREE), purpose="user_data")
    messages = [{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id, "filename": "some.pdf", "page_tokens": 64}}, {"type": "text", "text": "What?"}]}]
    assert ask(client, messages, temperature=0) == expected


def test_forty_pages_in_one_request(client):
    pages = pdf([lines_page((72, 700, f"Page {i}")) for i in range(1, 41)])
    planned = plan(client, ask_about(pages, page_tokens=40))
    assert len(planned["items"]) == 40
    assert ask(client, ask_about(pages, page_tokens=40), max_tokens=2, temperature=0)[2].prompt_tokens == planned["prompt_tokens"]


def test_pictures_and_clips_as_files(client):
    for name, kind in (("small.png", "image_url"), ("ball.avi", "video_url")):
        data = "data:application/octet-stream;base64," + base64.b64encode((GOLDEN / "media" / name).read_bytes()).decode()
        as_file = [{"role": "user", "content": [{"type": "file", "file": {"file_data": data}}, {"type": "text", "text": "What?"}]}]
        as_media = [{"role": "user", "content": [{"type": kind, kind: {"url": data}}, {"type": "text", "text": "What?"}]}]
        assert ask(client, as_file, temperature=0) == ask(client, as_media, temperature=0)


def test_a_document_that_does_not_fit_is_refused_with_the_setting_that_does(client):
    pages = ask_about(pdf([lines_page((72, 700, f"Page {i}")) for i in range(1, 41)]))
    small = Server("--context", "1500")
    try:
        own = client_of(small)
        status, code, message = refused(own, messages=pages)
        budget = int(re.search(r"page_tokens (\d+)", message)[1])
        assert status == 400 and code == "context_length_exceeded" and not plan(own, pages)["fits"]
        fitting = [{**pages[0], "content": [{"type": "file", "file": {**pages[0]["content"][0]["file"], "page_tokens": budget}}, pages[0]["content"][1]]}]
        planned = plan(own, fitting)
        assert planned["fits"] and len(planned["items"]) == 40 and str(planned["prompt_tokens"]) in message
    finally:
        small.stop()


# ---- pages for people ----

def page_of(server, path, password=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers={} if password is None else {"X-Document-Password": quote(password)})
    response = connection.getresponse()
    return response.status, response.getheader("Content-Type"), response.read()


def test_pages_of_an_uploaded_document(server, client):
    content = [lines_page((72, 700, "x")) + " 1 0 0 rg 306 0 306 396 re f", lines_page((72, 700, "y"))]
    file = client.files.create(file=("some.pdf", pdf(content)), purpose="user_data")
    status, _, body = page_of(server, f"/v1/files/{file.id}/pages")
    about = json.loads(body)
    assert status == 200 and (about["pages"], about["width"], about["height"], about["filename"]) == (2, 612, 792, "some.pdf")
    status, kind, body = page_of(server, f"/v1/files/{file.id}/pages/1?width=306")
    picture = np.asarray(Image.open(io.BytesIO(body)))
    assert status == 200 and kind == "image/png" and picture.shape == (396, 306, 3)
    assert (picture[200:390, 160:300] == [255, 0, 0]).all() and (picture[200:390, :150] == 255).all() and picture[:60].min() < 128
    for path, expected in (("pages/3", 404), ("pages/0", 404), ("pages/x", 404), ("pages/1x", 404), ("pages/1?width=9", 400), ("pages/1?width=9999", 400), ("pagesx", 404)):
        assert page_of(server, f"/v1/files/{file.id}/{path}")[0] == expected, path
    client.files.delete(file.id)
    assert page_of(server, f"/v1/files/{file.id}/pages")[0] == 404
    picture = client.files.create(file=("some.png", (GOLDEN / "media" / "small.png").read_bytes()), purpose="vision")
    assert page_of(server, f"/v1/files/{picture.id}/pages")[0] == 400


def test_pages_of_an_encrypted_document(server, client):
    locked = client.files.create(file=("some.pdf", pdf([lines_page((72, 700, "Secret"))], password="a +%&b")), purpose="user_data").id
    for address in (f"/v1/files/{locked}/pages", f"/v1/files/{locked}/pages/1"):
        for password in (None, "", "wrong", "x" * 300):
            status, _, body = page_of(server, address, password)
            assert status == 400 and (password and len(password) > 200 or json.loads(body)["error"]["code"] == "password_required")
        assert page_of(server, address, "a +%&b")[0] == 200


# ---- what is refused ----

def test_passwords(client):
    locked = pdf([lines_page((72, 700, "Secret"))], password="öffnen"[1:])
    for file, words in (({}, "give its password"), ({"password": "wrong"}, "does not open with this password")):
        status, code, message = refused(client, messages=ask_about(locked, **file))
        assert status == 400 and code == "password_required" and words in message and "some.pdf" in message
    assert ask(client, ask_about(locked, password="ffnen", mode="text"), max_tokens=1)[2].prompt_tokens


@pytest.mark.parametrize("file, words", [
    ({"pages": "4"}, "the PDF has 3"), ({"pages": "0"}, "pages"), ({"pages": "2-1"}, "pages"), ({"pages": "x"}, "pages"), ({"pages": "1-2-3"}, "pages"), ({"pages": ","}, "pages"),
    ({"pages": "99999999999999999999"}, "the PDF has 3"), ({"mode": "x"}, "mode"), ({"dpi": 5000}, "dpi"), ({"dpi": "x"}, "dpi"), ({"password": "x" * 5000}, "password"),
], ids=str)
def test_options_that_are_wrong(client, file, words):
    status, _, message = refused(client, messages=ask_about(THREE, **file))
    assert status == 400 and words in message


LOOP = THREE.replace(b"/Kids [5 0 R 7 0 R 9 0 R]", b"/Kids [2 0 R 2 0 R 2 0 R]")
DEEP = pdf(["q " * 200_000 + lines_page((72, 700, "deep"))])
FORM_LOOP = pdf(["/X Do"], extra=["<< >>"]).replace(b"/Font << /F1 3 0 R >>", b"/XObject << /X 4 0 R >>").replace(b"/Length 5", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length 5")
SCRIPT = pdf([lines_page((72, 700, "calm"))], catalog="/OpenAction << /S /JavaScript /JS (app.alert(1); while(true){}) >> /AA << /O << /S /Launch /F (/bin/sh) >> >>")


ZEROS = zlib.compress(bytes(20 << 20), 9)
FLATE_BOMB = pdf([ZEROS.decode("latin-1")]).replace(b"/Length", b"/Filter /FlateDecode /Length", 1)
PICTURE_BOMB = pdf(["/X Do", "x"]).replace(b"/Font << /F1 3 0 R >>", b"/XObject << /X 6 0 R >>").replace(
    b"/Length 1 ", b"/Type /XObject /Subtype /Image /Width 65535 /Height 65535 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Length 1 ")
HARM = {"cut": THREE[:200], "no-table": THREE[:-400], "empty": b"%PDF-1.7\n", "noise": b"%PDF-" + os.urandom(5000), "page-loop": LOOP, "deep": DEEP, "form-loop": FORM_LOOP,
        "script": SCRIPT, "wide": pdf([lines_page((72, 700, "x"))], media_box=(0, 0, 1e9, 1)), "flat": pdf([lines_page((72, 700, "x"))], media_box=(0, 0, 0, 0)),
        "count": THREE.replace(b"/Count 3", b"/Count 2000000000"), "flate-bomb": FLATE_BOMB, "picture-bomb": PICTURE_BOMB, "jpeg-before": b"\xFF\xD8\xFF" + THREE}


def forms_in_forms(pages: int) -> bytes:
    """Each page's content shows the next page's ten times: the first would take years to draw."""
    objects = iter(range(6, 5 + 2 * pages, 2))
    whole = pdf(["/X Do " * 10] * (pages - 1) + ["0 0 9 9 re f"])
    whole = re.sub(rb"/Font << /F1 3 0 R >>", lambda _: b"/XObject << /X %d 0 R >>" % next(objects, 4), whole)
    objects = iter(range(6, 5 + 2 * pages, 2))
    return re.sub(rb"<< /Length", lambda _: b"<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X %d 0 R >> >> /Length" % next(objects, 4), whole)


@pytest.mark.parametrize("limit", [("--context", "1500"), ("--memory", "300K")], ids=str)
def test_pages_that_do_not_fit_are_not_drawn(limit):
    pages = ask_about(forms_in_forms(14), mode="pages", page_tokens=300)
    server = Server(*limit)
    try:
        client = client_of(server)
        planned = plan(client, pages)  # draws nothing either
        status, code, message = refused(client, messages=pages)
        assert len(planned["items"]) == 14 and not planned["fits"]
        assert status == 400 and code == "context_length_exceeded" and str(planned["prompt_tokens"]) in message
    finally:
        server.stop()


@pytest.fixture(scope="module")
def watched(server):
    watch = PeakOfWorkers(server)
    yield
    assert 0 < watch.stop() < 512  # MiB; a worker may have 3 GiB


@pytest.mark.parametrize("name", HARM)
def test_documents_that_mean_harm(client, watched, name):
    """Each is answered or refused within the worker's time; the server lives and serves the next one."""
    import openai
    try:
        assert ask(client, ask_about(HARM[name], page_tokens=16), max_tokens=1)[2].prompt_tokens
    except openai.APIStatusError as error:
        assert error.status_code in (400, 413) and error.body["message"].isprintable() and "some.pdf" in error.body["message"], error.body
    assert ask(client, ask_about(THREE, pages="1", mode="text"), max_tokens=1)[2].prompt_tokens


@pytest.mark.parametrize("name", HARM)
def test_documents_that_mean_harm_on_the_command_line(tmp_path, name):
    (tmp_path / "some.pdf").write_bytes(HARM[name])
    run = subprocess.run([os.environ["WEFT_BIN"], "chat", "--model", str(MODEL), "--file", str(tmp_path / "some.pdf"), "--dpi", "30", "-n", "1", "?"],
                         capture_output=True, text=True, timeout=120, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    assert run.returncode == 0 or (run.returncode == 1 and re.search(r"^weft: error: .*some\.pdf", run.stderr, re.M)), run.stderr


def test_a_hundred_thousand_pages(client):
    file = client.files.create(file=("many.pdf", pdf([lines_page((72, 700, "x"))] * 100_000)), purpose="user_data")

    def about(**options):
        return [{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id, **options}}, {"type": "text", "text": "What?"}]}]

    status, code, message = refused(client, messages=about())
    assert (status, code) == (413, "limit_exceeded") and "100000" in message
    assert ask(client, about(pages="99999-100000", mode="text"), max_tokens=1)[2].prompt_tokens
    client.files.delete(file.id)


def test_the_command_line(tmp_path):
    for name, content in (("three.pdf", THREE), ("locked.pdf", pdf([lines_page((72, 700, "Secret"))], password="key"))):
        (tmp_path / name).write_bytes(content)

    def run(*arguments):
        return subprocess.run([os.environ["WEFT_BIN"], *arguments, "--model", str(MODEL)], capture_output=True, text=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)})

    assert run("chat", "--file", str(tmp_path / "three.pdf"), "--pages", "2", "--dpi", "40", "-n", "2", "What?").returncode == 0
    locked = run("chat", "--file", str(tmp_path / "locked.pdf"), "-n", "2", "What?")
    assert locked.returncode == 1 and "give its password" in locked.stderr
    assert run("chat", "--file", str(tmp_path / "locked.pdf"), "--password", "key", "--dpi", "40", "-n", "2", "What?").returncode == 0
    planned = run("plan", str(tmp_path / "three.pdf"), "--json")
    assert len(json.loads(planned.stdout)["items"]) == 3


def test_workers_end_with_their_request(server, client):
    ask(client, ask_about(THREE, page_tokens=16), max_tokens=1)
    for _ in range(100):
        children = subprocess.run(["ps", "--ppid", str(server.process.pid), "-o", "comm="], capture_output=True, text=True).stdout.split()
        if not children:
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {children}")
