"""The search page and its endpoints, over real sockets and in a real browser."""

import json

import numpy as np
import pytest
from browser import barriers, open_browser, resize
from PIL import Image
from test_serve import choose_files, form, held, refusal, running, serve, wait

import xcos
from xcos.cli import main

pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install xcos[gallery]")


def made(folder, photos):
    gallery = xcos.Gallery(folder)
    gallery.add("Obama", [photos["obama_portrait_2012"], photos["obama_congress_2009"]])
    gallery.add("Biden", photos["biden_blue_room_2010"])
    return gallery


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, photos):
    return made(tmp_path_factory.mktemp("gallery"), photos)


@pytest.fixture(scope="module")
def client(gallery):
    with running(gallery=gallery) as client:
        yield client


@pytest.fixture
def enrolling(tmp_path, photos):
    with running(gallery=made(tmp_path, photos), enrol=True) as client:
        yield client


@pytest.fixture(scope="module")
def probe(photos):
    return photos["obama_blue_room_2010"]


def test_search_is_the_library(client, gallery, probe):
    value = client.post("/search", files=form(image=probe)).raise_for_status().json()
    hits = gallery.search(probe)
    assert value == {"sentence": hits.sentence(), **json.loads(json.dumps(hits.to_dict()))}
    assert [hit["name"] for hit in value["hits"]] == ["Obama", "Biden"] and not value["nobody"]
    strict = client.post("/search", files=form(image=probe), data={"threshold": "0.99", "k": "1"}).json()
    assert strict["nobody"] and len(strict["hits"]) == 1 and strict["threshold"] == 0.99
    why = client.post("/why", files=form(image=probe), data={"name": "Obama"}).raise_for_status().json()
    e = hits[0].explain()
    assert why["score"] == pytest.approx(hits[0].score, abs=1e-6) and why["names"] == [probe.name, e.names[1]]
    np.testing.assert_allclose(why["contribution"], e.contribution, atol=1e-6)
    assert client.get("/gallery").json() == {"people": 2, "faces": 3, "model": gallery.model.name, "enrol": False}


def test_bad_requests_are_told(client, probe, tmp_path):
    white = tmp_path / "white.png"
    Image.new("RGB", (200, 200), "white").save(white)
    assert "no face was found" in refusal(client.post("/search", files=form(image=white)), 422)
    assert "'image'" in refusal(client.post("/search", data={"k": "1"}, files={"x": b""}), 400)
    for k in ("0", "101", "many", "-1", "9999999999"):
        assert "1 to 100" in refusal(client.post("/search", files=form(image=probe), data={"k": k}), 400)
    assert "1 to 200 characters" in refusal(client.post("/why", files=form(image=probe)), 400)
    assert "no hit" in refusal(client.post("/why", files=form(image=probe), data={"name": "Nobody"}), 404)


def test_nobody_is_enrolled_or_deleted_unless_told(client, gallery, probe):
    for path in ("/enrol", "/remove"):
        answer = client.post(path, files=form(image=probe), data={"name": "Obama"})
        assert "--enrol" in refusal(answer, 403)
    assert len(gallery) == 3
    with pytest.raises(ValueError, match="expected a gallery"):
        serve.make_app(enrol=True)


def test_enrol_and_remove(enrolling, probe, photos):
    done = enrolling.post("/enrol", files=form(image=probe), data={"name": " Barack "}).raise_for_status().json()
    assert done["faces"] == 1
    best = enrolling.post("/search", files=form(image=probe)).json()["hits"][0]
    assert (best["name"], best["photo"]) == ("Barack", probe.name)
    again = enrolling.post("/enrol", files=form(image=probe), data={"name": "Barack"}).json()
    assert again["faces"] == 0 and again["repeated"] == [probe.name]
    assert "'Barack' already" in refusal(
        enrolling.post("/enrol", files=form(image=probe), data={"name": "Joe"}), 409)
    assert enrolling.post("/remove", json={"name": "Barack"}).json() == {"removed": 1}
    assert "nobody" in refusal(enrolling.post("/remove", json={"name": "Barack"}), 404)
    assert enrolling.get("/gallery").json()["people"] == 2


def test_access_is_that_of_the_page(gallery, probe):
    token = "a-token-of-some-length"
    with running(gallery=gallery, enrol=True, token=token, hosts=None) as client:
        assert "token" in refusal(client.post("/search", files=form(image=probe)), 401)
        assert "token" in refusal(client.post("/remove", json={"name": "Obama"}), 401)
        assert "token" in refusal(client.get("/gallery"), 401)
        headers = {"authorization": f"Bearer {token}"}
        assert client.post("/search", files=form(image=probe), headers=headers).status_code == 200
        other = {**headers, "origin": "https://example.com"}
        assert "other sites" in refusal(client.post("/remove", json={"name": "Obama"}, headers=other), 403)
    assert "Obama" in gallery


def test_without_a_gallery_there_is_no_search():
    with running() as client:
        for path in ("/search.html", "/search.js", "/gallery"):
            assert client.get(path).status_code == 404
        assert "search.html" not in client.get("/").text


def test_openapi(client, probe):
    description = client.get("/openapi.json").json()
    jsonschema = pytest.importorskip("jsonschema")
    for name, value in (("Hits", client.post("/search", files=form(image=probe)).json()),
                        ("Gallery", client.get("/gallery").json())):
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)
        assert set(value) == set(description["components"]["schemas"][name]["properties"])


