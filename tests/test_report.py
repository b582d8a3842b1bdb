"""The page of a benchmark in a real browser, plots, and the commands for data sets."""

import json
import re

import numpy as np
import pytest
from browser import barriers, open_browser

import xcos
from xcos.cli import main
from xcos.datasets import Pairs
from xcos.recognition.writers import FeatureWriter

pytest.importorskip("sklearn", reason="the PyPI package scikit-learn is not installed")
pytest.importorskip("matplotlib", reason="the PyPI package matplotlib is not installed")


@pytest.fixture(scope="module")
def crops(photos):
    faces = xcos.load().crops(list(photos.values()))
    return np.concatenate([np.clip(faces * f, 0, 255).astype(np.uint8) for f in (1, 0.9, 0.8)])


@pytest.fixture(scope="module")
def table(crops):
    """Pairs with some labels turned round, so that there are mistakes of both kinds; names that HTML must escape."""
    first, second = np.triu_indices(12, 1)
    same = (first % 4 == 3) == (second % 4 == 3)
    same[::9] ^= True
    groups = {"<light>": np.where(first < 5, "bright & clear", "dark")}
    names = [f'<b>"crop" & {i:02d}</b>' for i in range(12)]
    pairs = Pairs("<set>", list(crops), names, first, second, same, folds=3, groups=groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xcos.evaluation.fitting.REFITS", 20)  # of 200: how wide intervals are is not asked here
        return xcos.compare_models(xcos.calibrate(None, pairs), pairs)


@pytest.fixture(scope="module")
def browser():
    with open_browser(320, 844) as session:
        yield session


def test_page_in_a_browser(table, browser, tmp_path):
    path = tmp_path / "report.html"
    table.html(path, worst=3)
    browser.get(path.as_uri())
    run = browser.execute_script
    assert browser.get_log("browser") == []
    assert "<set>" in browser.title
    assert run("return document.documentElement.scrollWidth") <= 320  # nothing sticks out of a phone
    tables = "[...document.querySelectorAll('.scroll')]"
    assert run(f"return {tables}.every(table => table.scrollWidth <= table.clientWidth)")  # no column is cut
    assert run("return [...document.images].every(image => image.complete && image.naturalWidth > 0)")

    cards = "[...document.querySelectorAll('article')]"
    expected = [m for report in table for kind in ("false match", "false non-match") for m in report.worst(3, kind)]
    pairs = {m.index for m in expected}
    assert len(expected) > run(f"return {cards}.length") == len(pairs)  # no pair twice, though two scores err on it
    assert run("return document.querySelectorAll('#mistakes li').length") == len(expected)
    assert run(f"return Math.max(...{cards}.map(card => card.offsetHeight))") < 500  # views are folded up
    assert barriers(browser) == []
    run("document.querySelector('details').open = true")
    views = browser.find_elements("css selector", "xcos-explanation")
    assert all(view.shadow_root.find_elements("css selector", "table") for view in views)
    worst = run(f"return {cards}.map(card => [...card.querySelectorAll('li')].map(line => +line.dataset.margin))")
    assert [max(margins) for margins in worst] == sorted(map(max, worst), reverse=True)

    def choose(field, value):
        run(f"const field = document.getElementById('{field}'); field.value = arguments[0];"
            "field.dispatchEvent(new Event('input'))", value)
        return run(f"return {cards}.filter(card => card.offsetHeight > 0).map(card => card.dataset.kind)")

    assert set(choose("kind", "false match")) == {"false match"}
    choose("kind", "")
    assert len(choose("report", table[1].metric + ", " + table[1].model + " on <set>")) == len(expected) // 2
    choose("report", "")
    assert len(choose("name", "CROP\" & 04")) == len({m.index for m in expected if "& 04" in "".join(m.names)})
    assert len(choose("name", "")) == len(pairs)

    cells = "[...document.querySelectorAll('table tbody')[0].rows].map(row => row.cells[2].textContent)"
    metrics = [report.summary()["metric"] for report in table]
    assert run(f"return {cells}") == metrics
    run("document.querySelectorAll('table')[0].tHead.rows[0].cells[2].click()")
    assert run(f"return {cells}") == sorted(metrics)
    assert browser.get_log("browser") == []


def test_page_is_whole_without_anything_else(table, tmp_path):
    table[0].save(tmp_path / "one.html")
    page = (tmp_path / "one.html").read_text()
    assert "default-src 'none'" in page and not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", page)
    assert "<b>" + '"crop"' not in page and "bright &amp; clear" in page
    assert f"{table[0].accuracy:.2%}" in page and page.count('<xcos-explanation value="') == page.count("<article")
    with pytest.raises(ValueError, match=r"\.html"):
        table.html(tmp_path / "report.pdf")


def test_plots(table, tmp_path):
    _, axes = table.plot()
    assert [ax.get_title() for ax in axes[:2]] == ["ROC", "DET"]
    roc = axes[0].get_lines()
    assert len(roc) == 2
    np.testing.assert_array_equal(roc[0].get_ydata(), table[0].roc.tar)
    with pytest.raises(ValueError, match="three axes"):
        table.plot(axes[:2])
    _, ax = table[0].plot_reliability()
    x, y = ax.get_lines()[1].get_data()
    assert ((0 <= x) & (x <= 1) & (0 <= y) & (y <= 1)).all()
    for suffix in (".png", ".svg", ".pdf", ".npz", ".json"):
        table[0].save(tmp_path / f"report{suffix}")
        assert (tmp_path / f"report{suffix}").stat().st_size > 1000
    np.testing.assert_array_equal(np.load(tmp_path / "report.npz")["scores"], table[0].scores)
    with pytest.raises(ValueError, match="no calibration"):
        xcos.evaluate(None, table[0].pairs, lambda a, b: (a.embedding * b.embedding).sum(1)).plot_reliability()


@pytest.fixture
def listed(crops, tmp_path):
    """A table of pairs on disk."""
    from PIL import Image

    for i, crop in enumerate(crops):
        (tmp_path / "faces").mkdir(exist_ok=True)
        Image.fromarray(crop).save(tmp_path / f"faces/{i:02d}.png")
    rows = ["first,second,same,light"]
    for i, j in zip(*np.triu_indices(12, 1), strict=True):
        rows.append(f"faces/{i:02d}.png,faces/{j:02d}.png,{int((i % 4 == 3) == (j % 4 == 3))},{'ab'[i % 2]}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    return tmp_path / "pairs.csv"


def test_evaluate_command(listed, tmp_path, capsys):
    page, cached = tmp_path / "out.html", tmp_path / "cache"
    command = ["evaluate", str(listed), "--aligned", "--folds", "3", "--cache", str(cached)]
    assert main([*command, "--metric", "cosine", "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert "| pairs | " in out and "light a: false match" in out and str(page) in out and err == "" and page.exists()
    assert main([*command, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [r["metric"] for r in reports] == ["xcos", "cosine"] and len(list(cached.glob("*/*.npz"))) == 1
    expected = xcos.evaluate(None, xcos.datasets.read_csv(listed, aligned=True, folds=3))
    np.testing.assert_allclose(reports[0]["scores"], expected.scores, atol=1e-5)
    assert main(["evaluate", str(tmp_path / "pairs.txt")]) == 2
    assert "--photos" in capsys.readouterr().err


def test_calibrate_command(listed, tmp_path, capsys, photos):
    target = tmp_path / "calibrated.safetensors"
    assert main(["calibrate", str(listed), str(target), "--aligned", "--folds", "3", "--method", "isotonic"]) == 0
    assert "Cllr" in capsys.readouterr().out
    assert xcos.load(target).calibration.scores["xcos"].method == "isotonic"
    assert main(["info", str(target)]) == 0
    assert "isotonic on 66 pairs of pairs" in capsys.readouterr().out
    two = [str(photos["obama_portrait_2012"]), str(photos["obama_congress_2009"])]
    assert main(["verify", *two, "--model", str(target)]) == 0
    assert f"{xcos.verify(*two, model=target).probability():.2%}" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".npz", ".zarr"])
def test_features_command(listed, crops, tmp_path, capsys, suffix):
    (listed.parent / "faces/no.jpg").write_bytes(b"no picture")
    target = tmp_path / f"features{suffix}"
    if suffix == ".zarr":
        zarr = pytest.importorskip("zarr", reason="the PyPI package zarr is not installed")
        if int(np.__version__.partition(".")[0]) < 2:
            with pytest.raises(ImportError, match=r"needs NumPy 2, this is 1\..*\.npz"):
                FeatureWriter(target)
            assert not target.exists()
            return
    assert main(["features", str(listed.parent / "faces"), str(target), "--aligned", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["faces"] == 12 and [name for name, _ in told["failed"]] == ["no.jpg"]
    found = np.load(target) if suffix == ".npz" else zarr.open_group(target, mode="r")
    expected = xcos.load().features(crops, aligned=True)
    assert list(found["names"][:]) == [f"{i:02d}.png" for i in range(12)]
    np.testing.assert_allclose(found["grid"][:], expected.grid, atol=1e-5)
    np.testing.assert_allclose(found["embedding"][:], expected.embedding, atol=1e-4)
    assert not list(tmp_path.glob(".*"))  # nothing temporary is left


def test_features_command_refuses(tmp_path, capsys):
    for arguments in (["none", "out.npz"], [".", str(tmp_path / "out.csv")], [".", str(tmp_path / "no/out.npz")]):
        assert main(["features", *arguments]) == 2
        assert capsys.readouterr().err.startswith("xcos: ")
    assert list(tmp_path.iterdir()) == []
