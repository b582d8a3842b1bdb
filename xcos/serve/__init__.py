"""The local page: two photographs in, the explanation out; the same as JSON for programs.

``xcos serve`` starts it. :func:`make_app` gives the ASGI application, for other servers and for tests. Nothing
of a picture is stored or logged: it lives in memory for as long as its request lasts.
"""

from .app import make_app
from .limits import Limits

__all__ = ["Limits", "make_app"]
