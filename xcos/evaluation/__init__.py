"""Benchmarks: run them, compare models on them, calibrate scores by them, look at what went wrong."""

from .figures import Mistake
from .fitting import calibrate
from .groups import GroupRate
from .protocol import Folds, Roc, cllr, min_cllr
from .report import Report
from .run import compare_models, evaluate
from .table import Table
from .whole import whole_curve

__all__ = [
    "Folds",
    "GroupRate",
    "Mistake",
    "Report",
    "Roc",
    "Table",
    "calibrate",
    "cllr",
    "compare_models",
    "evaluate",
    "min_cllr",
    "whole_curve",
]
