"""How far can an explanation be believed? Measures of explainers, each a function of (model, explainer, pairs).

    from xcos import datasets, explainers, faithfulness, load

    model = load()
    pairs = faithfulness.sample(datasets.read("lfw.bin"), 200)
    faithfulness.deletion(model, explainers.XCos(model), pairs)      # Measure(deletion 71.3, 69.0 to 73.6)
    faithfulness.compare(model, [explainers.XCos(model), explainers.CorrRISE(model)], pairs).to_markdown()
    faithfulness.coverings(model, explainers.XCos(model), pairs)     # does the map point at sunglasses that are put on?
    faithfulness.truth(model, "people/", "lfw.bin")                  # are the model's cells about their place?
    faithfulness.part_game([explainers.XCos(model)], "people/")      # does the map name the part that was swapped?

A measure is a mean over pairs with its bootstrap interval (95 %, pairs drawn with replacement, the threshold held
fixed). ``score=`` says which score of the model decides, "xcos" or "cosine"; by default the one that the explainer
explains. What is prepared for a set of pairs, and the maps of the last explainers, are kept for the next measure.
"""

from .compare import MEASURES, MethodTable, compare
from .coverings import covered, coverings
from .curves import PERCENT, deletion, insertion
from .measure import Estimate, Measure, bootstrap
from .pairs import LabelledCrops, sample
from .part_game import flips, part_game
from .part_game_result import PartGame, Played
from .patches import RESTORED, localisation, patch_lfw, patched
from .sanity import randomisation, randomised, symmetry
from .truth import truth
from .truth_result import Truth
from .windows import own_and_leak, parts

__all__ = [
    "MEASURES",
    "PERCENT",
    "RESTORED",
    "Estimate",
    "LabelledCrops",
    "Measure",
    "MethodTable",
    "PartGame",
    "Played",
    "Truth",
    "bootstrap",
    "compare",
    "covered",
    "coverings",
    "deletion",
    "flips",
    "insertion",
    "localisation",
    "own_and_leak",
    "part_game",
    "parts",
    "patch_lfw",
    "patched",
    "randomisation",
    "randomised",
    "sample",
    "symmetry",
    "truth",
]
