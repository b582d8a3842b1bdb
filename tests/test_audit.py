"""Audits: intervals against simulations and published figures, rates against counting, and what is shown."""

import json
import math
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest

import xcos
from xcos import datasets
from xcos.cli import main
from xcos.evaluation import Differential, dyads, html, protocol, run
from xcos.evaluation.differential import audit_of, people_of_pairs

pytest.importorskip("sklearn", reason="the PyPI package scikit-learn is not installed")
pytest.importorskip("matplotlib", reason="the PyPI package matplotlib is not installed")
stats = pytest.importorskip("scipy.stats", reason="the PyPI package scipy is not installed")


@pytest.mark.parametrize("people", [
    [(i, j) for i, j in combinations(range(7), 2)],
    [(i // 3, i // 3) for i in range(20)],
    np.random.default_rng(2).integers(0, 6, (40, 2)).tolist(),  # two people in several pairs, one person in some
], ids=["all pairs", "of one person", "mixed"])  # fmt: skip
def test_pairs_that_share_people_are_counted(people):
    wrong = np.random.default_rng(1).random(len(people)) < 0.3
    found = dyads.tally(wrong, np.array(people))
    n, rate = len(people), wrong.mean()
    shared = [(p, q) for p in range(n) for q in range(n) if p != q and {*people[p]} & {*people[q]}]
    met = sum((wrong[p] - rate) * (wrong[q] - rate) for p, q in shared)
    assert (found.errors, found.pairs, found.meetings) == (wrong.sum(), n, len(shared))
    assert found.people == len({who for pair in people for who in pair})
    # Freed of bias: each product lacks the variance of the mean, which itself has the sum of the products.
    total = found.covariance * len(shared)
    assert total == pytest.approx(met + len(shared) * (n * rate * (1 - rate) + total) / n**2)
    apart, used = 0, set()
    for pair in sorted({tuple(sorted(pair)) for pair in people}):
        if not used & {*pair}:
            apart, used = apart + 1, used | {*pair}
    assert 1 <= found.apart <= 2 * apart  # a greedy choice has half of the most at least


def test_pairs_that_share_nobody_are_worth_their_number():
    wrong, apart = np.arange(50) < 4, np.arange(100).reshape(50, 2)
    found = dyads.tally(wrong, apart)
    assert found.meetings == 0 and dyads.effective([found]) == [50] and found.apart == 50
    none = dyads.tally(np.zeros(45, bool), np.array(list(combinations(range(10), 2))))
    assert dyads.effective([none]) == [none.apart] == [5]  # ten people make five pairs
    some = dyads.tally(np.arange(45) < 9, np.array(list(combinations(range(10), 2))))  # all of the first person's
    alone, together = dyads.effective([some])[0], dyads.effective([some, none])
    assert alone < 12 and together[0] == pytest.approx(alone) and together[1] < 45  # what is known of one serves both


def test_intervals_cover_as_they_say():
    """Pairs of 60 people, some more easily taken for others: 95 % intervals hold the true rate, those that take
    pairs for independent do not. The variance is that of the simulated rates."""
    rng = np.random.default_rng(5)
    people = np.array(list(combinations(range(60), 2)))
    true, part, runs = 0.05, 0.12, 250
    limit = stats.norm.isf(true)
    held, naive, rates, variances = 0, 0, [], []
    for _ in range(runs):
        own, rest = rng.normal(size=60) * part**0.5, rng.normal(size=len(people)) * (1 - 2 * part) ** 0.5
        found = dyads.tally(own[people].sum(1) + rest > limit, people)
        worth = dyads.effective([found])[0]
        for n in (worth, found.pairs):
            low, high = dyads.wilson(found.rate, n, 0.95)
            held, naive = held + (low <= true <= high) * (n is worth), naive + (low <= true <= high) * (n is not worth)
        rates.append(found.rate)
        variances.append(found.variance / worth)
    assert 0.9 < held / runs < 0.98 and naive / runs < 0.75
    assert np.mean(variances) == pytest.approx(np.var(rates), rel=0.2)


def test_intervals_of_ratios():
    found = dyads.ratio_interval((36 / 40, 40), (16 / 80, 80), 0.95)
    assert found == pytest.approx((2.94, 7.15), abs=0.005)  # Koopman's own example
    inverse = dyads.ratio_interval((16 / 80, 80), (36 / 40, 40), 0.95)
    assert inverse == pytest.approx((1 / found[1], 1 / found[0]))
    low, high = dyads.ratio_interval((0.05, 99.5), (0, 80), 0.95)
    assert 0.5 < low < 2 and high == math.inf
    assert dyads.ratio_interval((0, 80), (0.05, 99.5), 0.95) == pytest.approx((0, 1 / low))
    assert dyads.ratio_interval((0, 80), (0, 8), 0.95) == (0, math.inf)
    low, high = dyads.ratio_interval((1, 10), (0.5, 10), 0.95)
    assert 1 < low < 2 < high


def test_ends_of_ratios_are_where_the_score_test_turns():
    from scipy.optimize import minimize_scalar

    (x, n), (y, m) = (12, 300), (5, 420)
    for ratio in dyads.ratio_interval((x / n, n), (y / m, m), 0.9):
        def unlikely(q, ratio=ratio):
            return -stats.binom.logpmf(x, n, q * ratio) - stats.binom.logpmf(y, m, q)

        q = minimize_scalar(unlikely, bounds=(1e-6, min(1, 1 / ratio) - 1e-6), method="bounded",
                            options={"xatol": 1e-12}).x  # fmt: skip
        statistic = sum((c - k * r) ** 2 / (k * r * (1 - r)) for c, k, r in ((x, n, q * ratio), (y, m, q)))
        assert statistic == pytest.approx(stats.chi2.isf(0.1, 1), rel=1e-3)


def test_threshold_at_a_rate():
    scores, same = np.array([0.9, 0.8, 0.8, 0.7, 0.1, 0.95]), np.array([0, 0, 0, 0, 0, 1], bool)
    for rate, expected in ((0.2, 0.8), (0.4, 0.8), (0.6, 0.7), (0.99, 0.1)):
        found = protocol.threshold_at(scores, same, rate)
        assert found == expected and (scores[~same] > found).mean() <= rate
    with pytest.raises(ValueError, match=r"0\.1 of 5 pairs of two people is less than one; expected a rate of 0\.2"):
        protocol.threshold_at(scores, same, 0.1)
    with pytest.raises(ValueError, match="0 pairs of two people is less than one; expected some"):
        protocol.threshold_at(scores, scores < 2, 0.1)
    with pytest.raises(ValueError, match="between 0 and 1, got 0"):
        protocol.threshold_at(scores, same, 0)


@pytest.fixture(scope="module")
def pairs(photos):
    """Twelve crops of two people, each shown brighter and darker; every pair, some labels turned round."""
    faces = xcos.load().crops(list(photos.values()))
    crops = np.concatenate([np.clip(faces * f, 0, 255).astype(np.uint8) for f in (1, 0.9, 0.8)])
    first, second = np.triu_indices(12, 1)
    same = (first % 4 == 3) == (second % 4 == 3)
    same[::9] ^= True
    names = [f"<b>crop & {i:02d}</b>" for i in range(12)]
    return datasets.Pairs("<set>", list(crops), names, first, second, same, folds=3)


GROUPS = {"<light>": ["bright"] * 5 + ["dark"] * 6 + [""], "side": list("lrlrlrlrlrlr"),
          "who": ["Ann", "Ann", "Ann", "Bob"] * 2 + [f"x{i}" for i in range(4)]}  # fmt: skip


@pytest.fixture(scope="module")
def audit(pairs):
    return xcos.audit(pairs, GROUPS, people="who", threshold=0.7)


def test_rates_are_those_of_counting(pairs, audit):
    model = xcos.load()
    features = model.features(np.stack(pairs.images), aligned=True)
    compared = model.compare(features[pairs.first], features[pairs.second])
    expected = {}
    for metric, scores in (("xcos", compared.score), ("cosine", compared.cosine)):
        count = defaultdict(lambda: [0, 0])
        for i, j, same, score in zip(pairs.first, pairs.second, pairs.same, scores, strict=True):
            kind = "false non-match" if same else "false match"
            places = [("", "all pairs")]
            for column in ("<light>", "side"):
                a, b = GROUPS[column][i], GROUPS[column][j]
                places += [(column, a if a == b else "two groups")] * bool(a and b)
            for place in places:
                count[(*place, kind)][0] += (score > 0.7) != same
                count[(*place, kind)][1] += 1
        expected |= {(metric, *key): tuple(value) for key, value in count.items()}
    found = {(r.metric, r.column, r.group, r.kind): (r.errors, r.pairs) for r in audit.rates}
    assert found == expected
    for r in audit.rates:
        assert r.rate == r.errors / r.pairs and r.low <= r.rate <= r.high and 1 <= r.effective <= r.pairs
        assert (r.low, r.high) == pytest.approx(dyads.wilson(r.rate, r.effective, 0.95))
    assert audit.columns == ["<light>", "side"] and audit.unlabelled == {"<light>": 11, "side": 0}
    assert audit.of("xcos", "false match")[0].people == 6  # Ann, Bob and four others


def test_whom_pictures_show(pairs):
    ones = people_of_pairs(datasets.Pairs("x", [b""] * 6, list("abcdef"), [0, 1, 3, 0], [1, 2, 4, 5], [1, 1, 0, 0]))
    assert ones[0, 0] == ones[0, 1] == ones[1, 1] and len(np.unique(ones)) == 4
    assert len(np.unique(people_of_pairs(pairs))) == 1


def synthetic(rates, confidence=0.95):
    """Groups of 400 pairs that share nobody, with so many errors among pairs of two people."""
    codes = np.repeat(np.arange(len(rates)), 400)
    labels = datasets.groups.Labels(tuple("abcd"[: len(rates)]), np.stack([codes, codes], 1).astype(np.int32))
    scores = np.concatenate([np.arange(400) < errors for errors in rates]).astype(float)
    same, people = np.zeros(len(scores), bool), np.arange(2 * len(scores)).reshape(-1, 2)
    return audit_of("m", "d", {"s": scores}, {"s": 0.5}, "given", same, {"g": labels}, people, confidence, ())


def test_worst_against_best():
    (found,) = synthetic([8, 40, 20]).differentials
    assert (found.worst, found.best, found.ratio, found.groups) == ("b", "a", 5.0, 3)
    narrow = dyads.ratio_interval((0.1, 400), (0.02, 400), 0.95)
    wide = dyads.ratio_interval((0.1, 400), (0.02, 400), 1 - 0.05 / 3)  # three pairs of groups
    assert (found.low, found.high) == pytest.approx(wide) and wide[0] < narrow[0] and wide[1] > narrow[1]
    (two,) = synthetic([8, 40], 0.9).differentials
    assert (two.low, two.high) == pytest.approx(dyads.ratio_interval((0.1, 400), (0.02, 400), 0.9))
    (none,) = synthetic([0, 40]).differentials
    assert none.ratio == none.high == math.inf and none.to_dict()["ratio"] is None and none.text().startswith("over ")
    assert synthetic([0, 0]).differentials == () and synthetic([3]).differentials == ()
    wide = Differential("s", "g", "false match", "a", "b", 0.9, 0.01, 90.0, 59.6, 138.2, 8)
    assert wide.text() == "90 [60, 140]"


def test_blocks_are_the_pairs(pairs, monkeypatch):
    model = xcos.load()
    features = model.features(np.stack(pairs.images), aligned=True)
    order = np.random.default_rng(0).permutation(len(pairs))
    first, second = pairs.first[order], pairs.second[order]
    for metric in ("xcos", "cosine"):
        one_by_one = run.compare(model, features, first, second, metric, 1)
        with monkeypatch.context() as patch:
            patch.setattr(run, "CHUNK", 4)
            patch.setattr(run, "ROWS", 5)
            patch.setattr(model.__class__, "compare", None)  # not asked
            np.testing.assert_allclose(run.compare(model, features, first, second, metric, 1), one_by_one, atol=1e-6)


def test_shown_and_saved(audit, tmp_path):
    assert repr(audit).startswith("Audit(mobilefacenet_xcos_v2 on <set> by <light>, side: xcos FMR ")
    text = str(audit)
    assert "11 pairs have a picture without a label of <light>" in text and "| side | two groups |" in text
    assert len(audit.to_frame()) == len(audit.rates)
    _, axes = audit.plot()
    assert len(axes) == 2 and [t.get_text() for t in axes[0].get_yticklabels()][:2] == ["all pairs", "bright"]
    with pytest.raises(ValueError, match="expected 2 axes, one for each of FMR and FNMR, got 1"):
        audit.plot(axes[0])
    for suffix in ("html", "md", "json", "png"):
        audit.save(tmp_path / f"audit.{suffix}")
    page = (tmp_path / "audit.html").read_text()
    assert "&lt;light&gt;" in page and "<light>" not in page and "default-src 'none'" in page
    assert json.loads((tmp_path / "audit.json").read_text()) == json.loads(json.dumps(audit.to_dict()))
    assert (tmp_path / "audit.md").read_text() == text + "\n"


def test_a_report_tells_the_same(pairs):
    grouped = datasets.with_groups(pairs, {key: GROUPS[key] for key in ("<light>", "side")})
    report = xcos.evaluate(None, grouped, threshold=0.7)
    expected = xcos.audit(grouped, metric="xcos", threshold=0.7)
    found = report.audit()
    assert (found.rates, found.unlabelled) == (expected.rates, expected.unlabelled)
    assert found.thresholds["xcos"] == pytest.approx(0.7)
    assert expected.of("xcos", "false match", "side")[0].text() in html.page([report])
    assert xcos.evaluate(None, pairs).audit() is None


def test_refusals(pairs):
    for match, keywords in (
        ("less than one; expected a rate of", {"at_fmr": 0.001}),
        ("got both", {"at_fmr": 0.1, "threshold": 0.2}),
        ("confidence: expected a share", {"confidence": 95}),
        ("metric: expected", {"metric": "emd"}),
        ("has no column 'age'", {"columns": "age"}),
        ("no column but 'who'", {"columns": ["who"], "people": "who"}),
        ("expected a finite number", {"threshold": math.nan}),
    ):
        with pytest.raises(ValueError, match=match):
            xcos.audit(pairs, GROUPS, **keywords)
    with pytest.raises(ValueError, match="none of 1 pairs can be used; the first failure"):
        xcos.audit(datasets.Pairs("bad", [b"no", b"picture"], ["a", "b"], [0], [1], [0]), {"g": ["x", "y"]})


def test_command(pairs, tmp_path, capsys):
    from PIL import Image

    for name, crop in zip("abcdef", pairs.images, strict=False):
        (tmp_path / "faces").mkdir(exist_ok=True)
        Image.fromarray(crop).save(tmp_path / f"faces/{name}.png")
    table = tmp_path / "groups.csv"
    table.write_text("picture,light\n" + "".join(f"{name}.png,{'ab'[i % 2]}\n" for i, name in enumerate("abcdef")))
    command = ["audit", "--pictures", str(tmp_path / "faces"), "--aligned", "--groups", str(table)]
    assert main([*command, "--at-fmr", "0.2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    every = told["rates"][0]
    assert (every["group"], every["errors"], every["pairs"]) == ("all pairs", 3, 15)
    assert main([*command, "--metric", "cosine", "-o", str(tmp_path / "a.html")]) == 0
    assert "| light | a | 3 | 3 |" in capsys.readouterr().out and (tmp_path / "a.html").exists()
    assert main([*command, "--at-fmr", "0.01"]) == 2
    assert "expected a rate of 0.067 or more" in capsys.readouterr().err
