"""The ASGI application: the page, its files, and the JSON endpoints that it shares with programs."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import python_multipart  # noqa: F401 (forms.py uses it)
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
except ImportError:
    raise ImportError("the local page needs Starlette, uvicorn and python-multipart: pip install xcos[serve]") from None

from .. import _core
from ..recognition.shipped import ModelLike, as_model
from ..view import element_script
from .engine import Engine
from .forms import Form, read_form
from .guard import Guard
from .limits import Limits, Refused
from .search import Search

if TYPE_CHECKING:
    from ..gallery import Gallery

_HERE = Path(__file__).parent
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}
_FILES = ("page.html", "page.css", "page.js", "photograph.js", "explanation.js", "openapi.json")
_REPORTS = {"pdf": "application/pdf", "html": "text/html"}
_SEARCH_FILES = ("search.html", "search.js")
EXAMPLES = tuple(
    f"{name}.jpg"
    for name in ("obama_portrait_2012", "obama_congress_2009", "obama_blue_room_2010", "biden_blue_room_2010")
)


def make_app(
    model: ModelLike = None,
    *,
    limits: Limits | None = None,
    hosts: tuple[str, ...] | None = ("127.0.0.1", "localhost", "[::1]"),
    token: str | None = None,
    gallery: Gallery | None = None,
    enrol: bool = False,
) -> Starlette:
    """The application of the local page. Needs starlette (``pip install xcos[serve]``).

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    limits : Limits, optional
        Bounds of the server; None: those of :class:`Limits`.
    hosts : tuple of str, optional
        Names under which the server may be asked, against pages of other sites that rebind a name of theirs to this
        machine; None: any.
    token : str, optional
        When given, every request must bring it: ``Authorization: Bearer ...``, or once ``/?token=...``, which leaves a
        cookie.
    gallery : Gallery, optional
        When given, there is a search page for it, and its endpoints; the pairs are then compared by its model unless
        another is named.
    enrol : bool, default False
        May the page enrol people in the gallery, and delete them?

    Returns
    -------
    Starlette
        An ASGI application.

    Raises
    ------
    ValueError
        `enrol` without a gallery, or another model than the gallery's.

    Examples
    --------
    >>> import xcos.serve
    >>> app = xcos.serve.make_app()
    >>> type(app).__name__
    'Starlette'
    """
    limits = limits or Limits()
    if enrol and gallery is None:
        raise ValueError("enrol: expected a gallery to enrol people in, got none")
    engine = Engine(gallery.model if gallery is not None and model is None else as_model(model), limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        engine.close()

    app = Starlette(
        routes=[
            *[Route(f"/{name}" if name != "page.html" else "/", functools.partial(_file, name), methods=["GET"])
              for name in (*_FILES, *(_SEARCH_FILES if gallery is not None else ()))],
            Route("/examples/{name}", _example, methods=["GET"]),
            Route("/detect", _detect, methods=["POST"]),
            Route("/explain", _explain, methods=["POST"]),
            Route("/report", _report, methods=["POST"]),
            *(Search(engine, gallery, enrol).routes() if gallery is not None else ()),
        ],
        exception_handlers={Refused: _refused, HTTPException: _http_error, ClientDisconnect: _gone},
        middleware=[Middleware(Guard, hosts=hosts, token=token)],
        lifespan=lifespan,
    )
    app.state.engine = engine
    app.state.searches = gallery is not None
    return app


async def _file(name: str, request: Request) -> Response:
    return Response(_text(name, request.app.state.searches), media_type=_TYPES[Path(name).suffix])


@functools.cache
def _text(name: str, searches: bool) -> str:
    if name == "explanation.js":
        return element_script()
    text = _HERE.joinpath(name).read_text(encoding="utf-8")
    text = text.replace("@version@", _core.__version__)
    if name.endswith(".html"):
        text = text.replace("@photograph@", _HERE.joinpath("photograph.html").read_text(encoding="utf-8"))
        text = text.replace("@pages@", _pages(name) if searches else "")
    return text


def _pages(current: str) -> str:
    """The links between the two pages."""
    links = (("page.html", "./", "Compare two"), ("search.html", "search.html", "Search many"))
    listed = (f'<a href="{to}"{" aria-current=page" if name == current else ""}>{title}</a>'
              for name, to, title in links)  # fmt: skip
    return f"<nav aria-label=Pages>{''.join(listed)}</nav>"


async def _example(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in EXAMPLES:
        raise Refused(404, f"no example of this name; there are {', '.join(EXAMPLES)}")
    return Response(_examples().joinpath(name).read_bytes(), media_type="image/jpeg")


@functools.cache
def _examples() -> Path:
    """The photographs: in the package where it is installed, beside it in a source tree."""
    inside = _HERE / "examples"
    return inside if inside.is_dir() else _HERE.parents[1] / "examples"


async def _detect(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    with engine.slot():
        form = await read_form(request, engine.limits)
        picture = await form.picture("image")
        return JSONResponse(await engine.run(functools.partial(engine.find, picture)))


async def _explain(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    with engine.slot():
        form = await read_form(request, engine.limits)
        return JSONResponse(await engine.run(functools.partial(engine.explain, *await _pair(form))))


async def _report(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    with engine.slot():
        form = await read_form(request, engine.limits)
        kind = form.one_of("kind", tuple(_REPORTS))
        reference = form.text("case", "")
        job = functools.partial(engine.report, *await _pair(form), reference, f".{kind}")
        name = {"Content-Disposition": f'attachment; filename="case.{kind}"'}
        return Response(await engine.run(job), media_type=_REPORTS[kind], headers=name)


async def _pair(form: Form) -> tuple[tuple[bytes, bytes], tuple[str, str], tuple[int | None, int | None], float | None]:
    """Pictures, names, faces and threshold."""
    pictures = (await form.picture("a"), await form.picture("b"))
    names = (form.name("a", "first"), form.name("b", "second"))
    return pictures, names, (form.face("face_a"), form.face("face_b")), form.threshold()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    await _drain(request)
    headers = {"Retry-After": str(error.retry_s)} if error.retry_s is not None else None
    return JSONResponse({"error": error.sentence}, error.status, headers)


async def _drain(request: Request) -> None:
    """Reads on for a moment, keeping nothing: a browser that is still sending would not read the answer."""
    async def rest() -> None:
        size, limit = 0, 4 * request.app.state.engine.limits.body_bytes
        with contextlib.suppress(RuntimeError, ClientDisconnect):  # all of it was read already; nobody is there
            async for chunk in request.stream():
                size += len(chunk)
                if size >= limit:
                    return

    try:
        await asyncio.wait_for(rest(), 2)
    except asyncio.TimeoutError:
        pass


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it
