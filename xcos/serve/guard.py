"""Who may ask, and what a browser may do with the answers. Plain ASGI, around the whole application."""

from __future__ import annotations

import hmac
import json
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",  # the first address may hold the token
    "X-Content-Type-Options": "nosniff",
}
_COOKIE = "xcos_token"


class Guard:
    """Lets a request through when it names this server, comes from its own page or a program, and has the token."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] | None, token: str | None) -> None:
        self.app, self.token = app, token
        self.hosts = None if hosts is None else tuple(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        query = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0] if self.token else ""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                if query and query == self.token:
                    answer.append("Set-Cookie", f"{_COOKIE}={query}; HttpOnly; SameSite=Strict; Path=/")
            await send(message)

        refusal = self._refusal(headers, query)
        if refusal:
            status, sentence = refusal
            body = json.dumps({"error": sentence}).encode()
            fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send_guarded({"type": "http.response.start", "status": status, "headers": fields})
            await send_guarded({"type": "http.response.body", "body": body})
        else:
            await self.app(scope, receive, send_guarded)

    def _refusal(self, headers: Headers, query: str) -> tuple[int, str] | None:
        host = headers.get("host", "").lower()  # names of machines know no case
        if self.hosts is not None and _name(host) not in self.hosts:
            return 421, f"this server answers to {', '.join(self.hosts)}; start it with --allow-remote for more"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            return 403, "pages of other sites may not ask this server"
        if self.token is None:
            return None
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        offered = (query, bearer.strip() if scheme.lower() == "bearer" else "", _cookie(headers))
        if not any(hmac.compare_digest(one.encode(), self.token.encode()) for one in offered):
            return 401, "the token is missing or wrong: use the whole address that `xcos serve` printed"
        return None


def _name(host: str) -> str:
    """The host without its port, and without the dot that ends a full name; [::1] keeps its brackets."""
    return (host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host).removesuffix(".")


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
