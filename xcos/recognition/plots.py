"""Pictures of many explanations: ``xcos.plot_pairs`` and ``xcos.plot_maps``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Entry = Explanation | str | None  # None or a text: there is no explanation, and why


def plot_pairs(
    explanations: Sequence[Entry],
    *,
    same: Sequence[bool | None] | None = None,
    panels: Sequence[str] = ("first", "second", "contribution"),
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
    dpi: float | None = None,
    cmap: str | Colormap | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws many pairs into one figure: two faces and a map of each, score and decision, and one colour bar for all.

    Scales are those of :meth:`Explanation.plot`, fixed, so that all maps can be compared. Needs matplotlib
    (``pip install xcos[plot]``).

    Parameters
    ----------
    explanations : sequence of Explanation, str or None
        As ``xcos.explain`` gives them. None, of ``skip_failed``, leaves an empty place; a text in its place says why.
    same : sequence of bool or None, optional
        For each pair whether it shows one person, as ``Pairs.same``: answers are marked ✓ or ✗, wrong ones framed.
    panels : sequence of str, optional
        What is shown of each pair, in this order: "first", "second", "cosine", "attention", "contribution", "evidence",
        "deviation".
    columns : int, optional
        Pairs in a row; None: so many that all are largest in `figsize` or `ax`, or as have room in 12.6 inches.
    figsize : (float, float), optional
        Width and height of a new figure, inches; None: so that each face has 1.2.
    dpi : float, optional
        Dots an inch of a new figure; None: matplotlib's.
    cmap : str or Colormap, optional
        A matplotlib colour map or its name, for cosines and contributions in place of RdBu.
    ax : Axes, optional
        The drawing stays in that place of its figure, smaller where there is less room; None: a new figure.

    Returns
    -------
    Figure
        The figure; its axes are labelled: "first 0", "contribution 0", "contribution scale".

    Raises
    ------
    TypeError
        Something else than explanations.
    ValueError
        Nothing to show, another panel or colour map, labels of another number, evidence of a model without
        calibration, or `figsize` or `dpi` beside `ax`.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/biden_blue_room_2010.jpg"
    >>> pairs = xcos.explain([a, a], ["examples/obama_congress_2009.jpg", b])
    >>> figure = xcos.plot_pairs(pairs, same=[True, False])
    >>> [ax.get_label() for ax in figure.axes][:3]
    ['first 0', 'second 0', 'contribution 0']
    """
    from ..drawing import pairs

    chosen = (panels,) if isinstance(panels, str) else tuple(panels)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(pairs.PANELS):
        raise ValueError(f"panels: expected some of {', '.join(pairs.PANELS)}, each once; got {chosen}")
    if columns is not None and columns < 1:
        raise ValueError(f"columns: expected at least 1, got {columns}")
    entries = _entries(explanations, "explanations", chosen)
    _check(len(entries), same, cmap, figsize, dpi, ax)
    return pairs.pairs(entries, same, chosen, columns, figsize, dpi, cmap, ax)


