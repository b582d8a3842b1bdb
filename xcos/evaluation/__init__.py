"""Benchmarks: run them, compare models on them, calibrate scores by them, look at what went wrong."""

from .audited import Audit, AuditRate, Differential
from .auditing import audit
from .figures import Mistake
from .fitting import calibrate
from .groups import GroupRate
from .protocol import Folds, Roc, cllr, min_cllr
from .report import Report
from .run import compare_models, evaluate
from .search import SearchReport, evaluate_search
from .table import Table
from .templates import Searched, search_templates
from .whole import whole_curve

__all__ = [
    "Audit",
    "AuditRate",
    "Differential",
    "Folds",
    "GroupRate",
    "Mistake",
    "Report",
    "Roc",
    "SearchReport",
    "Searched",
    "Table",
    "audit",
    "calibrate",
    "cllr",
    "compare_models",
    "evaluate",
    "evaluate_search",
    "min_cllr",
    "search_templates",
    "whole_curve",
]
