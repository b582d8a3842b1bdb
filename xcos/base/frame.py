"""Results as pandas tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def frame(columns: Mapping[str, Sequence[Any]], index: Any = None) -> Any:
    """A pandas DataFrame of columns by name. Raises ImportError, saying what to install, without pandas."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("a DataFrame needs pandas: pip install pandas") from None
    return pd.DataFrame(dict(columns), index=index)
