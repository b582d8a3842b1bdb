"""The local page and its endpoints, over real sockets and in a real browser."""

import asyncio
import base64
import dataclasses
import hashlib
import io
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser import barriers, open_browser, resize
from PIL import Image

import xcos
from xcos.cli import main

httpx = pytest.importorskip("httpx", reason="the PyPI package httpx is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the PyPI package uvicorn is not installed")
serve = pytest.importorskip("xcos.serve", reason="Starlette is not installed", exc_type=ImportError)


@contextmanager
def running(**keywords):
    """A server of this process on a free port; gives a client for it."""
    config = uvicorn.Config(serve.make_app(**keywords), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def client():
    with running() as client:
        yield client


@pytest.fixture(scope="module")
def pair(photos):
    return photos["obama_portrait_2012"], photos["obama_congress_2009"]


@pytest.fixture(scope="module")
def group(photos, tmp_path_factory):
    """One picture with two people side by side: faces 0 and 1 in some order."""
    images = [Image.open(photos[name]).resize((450, 600)) for name in ("obama_portrait_2012", "biden_blue_room_2010")]
    both = Image.new("RGB", (900, 600))
    for i, image in enumerate(images):
        both.paste(image, (450 * i, 0))
    path = tmp_path_factory.mktemp("group") / "group.png"
    both.save(path)
    return path


def form(**pictures):
    return {name: (Path(path).name, Path(path).read_bytes()) for name, path in pictures.items()}


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]


def test_explain_is_the_library(client, pair):
    value = client.post("/explain", files=form(a=pair[0], b=pair[1])).raise_for_status().json()
    e = xcos.explain(*pair)
    assert value["same"] is e.same is True
    for name in ("score", "cosine", "threshold"):
        assert value[name] == pytest.approx(getattr(e, name), abs=1e-6)
    for name in ("cosine_map", "attention", "contribution"):
        np.testing.assert_allclose(value[name], getattr(e, name), atol=1e-6)
    assert value["names"] == [path.name for path in pair]


def test_faces_can_be_chosen(client, pair, group):
    found = client.post("/detect", files=form(image=group)).json()
    expected = xcos.detect(group)
    assert (found["width"], found["height"]) == (900, 600) and len(found["faces"]) == len(expected) == 2
    for face, other in zip(found["faces"], expected, strict=True):
        np.testing.assert_allclose(face["box"], other.box, atol=1e-3)
        np.testing.assert_allclose(face["points"], other.points, atol=1e-3)
    for i in range(2):
        value = client.post("/explain", files=form(a=group, b=pair[1]), data={"face_a": str(i)}).json()
        obama = expected[i].box[0] < 450
        assert value["same"] is obama
        e = xcos.explain(group, pair[1], face=(i, None))
        assert value["score"] == pytest.approx(e.score, abs=1e-6)
    assert "there is no face 7" in refusal(
        client.post("/explain", files=form(a=group, b=pair[1]), data={"face_a": "7"}), 422)


def test_threshold(client, pair):
    value = client.post("/explain", files=form(a=pair[0], b=pair[1]), data={"threshold": "0.99"}).json()
    assert value["same"] is False and value["threshold"] == 0.99
    for bad in ("2", "nan", "much"):
        answer = client.post("/explain", files=form(a=pair[0], b=pair[1]), data={"threshold": bad})
        assert "-1 to 1" in refusal(answer, 400)


