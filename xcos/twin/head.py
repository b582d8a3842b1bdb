"""The trainable xCos head: patch cosines, attention, weighted sum (Lin et al., arXiv 2003.05383, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-6  # least norm of a cell's vector, as in the reference and in the C core
NORMALIZATIONS = ("softmax", "minmax")


OPTIONS = ("temperature", "normalization", "whole")  # of a head, as the model file's header names them


class Compared(NamedTuple):
    """Pairs of faces, compared with gradients.

    Attributes
    ----------
    score : (...,) Tensor
        Sum of attention x cosine, and of the plain cosine's share.
    cosine : (..., H, W) Tensor
        Of each cell.
    attention : (..., H, W) Tensor
        Sums to 1.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> head = xcos.train.XCosHead(D=4).eval()
    >>> compared = head(torch.ones(2, 4, 7, 7), torch.ones(2, 4, 7, 7))
    >>> compared.cosine.shape
    torch.Size([2, 7, 7])
    """

    score: Tensor
    cosine: Tensor
    attention: Tensor


class XCosHead(nn.Module):
    """Compares two grids of D numbers in each of H x W cells.

    As in the reference: a shared embedding (3x3 convolution D -> E, batch norm, PReLU with one slope), both faces'
    embeddings side by side, 3x3 2E -> F, batch norm, PReLU, 3x3 F -> 1, batch norm, PReLU, then a softmax over the
    cells with a temperature (or, ``normalization="minmax"``, minus the minimum, divided by the sum). Convolutions pad
    by one cell.

    Parameters
    ----------
    D : int, default 32
        Numbers of a cell.
    E, F : int, default 16
        Channels of the embedding and of the attention.
    grid : (int, int), optional
        Rows and columns, (H, W).
    temperature : float, default 1.0
        Of the softmax.
    normalization : str, default "softmax"
        "softmax" or "minmax".
    symmetric : bool, default False
        Both halves of the attention's first convolution share their weights, so that the order of the two faces does
        not matter; the file holds them twice.
    norm : bool, default True
        False leaves the batch norms out, as in a head read from a file, where they are folded.
    whole : float, default 0.0
        w, what the plain cosine counts: score = (1 - w) * sum(attention * cosine) + w * plain cosine.
    learned : bool, default False
        w starts at `whole` and is trained with the rest.

    Raises
    ------
    ValueError
        Another normalization, a temperature or a size not above 0, a whole not in 0 to 1.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> head = xcos.train.XCosHead(D=4).eval()
    >>> score = head(torch.ones(2, 4, 7, 7), torch.ones(2, 4, 7, 7)).score
    >>> [round(value, 3) for value in score.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        D: int = 32,
        E: int = 16,
        F: int = 16,
        grid: tuple[int, int] = (7, 7),
        temperature: float = 1.0,
        normalization: str = "softmax",
        symmetric: bool = False,
        norm: bool = True,
        whole: float = 0.0,
        learned: bool = False,
    ) -> None:
        super().__init__()
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization is {normalization!r}; expected one of {', '.join(NORMALIZATIONS)}")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a number above 0")
        if min(D, E, F, *grid) < 1:
            raise ValueError(f"sizes are D={D}, E={E}, F={F}, grid={grid}; expected 1 or more each")
        if not 0 <= whole <= 1 or (learned and whole in (0, 1)):
            raise ValueError(f"whole is {whole}; expected a number from 0 to 1, and between them where it is learned")
        self.grid, self.temperature, self.normalization, self.symmetric = grid, temperature, normalization, symmetric
        self._whole = whole
        self.whole_logit = nn.Parameter(torch.tensor(whole).logit()) if learned else None
        self.embed = nn.Conv2d(D, E, 3, padding=1)
        self.embed_norm = nn.BatchNorm2d(E) if norm else nn.Identity()
        self.embed_prelu = nn.PReLU()
        # Its weight is (F, E or 2E, 3, 3): the halves are applied to each face alone and added (see `halves`).
        self.attend1 = nn.Conv2d(E if symmetric else 2 * E, F, 3, padding=1)
        self.attend1_norm = nn.BatchNorm2d(F) if norm else nn.Identity()
        self.attend1_prelu = nn.PReLU()
        self.attend2 = nn.Conv2d(F, 1, 3, padding=1)
        self.attend2_norm = nn.BatchNorm2d(1) if norm else nn.Identity()
        self.attend2_prelu = nn.PReLU()

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, NDArray[np.float32]],
        grid: tuple[int, int] = (7, 7),
        temperature: float = 1.0,
        normalization: str = "softmax",
        whole: float = 0.0,
        learned: bool = False,
    ) -> XCosHead:
        """A head from the tensors ``head.*`` of a model file, without batch norms (they are folded there).

        Parameters
        ----------
        tensors : dict of ndarray of float32
            By name.
        grid : (int, int), optional
            Rows and columns, (H, W).
        temperature : float, default 1.0
            Of the softmax.
        normalization : str, default "softmax"
            "softmax" or "minmax".
        whole : float, default 0.0
            w, what the plain cosine counts.
        learned : bool, default False
            w is trained with the rest.

        Returns
        -------
        XCosHead
            The head.
        """
        embed, attend = tensors["head.embed.weight"], tensors["head.attend1.weight"]
        sizes = (embed.shape[1], len(embed), len(attend))
        head = cls(*sizes, grid, temperature, normalization, norm=False, whole=whole, learned=learned)
        with torch.no_grad():
            for part in ("embed", "attend1", "attend2"):
                conv, prelu = getattr(head, part), getattr(head, f"{part}_prelu")
                conv.weight.copy_(torch.from_numpy(tensors[f"head.{part}.weight"].copy()))
                conv.bias.copy_(torch.from_numpy(tensors[f"head.{part}.bias"].copy()))
                prelu.weight.copy_(torch.from_numpy(tensors[f"head.{part}.prelu"].copy()))
        return head

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Tensors ``head.*`` of a model file, with the batch norms folded by their running statistics.

        Returns
        -------
        dict of ndarray of float32
            By name.
        """
        found = {}
        for part in ("embed", "attend1", "attend2"):
            conv, norm = getattr(self, part), getattr(self, f"{part}_norm")
            weight, bias = conv.weight.detach().double(), conv.bias.detach().double()
            if part == "attend1" and self.symmetric:
                weight = torch.cat([weight, weight], 1)
            if isinstance(norm, nn.BatchNorm2d):
                assert norm.running_mean is not None and norm.running_var is not None
                gain = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
                weight = weight * gain[:, None, None, None]
                bias = (bias - norm.running_mean.double()) * gain + norm.bias.detach().double()
            found[f"head.{part}.weight"] = weight.float().cpu().numpy()
            found[f"head.{part}.bias"] = bias.float().cpu().numpy()
            found[f"head.{part}.prelu"] = getattr(self, f"{part}_prelu").weight.detach().float().cpu().numpy().copy()
        return found

    @property
    def whole(self) -> Tensor | float:
        """What the plain cosine counts, w, as it is now."""
        return self._whole if self.whole_logit is None else self.whole_logit.sigmoid()

    def forward(self, a: Tensor, b: Tensor, plain: Tensor | None = None) -> Compared:
        """Compares a[i] with b[i].

        Parameters
        ----------
        a, b : (N, D, H, W) Tensor
            Grids of N first and N second faces.
        plain : (N,) Tensor, optional
            Cosines of the embeddings, which a head with whole > 0 needs.

        Returns
        -------
        Compared
            Scores and maps, (N, ...).

        Raises
        ------
        ValueError
            `plain` is needed and missing.
        """
        cosine = (unit(a) * unit(b)).sum(1)
        first, second = self.halves(a)[0], self.halves(b)[1]
        attention = self.attention(first + second)
        return Compared(self._sum((attention * cosine).sum((1, 2)), plain), cosine, attention)

    def all_pairs(self, a: Tensor, b: Tensor, plain: Tensor | None = None) -> Compared:
        """Compares every a[i] with every b[j].

        The part of the attention that one face decides is computed once for the face, only the rest for each pair.

        Parameters
        ----------
        a, b : Tensor
            Grids, (N, D, H, W) and (M, D, H, W).
        plain : (N, M) Tensor, optional
            Cosines of the embeddings, which a head with whole > 0 needs.

        Returns
        -------
        Compared
            Scores and maps, (N, M, ...).

        Raises
        ------
        ValueError
            `plain` is needed and missing.
        """
        n, m = len(a), len(b)
        cosine = torch.einsum("ndhw,mdhw->nmhw", unit(a), unit(b))
        first, second = self.halves(a)[0], self.halves(b)[1]
        attention = self.attention((first[:, None] + second[None]).flatten(0, 1))
        attention = attention.view(n, m, *self.grid)
        return Compared(self._sum((attention * cosine).sum((2, 3)), plain), cosine, attention)

    def _sum(self, local: Tensor, plain: Tensor | None) -> Tensor:
        """The score from what the cells and what the whole faces say."""
        if self.whole_logit is None and not self._whole:
            return local
        if plain is None:
            raise ValueError("a head with whole above 0 expects the cosines of the embeddings with the grids")
        return (1 - self.whole) * local + self.whole * plain

    def halves(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """What a face adds to the attention's first convolution as the first and as the second of a pair.

        Parameters
        ----------
        grid : (N, D, H, W) Tensor
            Of N faces.

        Returns
        -------
        (Tensor, Tensor)
            (N, F, H, W) each.
        """
        embedded = self.embed_prelu(self.embed_norm(self.embed(grid)))
        weight, bias = self.attend1.weight, self.attend1.bias
        size = embedded.shape[1]
        first = F.conv2d(embedded, weight[:, :size], bias, padding=1)
        second = F.conv2d(embedded, weight[:, -size:], padding=1)
        return first, second

    def attention(self, sums: Tensor) -> Tensor:
        """How much each cell counts.

        Parameters
        ----------
        sums : (N, F, H, W) Tensor
            The sum of two halves.

        Returns
        -------
        (N, H, W) Tensor
            At least 0, sums to 1.
        """
        z = self.attend1_prelu(self.attend1_norm(sums))
        logits = self.attend2_prelu(self.attend2_norm(self.attend2(z))).flatten(1)
        if self.normalization == "softmax":
            weights = (logits / self.temperature).softmax(1)
        else:
            shifted = logits - logits.min(1, keepdim=True).values
            total = shifted.sum(1, keepdim=True)
            equal = total == 0  # all logits alike: the C core gives each cell the same share
            share = torch.full_like(shifted, 1 / shifted.shape[1])
            weights = torch.where(equal, share, shifted / total.clamp(min=1e-30))
        result: Tensor = weights.view(len(sums), *sums.shape[2:])
        return result


def unit(grid: Tensor) -> Tensor:
    """Vectors along axis 1 brought to length 1 (those shorter than 1e-6 are divided by 1e-6)."""
    return F.normalize(grid, dim=1, eps=EPSILON)
