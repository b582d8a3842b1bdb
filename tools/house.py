"""Draws the house of the Python package from its imports: rooms, floors, arrows that run back up, circles.

    python tools/house.py [CHECKOUT] [--arrows]

A room is a folder with an ``__init__.py`` (``importers/onnx`` is one of its own), or a file at the top. An arrow leads
from the room that imports to the room that is imported. Imports at the top of a module, inside functions and under
``TYPE_CHECKING`` are counted apart: the first two run, the last is for readers and type checkers. That a package is
imported before its modules (``xcos`` itself, before all) is no arrow: its names are imported when first used.

A floor is the longest way down to a room that knows no other; rooms of one circle share a floor. An arrow runs back
up where it would have to be taken away to have no circle left, by a greedy order (Eades, Lin and Smyth, 1993).
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KINDS = ("top", "function", "typing")


class Arrow(NamedTuple):
    """One import: from which module to which, at which line, and of which of KINDS."""

    source: str
    target: str
    line: int
    kind: str


Graph = dict[str, set[str]]


def modules_of(package: Path) -> dict[str, Path]:
    """Names of all modules below a package's folder, without the package's own name; "" is the package itself."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows_of(package: Path) -> list[Arrow]:
    """All imports among the modules of a package. Compiled modules are not among them."""
    modules = modules_of(package)
    found = []
    for name, path in modules.items():
        inside = [package.name, *name.split(".")] if name else [package.name]
        if path.name != "__init__.py":
            inside.pop()
        for node, kind in _imports(ast.parse(path.read_text(encoding="utf-8")), "top"):
            for target in _targets(node, inside, modules, package.name):
                if target != name:
                    found.append(Arrow(name, target, node.lineno, kind))
    return found


def _imports(node: ast.AST, kind: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, kind
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _imports(child, "function")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, "typing")
        else:
            yield from _imports(child, kind)


def _targets(
    node: ast.Import | ast.ImportFrom, inside: list[str], modules: dict[str, Path], package: str
) -> Iterator[str]:
    """The modules that one statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        start = inside[: len(inside) - node.level + 1] if node.level else []
        base = ".".join([*start, *(node.module or "").split(".")]).rstrip(".")
        names = [f"{base}.{alias.name}" for alias in node.names]
    for name in names:
        head, _, rest = name.partition(".")
        if head != package:
            continue
        while rest and rest not in modules:
            rest = rest.rpartition(".")[0]
        compiled = not rest and name.startswith(f"{package}._core")
        if not compiled:
            yield rest


def room_of(module: str, modules: dict[str, Path]) -> str:
    """The folder of a module, or the module itself where it lies at the top; the package itself is ``__init__``."""
    if not module:
        return "__init__"
    if modules[module].name == "__init__.py" or "." not in module:
        return module
    return module.rpartition(".")[0]


def graph_of(arrows: list[Arrow], kinds: tuple[str, ...] = KINDS) -> Graph:
    """Who imports whom, among modules."""
    graph: Graph = defaultdict(set)
    for arrow in arrows:
        if arrow.kind in kinds:
            graph[arrow.source].add(arrow.target)
    return dict(graph)


def rooms_of(graph: Graph, modules: dict[str, Path]) -> Graph:
    """The same among rooms; every room is a key."""
    rooms: Graph = {room_of(module, modules): set() for module in modules}
    for source, targets in graph.items():
        here = room_of(source, modules)
        rooms[here] |= {room_of(target, modules) for target in targets} - {here}
    return rooms


def circles(graph: Graph) -> list[list[str]]:
    """Sets of two and more that reach each other (strongly connected components, Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            part = stack[at:]
            del stack[at:]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted({*graph, *(other for targets in graph.values() for other in targets)}):
        if node not in index:
            visit(node)
    return sorted(found)


def backward(graph: Graph) -> list[tuple[str, str]]:
    """Arrows against a greedy order of each circle: take the node with most arrows out over arrows in, again and
    again."""
    against = []
    for part in circles(graph):
        left, order = set(part), []
        while left:
            def surplus(node: str, left: set[str] = left) -> tuple[int, str]:
                out = len(graph.get(node, set()) & left)
                into = sum(node in graph.get(other, ()) for other in left)
                return out - into, node
            first = max(left, key=surplus)
            order.append(first)
            left.remove(first)
        place = {node: i for i, node in enumerate(order)}
        against += [
            (node, other) for node in order for other in sorted(graph.get(node, set()) & set(part))
            if place[other] < place[node]
        ]
    return against


def floors(graph: Graph) -> dict[str, int]:
    """Longest way down from each node, arrows that run back up left out; 1 is the ground."""
    away = set(backward(graph))
    known: dict[str, int] = {}

    def height(node: str) -> int:
        if node not in known:
            below = [other for other in graph.get(node, ()) if (node, other) not in away]
            known[node] = 1 + max(map(height, below), default=0)
        return known[node]

    return {node: height(node) for node in graph}


def table(package: Path) -> str:
    """The house as Markdown: once by what runs, once with the imports for type checkers too."""
    modules, arrows = modules_of(package), arrows_of(package)
    lines = ["| | imports that run | and those under TYPE_CHECKING |", "|---|---|---|"]
    graphs = [graph_of(arrows, kinds) for kinds in (KINDS[:2], KINDS)]
    rooms = [rooms_of(graph, modules) for graph in graphs]

    def row(name: str, values: list[object]) -> None:
        lines.append(f"| {name} | {' | '.join(map(str, values))} |")

    row("rooms", [len(graph) for graph in rooms])
    row("floors", [max(floors(graph).values()) for graph in rooms])
    row("arrows between rooms", [sum(map(len, graph.values())) for graph in rooms])
    row("arrows that run back up", [len(backward(graph)) for graph in rooms])
    row("circles of rooms", [len(circles(graph)) for graph in rooms])
    row("circles of modules", [len(circles(graph)) for graph in graphs])
    top = sorted(path.name for path in package.glob("*.py"))
    counts = ", ".join(f"{sum(arrow.kind == kind for arrow in arrows)} {kind}" for kind in KINDS)
    lines += ["", f"{len(modules)} modules; imports: {counts}. {len(top)} files at the top: {', '.join(top)}", ""]
    for label, graph in (("rooms", rooms[1]), ("modules", graphs[1])):
        lines += [f"- circle of {label}: {' ↔ '.join(name or '__init__' for name in part)}" for part in circles(graph)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1], help="default: this one")
    parser.add_argument("--arrows", action="store_true", help="the rooms by floor, and whom each knows")
    options = parser.parse_args()
    package = options.checkout / "xcos"
    print(table(package))
    if options.arrows:
        modules = modules_of(package)
        graph = rooms_of(graph_of(arrows_of(package)), modules)
        for room, floor in sorted(floors(graph).items(), key=lambda item: (-item[1], item[0])):
            print(f"{floor:3} {room}: {', '.join(sorted(graph[room]))}")


if __name__ == "__main__":
    main()