def test_errors_name_the_photograph_and_the_reason(client, pair, tmp_path):
    white = tmp_path / "white.png"
    Image.new("RGB", (200, 200), "white").save(white)
    files = form(a=pair[0], b=white)
    assert refusal(client.post("/explain", files=files), 422).startswith("the second photograph: no face was found")
    files["b"] = ("b.jpg", pair[0].read_bytes()[:5000])
    assert "the second photograph: truncated JPEG" in refusal(client.post("/explain", files=files), 422)
    files["b"] = ("b.txt", b"hello")
    assert "is text" in refusal(client.post("/explain", files=files), 422)
    del files["b"]
    assert "'b'" in refusal(client.post("/explain", files=files), 400)
    plain = {"content-type": "text/plain"}
    assert "multipart/form-data" in refusal(client.post("/explain", content="a=1", headers=plain), 415)
    assert "a number of a face" in refusal(
        client.post("/explain", files=form(a=pair[0], b=pair[1]), data={"face_a": "-1"}), 400)
    header = {"content-type": "multipart/form-data; boundary=x"}
    assert "damaged" in refusal(client.post("/explain", content=b"--y\r\nnonsense", headers=header), 400)
    header = {"content-type": "multipart/form-data"}
    assert "damaged" in refusal(client.post("/explain", content=b"", headers=header), 400)
    assert client.get("/nothing").status_code == 404 and client.get("/explain").status_code == 405
    assert client.get("/examples/..%2f..%2fpyproject.toml").status_code == 404


def test_too_large_a_picture_is_refused(pair):
    with running(limits=serve.Limits(picture_bytes=50_000)) as client:
        assert "MiB at most" in refusal(client.post("/detect", files=form(image=pair[0])), 413)
        parts = b"--x\r\ncontent-disposition: form-data; name=image; filename=i\r\n\r\n" + bytes(400_000)
        header = {"content-type": "multipart/form-data; boundary=x"}  # no length announced
        chunks = (parts[i : i + 1000] for i in range(0, len(parts), 1000))
        assert "MiB at most" in refusal(client.post("/detect", content=chunks, headers=header), 413)


def test_too_many_pixels_are_refused(pair):
    with running(limits=serve.Limits(pixels=10_000)) as client:
        assert "limit" in refusal(client.post("/detect", files=form(image=pair[0])), 422)


def test_nothing_touches_the_disk(client, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", fail)
    large = io.BytesIO()  # over the 1 MB from which Starlette would use a file
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)).save(large, "png")
    assert large.tell() > 2_000_000
    assert client.post("/detect", files={"image": ("noise.png", large.getvalue())}).json()["faces"] == []


def test_a_full_queue_answers_503(pair):
    with running(limits=serve.Limits(workers=1, waiting=1)) as client:
        files = form(a=pair[0], b=pair[1])
        answers = []

        def ask():
            answers.append(client.post("/explain", files=files))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in refused:
            assert "try again" in refusal(answer, 503) and int(answer.headers["retry-after"]) >= 1
        assert client.post("/explain", files=files).status_code == 200  # all slots are free again


def test_slow_work_and_slow_senders_are_given_up(pair):
    with running(limits=serve.Limits(work_s=0.001)) as client:
        assert "no answer within" in refusal(client.post("/explain", files=form(a=pair[0], b=pair[1])), 503)
    with running(limits=serve.Limits(upload_s=0.2, workers=1, waiting=0)) as client:
        def slowly():
            yield b"--x\r\n"
            time.sleep(0.6)
            yield b"content-disposition: form-data; name=image; filename=i\r\n\r\n\r\n--x--"

        header = {"content-type": "multipart/form-data; boundary=x"}
        assert "longer than" in refusal(client.post("/detect", content=slowly(), headers=header), 408)


def test_other_sites_and_other_names_are_refused(client, pair):
    origin = str(client.base_url).rstrip("/")
    files = form(image=pair[0])
    assert client.post("/detect", files=files, headers={"origin": origin}).status_code == 200
    for other in ("https://example.com", "null", "http://127.0.0.1:1"):
        assert "other sites" in refusal(client.post("/detect", files=files, headers={"origin": other}), 403)
    for name in ("example.com", "127.0.0.1.example.com", ""):
        assert client.get("/", headers={"host": name}).status_code in (400, 421)
    for name in ("localhost:80", "localhost.", "LocalHost.:80"):
        assert client.get("/", headers={"host": name}).status_code == 200
    assert client.get("/", headers={"host": "localhost.."}).status_code == 421


def test_token():
    token = "a-token-of-some-length"
    with running(token=token, hosts=None) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "xcos_token=wrong"}):
            assert "token" in refusal(client.get("/", headers=headers), 401)
        assert "set-cookie" not in client.get("/?token=wrong").headers
        assert client.get("/", headers={"authorization": f"Bearer {token}"}).status_code == 200
        cookie = client.get(f"/?token={token}").headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert client.get("/page.js").status_code == 200  # the client keeps cookies, as a browser does


