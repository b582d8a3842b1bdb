"""Searching on the page: who is in the photograph, why, and where it was asked for, enrolment and deletion."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..view import explanation_value
from .engine import Engine
from .forms import Form, read_form
from .limits import Refused

if TYPE_CHECKING:
    from ..gallery import Gallery
    from ..gallery.hits import Hits

_PHOTO = "the photograph"


class Search:
    """A gallery behind the engine. `enrol`: may people be enrolled and deleted?"""

    def __init__(self, engine: Engine, gallery: Gallery, enrol: bool) -> None:
        self.engine, self.gallery, self.enrol = engine, gallery, enrol

    def routes(self) -> list[Route]:
        """The endpoints beside the page."""
        jobs = {"/search": self._search, "/why": self._why, "/enrol": self._enrol, "/remove": self._remove}
        posts = [Route(path, functools.partial(self._answer, path, job), methods=["POST"])
                 for path, job in jobs.items()]  # fmt: skip
        return [*posts, Route("/gallery", self._about, methods=["GET"])]

    async def _about(self, request: Request) -> Response:
        def job(threads: int) -> dict[str, Any]:
            info = self.gallery.info()
            return {"people": info.people, "faces": info.faces, "model": info.model, "enrol": self.enrol}

        with self.engine.slot():
            return JSONResponse(await self.engine.run(job))

    async def _answer(self, path: str, job: Callable[..., dict[str, Any]], request: Request) -> Response:
        if path in ("/enrol", "/remove") and not self.enrol:
            raise Refused(403, "this server enrols and deletes nobody; start it with --enrol for that")
        with self.engine.slot():
            form = await read_form(request, self.engine.limits)
            picture = b"" if path == "/remove" else await form.picture("image")
            return JSONResponse(await self.engine.run(functools.partial(job, form, picture)))

    def _hits(self, form: Form, picture: bytes, threads: int) -> Hits:
        pixels, face = self.engine.locate(picture, _PHOTO, form.face("face"), threads)
        return self.gallery.search(pixels, form.most("k", 10), threshold=form.threshold(), face=face, threads=threads)

    def _search(self, form: Form, picture: bytes, threads: int) -> dict[str, Any]:
        hits = self._hits(form, picture, threads)
        return {"sentence": hits.sentence(), **hits.to_dict()}

    def _why(self, form: Form, picture: bytes, threads: int) -> dict[str, Any]:
        """What the view shows of the hit with this name: the search is made again, since nothing is kept of it."""
        name = form.text("name")
        hit = next((hit for hit in self._hits(form, picture, threads) if hit.name == name), None)
        if hit is None:
            raise Refused(404, f"{name!r} is no hit of this photograph any more; please search again")
        e = hit.explain()
        return explanation_value(replace(e, names=(form.name("image", "searched for"), e.names[1])))

    def _enrol(self, form: Form, picture: bytes, threads: int) -> dict[str, Any]:
        pixels, face = self.engine.locate(picture, _PHOTO, form.face("face"), threads)
        try:
            done = self.gallery.add(form.text("name"), pixels, face=face, called=form.name("image", ""),
                                    threads=threads)  # fmt: skip
        except ValueError as error:
            raise Refused(409, str(error)) from None
        return done.to_dict()

    def _remove(self, form: Form, picture: bytes, threads: int) -> dict[str, Any]:
        try:
            return {"removed": self.gallery.remove(form.text("name"))}
        except ValueError:
            raise Refused(404, f"nobody in the gallery is called {form.text('name')!r}") from None
