"""What one request may take, and what is said when it wants more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server; memory is bounded by (workers + waiting) x two pictures.

    Parameters
    ----------
    picture_bytes : int, optional
        Of one picture's file.
    pixels : int, default 50000000
        Of one picture; more are refused before they are decoded.
    waiting : int, default 16
        Requests that may wait while all workers are busy; more get 503 with Retry-After.
    workers : int, optional
        Requests worked on at once; None: one for each core that the process may use.
    upload_s : float, default 20.0
        Seconds that a client has to send its request.
    work_s : float, default 20.0
        Seconds from then until an answer must be there, waiting included.

    Examples
    --------
    >>> import xcos
    >>> xcos.serve.Limits(picture_bytes=1 << 20).body_bytes > 2 << 20
    True
    """

    picture_bytes: int = 16 << 20
    pixels: int = 50_000_000
    waiting: int = 16
    workers: int | None = None
    upload_s: float = 20.0
    work_s: float = 20.0

    @property
    def body_bytes(self) -> int:
        """Of a whole request: two pictures and the form around them."""
        return 2 * self.picture_bytes + (64 << 10)


class Refused(Exception):
    """A request that is answered with an error: HTTP status, a sentence for the reader, and when to come again."""

    def __init__(self, status: int, sentence: str, retry_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_s = status, sentence, retry_s
