"""Explanations of face verification by many methods, all of one form: ``X(model, ...)(a, b) -> SaliencyPair``.

    import xcos
    from xcos.explainers import CorrRISE

    pair = CorrRISE(xcos.load())("a.jpg", "b.jpg")
    pair.first[0]     # (112, 112): + speaks for "the same person", - against
    pair.plot()

What stands where: native.py the model's own maps, decomposition.py what the last feature map gives without
training, transport.py cells matched across places, perturbation.py masks, gradients.py back-propagation (needs
``xcos[train]``), controls.py maps that look at no face,
contract.py what an explainer of one's own has to keep. docs/explanations.md tells what measuring them taught us;
xcos.faithfulness measures them.
"""

from .base import Explainer, SaliencyPair
from .contract import check
from .controls import CentreMap, RandomMap
from .decomposition import CellCosine, Decomposition, HeadDecomposition
from .gradients import FGGB, GradCAM, xSSAB
from .native import XCos
from .perturbation import CorrRISE, MinPlus, OcclusionMap
from .transport import CellFlow, PatchEMD

METHODS: dict[str, type[Explainer]] = {
    explainer.__name__: explainer
    for explainer in (
        XCos,
        HeadDecomposition,
        CellCosine,
        PatchEMD,
        OcclusionMap,
        CorrRISE,
        MinPlus,
        GradCAM,
        xSSAB,
        FGGB,
        CentreMap,
        RandomMap,
    )
}

__all__ = [
    "FGGB",
    "METHODS",
    "CellCosine",
    "CellFlow",
    "CentreMap",
    "CorrRISE",
    "Decomposition",
    "Explainer",
    "GradCAM",
    "HeadDecomposition",
    "MinPlus",
    "OcclusionMap",
    "PatchEMD",
    "RandomMap",
    "SaliencyPair",
    "XCos",
    "check",
    "xSSAB",
]