def plot_maps(
    explanations: Sequence[Entry] | Sequence[Sequence[Entry]],
    *,
    panel: str = "contribution",
    titles: Sequence[str] | None = None,
    same: Sequence[bool | None] | None = None,
    figsize: tuple[float, float] | None = None,
    dpi: float | None = None,
    cmap: str | Colormap | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws maps in rows and columns: pairs by models, or a reference by the frames of a video.

    Faces that are the same along the rows stand once at the left of each, the others above their maps. Scales are
    fixed, as in :func:`plot_pairs`.

    Parameters
    ----------
    explanations : sequence of sequences of Explanation, str or None
        Rows: for each pair its explanations by each model; a plain sequence is one row, as
        ``xcos.explain(reference, frames)``. None and texts: see :func:`plot_pairs`.
    panel : str, default "contribution"
        "cosine", "attention", "contribution", "evidence" or "deviation".
    titles : sequence of str, optional
        Of the columns; None: the models' names where each column has a model of its own.
    same : sequence of bool or None, optional
        For each row whether it shows one person: answers are marked ✓ or ✗, wrong ones framed.
    figsize : (float, float), optional
        Width and height of a new figure, inches; None: so that each face has 1.2.
    dpi : float, optional
        Dots an inch of a new figure; None: matplotlib's.
    cmap : str or Colormap, optional
        A matplotlib colour map or its name, for cosines and contributions in place of RdBu.
    ax : Axes, optional
        The drawing stays in that place of its figure, smaller where there is less room; None: a new figure.

    Returns
    -------
    Figure
        The figure; its axes are labelled by row and column: "contribution 0,1", "contribution scale".

    Raises
    ------
    TypeError
        Something else than explanations.
    ValueError
        As :func:`plot_pairs`, or rows or titles of another number than the columns.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> models = [xcos.load(whole=w) for w in (0, 0.5)]
    >>> figure = xcos.plot_maps([[model.explain(a, b) for model in models]], titles=["cells alone", "half of each"])
    >>> [ax.get_label() for ax in figure.axes]
    ['first 0', 'second 0', 'contribution 0,0', 'contribution 0,1', 'contribution scale']
    """
    from ..drawing import pairs
    from ..drawing.scales import SCALES

    if panel not in SCALES:
        raise ValueError(f"panel: expected one of {', '.join(SCALES)}, got {panel!r}")
    given = list(explanations)
    rows: list[Any] = [given] if all(isinstance(e, Entry) for e in given) else given
    grid = [_entries(row, f"explanations[{i}]", (panel,)) for i, row in enumerate(rows)]
    widths = sorted({len(row) for row in grid})
    if len(widths) > 1:
        raise ValueError(f"explanations: expected rows of one length, got some of {widths[0]} and some of {widths[-1]}")
    if titles is not None and len(titles) != widths[0]:
        raise ValueError(f"titles: expected one for each of {widths[0]} columns, got {len(titles)}")
    _check(len(grid), same, cmap, figsize, dpi, ax)
    return pairs.maps(grid, same, panel, titles or _models(grid), figsize, dpi, cmap, ax)


def _entries(given: Sequence[Entry], name: str, panels: Sequence[str]) -> list[Entry]:
    """Checked: explanations that have what is to be shown, and nothing else but None and texts."""
    entries = list(given)
    if not entries:
        raise ValueError(f"{name}: expected at least one explanation, got none")
    for i, entry in enumerate(entries):
        if not isinstance(entry, Entry):
            kind = type(entry).__name__
            raise TypeError(f"{name}[{i}]: expected an Explanation, None or a text that says why, got {kind}")
        if isinstance(entry, Explanation) and entry.evidence is None and {"evidence", "deviation"} & set(panels):
            raise ValueError(f"{name}[{i}]: model {entry.model!r} is not calibrated: see xcos.calibrate")
    return entries


def _models(grid: Sequence[Sequence[Entry]]) -> list[str]:
    """The models' names where each column has one of its own, else no titles."""
    columns = [{e.model for e in column if isinstance(e, Explanation)} for column in zip(*grid, strict=True)]
    if len(set().union(*columns)) < len(columns) or any(len(names) != 1 for names in columns) or len(columns) == 1:
        return [""] * len(columns)
    return [name for names in columns for name in names]


def _check(
    count: int, same: Sequence[bool | None] | None, cmap: str | Colormap | None,
    figsize: tuple[float, float] | None, dpi: float | None, ax: Axes | None,
) -> None:
    """What `plot_pairs` and `plot_maps` raise in the same way, before a figure is made."""
    from ..drawing.cells import scale_of

    scale_of("cosine", cmap)
    if same is not None and len(same) != count:
        raise ValueError(f"same: expected a label for each of {count}, got {len(same)}")
    if ax is not None and (figsize is not None or dpi is not None):
        raise ValueError("figsize, dpi: go without ax, whose figure has both already")
    if dpi is not None and not 1 <= dpi <= 2400:
        raise ValueError(f"dpi: expected a number from 1 to 2400, got {dpi}")
