"""``xcos serve``: starts the local page."""

from __future__ import annotations

import argparse
import contextlib
import functools
import ipaddress
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable
from typing import Any

_PORT = 8765


def register(command: Callable[..., Any], show: Callable[..., None], model: argparse.ArgumentParser) -> None:
    """Adds the command to the parser of ``xcos`` by `command`, as cli.py defines it; `show` prints, `model` is the
    parser of --model and --whole."""
    serve = command("serve", functools.partial(_serve, show), "show the local page", [model], "xcos serve")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    serve.add_argument("--port", type=int, default=_PORT, help=f"default {_PORT}; 0 takes a free one")
    serve.add_argument("--allow-remote", action="store_true", help="listen to other machines too, with a token")
    serve.add_argument("--gallery", metavar="FOLDER", help="with a page that searches the people of this gallery")
    serve.add_argument("--enrol", action="store_true", help="that page may enrol people, and delete them")
    serve.add_argument("--token", help="the token then (default: XCOS_TOKEN, else a new one)")


def _serve(show: Callable[..., None], options: argparse.Namespace) -> int:
    local = _is_local(options.host)
    if not local and not options.allow_remote:
        raise ValueError(
            f"{options.host} can be reached from other machines; say --allow-remote if that is what you want"
        )
    if options.enrol and not options.gallery:
        raise ValueError("--enrol: expected a gallery to enrol people in, by --gallery FOLDER")
    from ..serve import make_app  # first: it says what to install

    import uvicorn  # isort: skip

    from ..recognition.shipped import load

    token = None if local else _token(options.token or os.environ.get("XCOS_TOKEN"))
    model, gallery = load(options.model, whole=options.whole), None
    if options.gallery:
        from ..gallery import Gallery

        gallery = Gallery(options.gallery, model=model, create=options.enrol)
    app = make_app(model, token=token, gallery=gallery, enrol=options.enrol, **({} if local else {"hosts": None}))
    with _listen(options.host, options.port) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        page = "search.html" if gallery is not None else ""
        query = f"?token={token}" if token else ""
        address = f"http://{shown}:{port}/{page}{query}"
        show(options, {"address": address}, f"xcos: {address}   (Ctrl-C ends it)")
        sys.stdout.flush()
        # No access log: nothing about pictures, and no token, is written anywhere.
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=15)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    return 0


def _token(given: str | None) -> str:
    if given is None:
        return secrets.token_urlsafe(24)
    if not re.fullmatch(r"[\w-]{16,}", given, re.ASCII):
        raise ValueError("the token must have at least 16 characters, letters, digits, - and _ alone")
    return given


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ValueError(f"cannot listen on {host}, port {port}: {error}") from None