def test_headers_and_types(client):
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css"),
                       ("/explanation.js", "text/javascript"), ("/examples/obama_portrait_2012.jpg", "image/jpeg")):
        answer = client.get(path)
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_openapi_describes_the_endpoints(client, pair):
    description = client.get("/openapi.json").json()
    assert description["info"]["version"] == xcos.__version__
    both, searches = ("/explain", "/report", "/detect"), ("/search", "/why", "/enrol", "/remove", "/gallery")
    assert {*both, *searches} == set(description["paths"])
    pytest.importorskip("openapi_spec_validator").validate(description)
    jsonschema = pytest.importorskip("jsonschema")
    for name, path, files in (("Explanation", "/explain", form(a=pair[0], b=pair[1])),
                              ("Faces", "/detect", form(image=pair[0])), ("Error", "/detect", {"x": b""})):
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        value = client.post(path, files=files).json()
        jsonschema.Draft202012Validator(schema).validate(value)
        assert set(value) <= set(description["components"]["schemas"][name]["properties"])


def test_the_report_is_of_what_was_sent(client, pair):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    answer = client.post("/report", files=form(a=pair[0], b=pair[1]), data={"case": "K 17"}).raise_for_status()
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="case.pdf"'
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages)
    assert "K 17" in text and f"{xcos.verify(*pair).score:.4f}" in text
    text = "".join(text.split())
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() in text for path in pair)
    page = client.post("/report", files=form(a=pair[0], b=pair[1]), data={"kind": "html"}).raise_for_status()
    assert page.headers["content-type"].startswith("text/html") and pair[0].name in page.text
    said = refusal(client.post("/report", files=form(a=pair[0], b=pair[1]), data={"kind": "doc"}), 400)
    assert said == "kind: expected one of pdf, html, got 'doc'"


def test_the_whole_and_what_cells_know(client, pair):
    """Of a model in whose score the face as a whole counts, and whose cells were measured."""
    own = [[None, *[0.8] * 6], *[[0.8] * 7] * 6]
    truth = {"window": 48, "own": own, "leak": [[0.1] * 7] * 7, "alone": [[0.6] * 7] * 7}
    model = xcos.Model(dataclasses.replace(xcos.load().file, truth=truth)).with_whole(0.3, threshold=0.25)
    with running(model=model) as mixed:
        value = mixed.post("/explain", files=form(a=pair[0], b=pair[1])).json()
    assert np.sum(value["contribution"]) + value["whole"] == pytest.approx(value["score"], abs=1e-5)
    assert value["whole"] == pytest.approx(0.3 * value["cosine"]) and value["explained"] == pytest.approx(0.7)
    assert value["truth"]["own"] == own and value["truth"]["little"] == [[True] * 7] * 7
    assert value["truth"]["share"] == pytest.approx(48 / 112)
    schemas = client.get("/openapi.json").json()["components"]
    schema = {"$ref": "#/components/schemas/Explanation", "components": schemas}
    pytest.importorskip("jsonschema").Draft202012Validator(schema).validate(value)


def test_the_command(pair, tmp_path):
    command = [sys.executable, "-m", "xcos", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline()).group()
        assert httpx.post(address + "detect", files=form(image=pair[0])).status_code == 200
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert out + err == ""  # nothing about requests is logged