def test_the_command(capsys, tmp_path):
    assert main(["serve", "--enrol"]) == 2
    assert "--gallery" in capsys.readouterr().err
    assert main(["serve", "--gallery", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "holds no gallery" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser():
    with open_browser(1100, 900) as session:
        yield session


def shown(session, client, **size):
    resize(session, size.get("width", 1100), 900, dark=size.get("dark", False))
    session.get(f"{client.base_url}/search.html")
    return session


STATUS = "document.getElementById('status')"


def said(session, text):
    return wait(session, f"{STATUS}.textContent.includes(arguments[0]) && {STATUS}.textContent", text)


def test_hits_and_why_by_keyboard(browser, client, gallery, probe):
    page = shown(browser, client)
    wait(page, "document.getElementById('about').textContent.includes('2 people (3 photographs)')")
    choose_files(page, probe)
    said(page, "Obama: score")
    assert page.execute_script(f"return {STATUS}.getAttribute('role')") == "status"
    lines = page.find_elements("css selector", ".hit .line")
    assert [line.find_element("css selector", ".name").text for line in lines] == ["Obama", "Biden"]
    best = gallery.search(probe)[0]
    assert lines[0].find_element("css selector", ".score").text == f"{best.score:.3f}"
    assert "over the threshold" in lines[0].text and f"cosine {best.cosine:.3f}" in lines[0].text
    assert "under the threshold" in lines[1].text
    widths = page.execute_script("""return ['.fill', '.bar'].map(
        kind => document.querySelector(`.line ${kind}`).getBoundingClientRect().width)""")
    assert widths[0] / widths[1] == pytest.approx(best.score, abs=0.01)
    mark = page.execute_script("return parseFloat(document.querySelector('.line .mark').style.left)")
    assert mark == pytest.approx(100 * best.threshold, abs=0.01)
    lines[0].send_keys("\ue007")  # Enter
    sentence = wait(page, "document.querySelector('.why xcos-explanation')?.shadowRoot"
                          ".querySelector('.sentence').textContent")  # fmt: skip
    assert f"{best.score:.3f}" in sentence and lines[0].get_attribute("aria-expanded") == "true"
    assert barriers(page) == []
    lines[0].send_keys("\ue007")
    assert page.execute_script("return document.querySelector('.why xcos-explanation')") is None
    assert not page.find_elements("css selector", ".hit .remove")  # nothing can be changed
    assert not page.find_element("id", "enrol").is_displayed()
    assert page.get_log("browser") == []


def test_states(browser, client, photos, probe, tmp_path):
    page = shown(browser, client)
    white, dark = tmp_path / "white.png", tmp_path / "dark.png"
    Image.new("RGB", (200, 200), "white").save(white)
    choose_files(page, white)
    error = "document.querySelector('.slot .error').textContent"
    assert "No face was found" in wait(page, error)
    Image.fromarray((xcos.read_image(probe) * 0.06).astype(np.uint8)).save(dark)
    choose_files(page, dark)
    said(page, "No answer: the face in the photograph is too dark")
    assert page.execute_script(f"return {STATUS}.className") == "noanswer"
    assert not page.find_elements("css selector", ".over")


def test_nobody(browser, tmp_path, photos, probe):
    only = xcos.Gallery(tmp_path)
    only.add("Biden", photos["biden_blue_room_2010"])
    with running(gallery=only) as client:
        page = shown(browser, client)
        choose_files(page, probe)
        said(page, "Nobody: no score over the threshold")
        assert page.execute_script(f"return {STATUS}.className") == "nobody"


def test_busy(browser, gallery, probe):
    """While another request holds the only place the page says so, and then goes on by itself."""
    with running(gallery=gallery, limits=serve.Limits(workers=1, waiting=0)) as client:
        page = shown(browser, client)
        choose_files(page, probe)
        said(page, "Obama: score")
        with held(client):
            page.execute_script("search()")
            said(page, "busy")
        said(page, "Obama: score")
        page.get_log("browser")  # Chromium notes the answer of 503


def test_enrol_and_delete_on_the_page(browser, enrolling, probe):
    page = shown(browser, enrolling)
    choose_files(page, probe)
    said(page, "Obama: score")
    page.find_element("css selector", "#enrol input").send_keys("Barack\ue007")
    said(page, "Barack")
    assert enrolling.get("/gallery").json()["faces"] == 4
    page.find_element("css selector", "[aria-label='Delete Barack']").click()
    page.find_element("css selector", "#sure .no").click()
    assert enrolling.get("/gallery").json()["faces"] == 4
    page.find_element("css selector", "[aria-label='Delete Barack']").click()
    assert "Delete Barack" in page.find_element("id", "sure-text").text
    assert barriers(page) == []
    page.find_element("css selector", "#sure .yes").click()
    said(page, "Obama: score")
    assert enrolling.get("/gallery").json() | {"model": ""} == {"people": 2, "faces": 3, "model": "", "enrol": True}
    assert page.get_log("browser") == []


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(browser, client, probe, dark):
    page = shown(browser, client, width=320, dark=dark)
    choose_files(page, probe)
    said(page, "Obama: score")
    assert page.execute_script("return document.documentElement.scrollWidth") <= 320
    assert barriers(page) == []
    buttons = page.find_elements("css selector", ".line, .buttons button, .buttons label")
    assert all(button.size["height"] >= 32 for button in buttons if button.is_displayed())
    ground, ink = page.execute_script(
        "const s = getComputedStyle(document.querySelector('.line')); return [s.backgroundColor, s.color]")
    bright = [np.mean([int(x) for x in colour[4:-1].split(",")]) for colour in (ground, ink)]
    assert bool(bright[0] < bright[1]) is dark
