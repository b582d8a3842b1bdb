"""Sizes that are not known before a network runs, and arithmetic with them.

A size is an int or a Dim. Importers carry the batch as a Dim through the shape arithmetic of a foreign graph,
so that what was traced with one picture becomes a plan for any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MAX_SYMBOLS, _MAX_LENGTH = 8, 200  # beyond what graphs need; keeps hostile ones from growing without end


@dataclass(frozen=True)
class Dim:
    """coefficient * product of symbols.

    What is no such product becomes a symbol named after itself, with "~" where it may be no whole number.
    """

    coefficient: int
    symbols: tuple[str, ...]

    def __str__(self) -> str:
        names = "*".join(self.symbols)
        return names if self.coefficient == 1 else f"{self.coefficient}*{names}"

    __repr__ = __str__

    def __mul__(self, other: object) -> Size:
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if isinstance(other, int):
            return _size(self.coefficient * other, self.symbols)
        if isinstance(other, Dim):
            return _size(self.coefficient * other.coefficient, self.symbols + other.symbols)
        if isinstance(other, float):
            return _opaque(f"~({self}*{other})")
        return NotImplemented

    __rmul__ = __mul__

    def __add__(self, other: object) -> Size:
        if other == 0:
            return self
        if isinstance(other, Dim) and other.symbols == self.symbols:
            return _size(self.coefficient + other.coefficient, self.symbols)
        return _opaque(f"({self}+{other})")

    __radd__ = __add__

    def __neg__(self) -> Size:
        return _size(-self.coefficient, self.symbols)

    def __sub__(self, other: object) -> Size:
        if isinstance(other, Dim):
            return self + -other
        if isinstance(other, int | float):
            return self + -other
        return NotImplemented

    def __rsub__(self, other: int) -> Size:
        return -self + other

    def __floordiv__(self, other: object) -> Size:
        exact = divide(self, other) if isinstance(other, int | Dim) else None
        return _opaque(f"({self}//{other})") if exact is None else exact

    def __rfloordiv__(self, other: int) -> Size:
        return _opaque(f"({other}//{self})")

    def __truediv__(self, other: object) -> Size:
        exact = divide(self, other) if isinstance(other, int | Dim) else None
        return _opaque(f"~({self}/{other})") if exact is None else exact

    def __rtruediv__(self, other: object) -> Size:
        return _opaque(f"~({other}/{self})")

    def __floor__(self) -> Size:
        return self if self._is_whole() else _opaque(f"floor({self})")

    def __ceil__(self) -> Size:
        return self if self._is_whole() else _opaque(f"ceil({self})")

    def _is_whole(self) -> bool:
        return not any("~" in symbol for symbol in self.symbols)


Size = int | Dim

BATCH = Dim(1, ("batch",))


def product(sizes: Sequence[Size]) -> Size:
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def divide(a: Size, b: Size) -> Size | None:
    """a / b where that is exact whatever the symbols stand for, else None."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    top = a if isinstance(a, Dim) else Dim(a, ())
    bottom = b if isinstance(b, Dim) else Dim(b, ())
    rest = list(top.symbols)
    for symbol in bottom.symbols:
        if symbol not in rest:
            return None
        rest.remove(symbol)
    if not bottom.coefficient or top.coefficient % bottom.coefficient:
        return None
    return _size(top.coefficient // bottom.coefficient, tuple(rest))


def _size(coefficient: int, symbols: tuple[str, ...]) -> Size:
    if not symbols or coefficient == 0:
        return coefficient
    if len(symbols) > _MAX_SYMBOLS or abs(coefficient) > 2**62:
        raise ValueError("the arithmetic with shapes grows out of bounds")
    return Dim(coefficient, tuple(sorted(symbols)))


def _opaque(text: str) -> Dim:
    if len(text) > _MAX_LENGTH:
        raise ValueError("the arithmetic with shapes grows out of bounds")
    return Dim(1, (text,))