def test_only_this_machine_unless_told(capsys):
    assert main(["serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "--allow-remote" in capsys.readouterr().err
    assert main(["serve", "--host", "0.0.0.0", "--allow-remote", "--token", "short"]) == 2
    assert "at least 16 characters" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen" in capsys.readouterr().err


def test_without_the_extra(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("starlette", "xcos.serve"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    assert main(["serve", "--port", "0"]) == 2
    assert "pip install xcos[serve]" in capsys.readouterr().err


@contextmanager
def held(client):
    """While a place of the server is taken, for a second and a half."""
    def slowly():
        yield b"--x\r\n"
        time.sleep(1.5)
        yield b"content-disposition: form-data; name=image; filename=i\r\n\r\n\r\n--x--"

    header = {"content-type": "multipart/form-data; boundary=x"}
    thread = threading.Thread(target=lambda: client.post("/detect", content=slowly(), headers=header))
    thread.start()
    time.sleep(0.3)
    yield
    thread.join()


@pytest.fixture(scope="module")
def browser():
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with open_browser(1100, 900, arguments=camera) as session:
        yield session


@pytest.fixture
def page(browser, client):
    """The page in the browser; at the end of the test its console must be empty."""
    resize(browser, 1100, 900)
    browser.get(str(client.base_url))
    yield browser
    assert browser.get_log("browser") == []


def wait(session, script, *arguments):
    """The value of a script, as soon as it is not null or false."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(session, 20, 0.05).until(lambda s: s.execute_script(f"return {script}", *arguments))


VIEW = "document.querySelector('#result:not([inert]) xcos-explanation')"
SENTENCE = f"{VIEW}?.shadowRoot.querySelector('.sentence').textContent"


def choose_files(session, *paths):
    for field, path in zip(session.find_elements("css selector", "input[type=file]"), paths, strict=False):
        field.send_keys(str(path))


def test_two_files_and_a_cell(page, pair):
    from selenium.webdriver import ActionChains

    choose_files(page, *pair)
    assert f"{xcos.explain(*pair).score:.3f}" in wait(page, SENTENCE)
    root = page.execute_script("return document.querySelector('xcos-explanation').shadowRoot")
    cell = root.find_elements("css selector", "[role=gridcell]")[24]
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cell)
    time.sleep(0.5)  # the page scrolls to its result smoothly
    ActionChains(page).move_to_element(cell).perform()
    assert root.find_element("css selector", ".details h3").text == "Cell D4"


def test_another_face_is_chosen(page, pair, group):
    choose_files(page, group, pair[1])
    first = wait(page, SENTENCE)
    buttons = page.find_elements("css selector", ".slot .faces button[aria-pressed]")[:2]
    assert sorted(button.get_attribute("aria-pressed") for button in buttons) == ["false", "true"]
    for i, (button, face) in enumerate(zip(buttons, xcos.detect(group), strict=True)):  # numbered as for --face
        assert button.text == str(i) and button.accessible_name == f"Face {i}, of 2"
        assert (button.location["x"] < buttons[1 - i].location["x"]) is (face.box[0] < 450)
        if button.get_attribute("aria-pressed") == "true":
            assert f"face {i} is taken" in page.find_element("css selector", ".choice").text
    assert len({row.location["y"] for row in page.find_elements("css selector", ".slot .buttons")}) == 1
    next(b for b in buttons if b.get_attribute("aria-pressed") == "false").send_keys("\ue007")  # Enter
    second = wait(page, f"{SENTENCE} !== arguments[0] && {SENTENCE}", first)
    assert sorted("Same person" in text for text in (first, second)) == [False, True]


def test_a_busy_server_and_one_that_is_gone(browser, pair):
    with running(limits=serve.Limits(workers=1, waiting=0)) as client:
        resize(browser, 1100, 900, dark=True)
        browser.get(str(client.base_url))
        choose_files(browser, *pair)
        wait(browser, SENTENCE)
        status = "document.getElementById('status')"
        with held(client):
            browser.execute_script("changed()")
            wait(browser, f"{status}.textContent.includes('busy')")
        wait(browser, SENTENCE)
        assert browser.execute_script(f"return {status}.textContent") == ""
    browser.find_element("css selector", "#examples button").click()
    wait(browser, f"{status}.className === 'error' && {status}.textContent.includes('still running')")
    browser.execute_script("changed()")
    wait(browser, "!document.getElementById('result').childElementCount")
    assert barriers(browser) == []
    browser.get_log("browser")  # Chromium notes what did not come


def test_error_texts(page, pair, tmp_path):
    white, text, damaged = tmp_path / "white.png", tmp_path / "notes.txt", tmp_path / "damaged.jpg"
    Image.new("RGB", (200, 200), "white").save(white)
    text.write_text("no picture")
    damaged.write_bytes(pair[0].read_bytes()[:9000])
    error = "document.querySelector('.slot .error').textContent"
    for path, expected in ((white, "No face was found"), (text, "no picture that this browser can read")):
        choose_files(page, path)
        assert expected in wait(page, f"{error}.includes(arguments[0]) && {error}", expected)
    choose_files(page, damaged)
    assert "truncated JPEG" in wait(page, f"{error}.includes('truncated') && {error}")
    # Chromium itself notes answers of 422; nothing else may be there.
    assert all("422" in entry["message"] for entry in page.get_log("browser"))


def test_drop_paste_and_examples(page, pair):
    data = json.dumps(list(pair[0].read_bytes()))
    for event, target in (("drop", "document.querySelector('.drop')"), ("paste", "document")):
        page.execute_script(f"""
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array({data})], "{event}.jpg", {{type: "image/jpeg"}}));
            const options = {{dataTransfer: transfer, clipboardData: transfer, bubbles: true, cancelable: true}};
            const kind = "{event}" === "drop" ? DragEvent : ClipboardEvent;
            {target}.dispatchEvent(new kind("{event}", options));
        """)
        wait(page, f"[...document.querySelectorAll('.slot img')].some(image => image.alt.startsWith('{event}.jpg'))")
    assert "score 1.000" in wait(page, SENTENCE)
    page.find_elements("css selector", "#examples button")[3].click()  # replaces the second
    assert "Different people" in wait(page, f"{SENTENCE}?.includes('Different') && {SENTENCE}")
    page.find_element("css selector", ".slot .clear").click()
    assert page.execute_script("return document.getElementById('result').childElementCount") == 0


@pytest.mark.parametrize(("event", "target"), [("drop", "document.querySelector('.drop')"), ("paste", "document")])
def test_two_at_once_are_said_and_reported(page, pair, tmp_path, event, target):
    files = json.dumps([list(path.read_bytes()) for path in pair])
    page.execute_script(f"""
        const transfer = new DataTransfer();
        for (const [i, data] of {files}.entries())
          transfer.items.add(new File([new Uint8Array(data)], `${{"ab"[i]}}.jpg`, {{type: "image/jpeg"}}));
        const options = {{dataTransfer: transfer, clipboardData: transfer, bubbles: true, cancelable: true}};
        {target}.dispatchEvent(new ({"DragEvent" if event == "drop" else "ClipboardEvent"})("{event}", options));
    """)
    said = wait(page, "document.getElementById('said').textContent")
    assert said == "Same person: score 0.714 is over the threshold 0.266"  # a live region
    names = [image.get_attribute("alt")[:5] for image in page.find_elements("css selector", ".slot img")]
    assert names == ["a.jpg", "b.jpg"]
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.find_element("css selector", "#case button[value=pdf]").click()
    wait(page, "document.getElementById('status').textContent.includes('written')")
    for _ in range(100):
        if (tmp_path / "case.pdf").is_file():
            break
        time.sleep(0.1)
    assert (tmp_path / "case.pdf").read_bytes().startswith(b"%PDF")


def test_formats_that_the_browser_knows_are_converted(page, pair, tmp_path):
    webp = tmp_path / "a.webp"
    Image.open(pair[0]).save(webp, quality=95)
    choose_files(page, webp, pair[1])
    assert "Same person" in wait(page, SENTENCE)


def test_camera(page):
    page.find_element("css selector", ".camera").click()
    take = page.find_element("css selector", ".take")
    wait(page, "!document.querySelector('.take').disabled")
    page.execute_script("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    assert barriers(page) == []
    take.click()  # Chromium's fake camera shows a moving disc
    assert "No face was found" in wait(page, "document.querySelector('.slot .error').textContent")
    assert not page.find_element("css selector", "#camera").is_displayed()
    left = page.execute_script("return [document.querySelector('video').srcObject, track.readyState]")
    assert left == [None, "ended"]


@pytest.mark.parametrize(("name", "said"), [("NotAllowedError", "was refused"), ("NotFoundError", "no camera here"),
                                            ("", "by HTTPS, alone")])  # fmt: skip
def test_without_a_camera(page, name, said):
    page.execute_script("""
        const devices = arguments[0] && {getUserMedia: () => Promise.reject(new DOMException("", arguments[0]))};
        Object.defineProperty(navigator, "mediaDevices", {value: devices, configurable: true});
        document.querySelector(".camera").click();
    """, name)
    error = "document.querySelector('#camera .error').textContent"
    assert said in wait(page, error)
    assert not page.find_element("css selector", ".take").is_enabled()
    assert barriers(page) == []


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(page, pair, dark):
    resize(page, 320, 844, dark=dark)
    assert barriers(page) == []
    choose_files(page, *pair)
    wait(page, SENTENCE)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 320
    assert barriers(page) == []
    buttons = page.find_elements("css selector", ".buttons button, .buttons label, #examples button")
    assert all(button.size["height"] >= 32 for button in buttons if button.is_displayed())


def test_json_with_pictures_in_base64(client, pair):
    """The same answer as by a form, whatever the case of headers and host; files of this machine are not read."""
    expected = client.post("/explain", files=dict(zip("ab", (path.read_bytes() for path in pair), strict=True))).json()
    text_a, text_b = (base64.b64encode(path.read_bytes()).decode() for path in pair)
    url = "data:image/jpeg;base64,"
    bodies = [
        {"a": text_a, "b": text_b}, {"img1": url + text_a, "img2": url + text_b},
        {"a": text_a, "b": text_b, "face_a": 0, "face_b": "0", "threshold": expected["threshold"]},
    ]  # fmt: skip
    for body in bodies:
        headers = {"Content-Type": "Application/JSON; charset=UTF-8", "Host": "LocalHost:8765"}
        answer = client.post("/explain", content=json.dumps(body), headers=headers)
        assert answer.status_code == 200 and answer.json()["score"] == pytest.approx(expected["score"])
    assert len(client.post("/detect", json={"image": text_a}).json()["faces"]) == 1
    for wrong, said in (("/etc/passwd", "base64"), ("https://host/a.jpg", "base64"), (7, "picture"), ("", "expected")):
        assert said in refusal(client.post("/explain", json={"a": wrong, "b": text_b}), 400)
    for wrong in ({"face_a": True}, {"face_a": 1.5}, {"threshold": True}, {"threshold": "nan"}):
        refusal(client.post("/explain", json={"a": text_a, "b": text_b, **wrong}), 400)
    header = {"content-type": "application/json"}
    for content, said in (("[1]", "JSON object"), ("{", "damaged"), ("[" * 100_000, "damaged")):
        assert said in refusal(client.post("/explain", content=content, headers=header), 400)


def test_a_refusal_waits_for_nothing_that_will_not_come(pair):
    """Where the whole request was read, nothing more is asked of the client before the answer."""
    messages = [{"type": "http.request", "body": b"[1]", "more_body": False}]
    sent = []

    async def receive():
        return messages.pop()  # a second call fails

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/explain", "query_string": b"", "headers": headers}
    asyncio.run(serve.make_app()(scope, receive, send))
    assert [message.get("status") for message in sent] == [400, None] and not messages


def test_errors_name_no_parameters_of_python(client, pair):
    data = io.BytesIO()
    Image.new("1", (9000, 8000)).save(data, "PNG")
    sentence = refusal(client.post("/detect", files={"image": ("a.png", data.getvalue(), "image/png")}), 422)
    assert "9000 x 8000" in sentence and "max_pixels" not in sentence and "_" not in sentence


def test_turned_and_poor_photographs_are_told(client, pair):
    pixels = xcos.read_image(pair[0])

    def answer(picture):
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "PNG")
        return client.post("/explain", files={"a": data.getvalue(), "b": pair[1].read_bytes()}).json()

    turned = answer(np.rot90(pixels))
    assert turned["reliable"] and (turned["turn_first"], turned["turn_second"]) == (90, 0)
    assert "turned by 90°" in turned["notes"][0]
    dark = answer((pixels * 0.06).astype(np.uint8))
    assert not dark["reliable"] and "No answer: the face in the first photograph is too dark." in dark["notes"]
