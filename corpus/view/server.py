"""The viewer's server: this machine only, a token, no writing but labels, no script but its own."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from importlib import resources
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from corpus.errors import ConfigError, DerlemError
from corpus.view import document, pages
from corpus.view.changes import changes_page
from corpus.view.labels import LABELS, REASONS, Label
from corpus.view.pages import Viewer
from corpus.view.questions import Selection
from corpus.view.records import rejected_page, step_page
from corpus.view.what_if import what_if_page

COOKIE = "derlem-view"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""Of a crawled page: it may show itself, and ask for nothing."""
_ACTIVE = re.compile(
    r"<(?=/?(?:link|base|iframe|object|embed|frame|portal)\b)|<(?=meta\b[^>]*http-equiv)", re.I
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
}


def application(viewer: Viewer, token: str) -> Starlette:
    """Return the application; every request needs the token, in the URL first and then in a cookie."""

    def page(fill: Callable[[Request], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return HTMLResponse(fill(request))
            except DerlemError as error:
                return HTMLResponse(pages.message_page(viewer, "Not there", str(error)), status_code=404)

        return answer

    def chosen(request: Request) -> Selection:
        return Selection.of(request.query_params)

    def document_page(request: Request) -> str:
        whole = request.query_params.get("whole") == "1"
        return pages.document_page(viewer, request.path_params["n"], chosen(request), whole)

    def number(name: str, request: Request) -> int:
        text = request.query_params.get(name, "")
        return int(text) if re.fullmatch(r"\d{1,15}", text) else 0

    def rejected(request: Request) -> str:
        return rejected_page(viewer, request.query_params.get("cause", ""), number("start", request))

    def groups(name: str) -> Callable[[Request], str]:
        def fill(request: Request) -> str:
            limit = request.query_params.get("limit", "")
            number = min(int(limit), 100_000) if re.fullmatch(r"\d{1,9}", limit) else pages.GROUPS
            return pages.groups_page(viewer, name, request.query_params.get("order", "texts"), number)

        return fill

    def crawled(request: Request) -> Response:
        try:
            text = document.crawled(viewer.questions.texts, request.path_params["n"])
        except (DerlemError, IndexError) as error:
            text = pages.message_page(viewer, "No page", str(error))
        quiet = _ACTIVE.sub("<x-", text)  # the policy forbids them already; a browser may still look up names
        return HTMLResponse(quiet, headers={"Content-Security-Policy": PAGE_POLICY})

    async def label(request: Request) -> Response:
        body = parse_qs((await request.body()).decode("utf-8", "replace"))
        given, _, reason = body.get("label", [""])[0].partition(":")
        if given not in LABELS or (reason and reason not in REASONS):
            raise HTTPException(400, "expected label=good or label=bad:REASON")
        following = await run_in_threadpool(
            _keep, viewer, request.path_params["n"], given, reason, chosen(request)
        )
        return RedirectResponse(following, status_code=303)

    def static(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        media = {"style.css": "text/css", "keys.js": "text/javascript"}[name]
        return Response(asset(name), media_type=media)

    routes = [
        Route("/", page(lambda request: pages.funnel_page(viewer))),
        Route("/documents", page(lambda request: pages.documents_page(viewer, chosen(request)))),
        Route("/document/{n:int}", page(document_page)),
        Route("/page/{n:int}", crawled),
        Route("/rejected", page(rejected)),
        Route("/hosts", page(groups("host"))),
        Route("/sources", page(groups("source"))),
        Route("/languages", page(groups("language"))),
        Route("/what-if", page(lambda request: what_if_page(viewer, request.query_params))),
        Route(
            "/tokens",
            page(lambda request: pages.tokens_page(viewer, request.query_params.get("language", ""))),
        ),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        Route("/style.css", static),
        Route("/keys.js", static),
    ]
    if viewer.changes is not None:
        routes.append(Route("/changes", page(lambda request: changes_page(viewer))))
    if viewer.steps is not None:
        step = partial(number, "step")
        routes.append(Route("/steps", page(lambda request: step_page(viewer, step(request)))))
    if viewer.labels is not None:
        routes += [
            Route("/labels", page(lambda request: pages.labels_page(viewer))),
            Route("/label/{n:int}", label, methods=["POST"]),
        ]
    # A page of another site that makes its name point here is refused by the name.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[hosts, Middleware(_Guard, token=token)])


def _keep(viewer: Viewer, number: int, given: str, reason: str, chosen: Selection) -> str:
    """Keep a label, and return the address of the next document."""
    assert viewer.labels is not None
    found = document.read(viewer.questions.texts, number)
    row = found.row
    viewer.labels.add(Label(row["id"], given, reason, found.rule, row["url"], row["language"], row["text"]))
    following = viewer.questions.beside(chosen, number, 1)
    return f"/document/{following}?{chosen.query()}" if following is not None else "/labels"


def asset(name: str) -> bytes:
    """Return the style sheet or the script."""
    return (resources.files("corpus.view") / "templates" / name).read_bytes()


class _Guard:
    """Lets requests with the token pass, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer: ASGIApp = self._app
        if secrets.compare_digest(request.query_params.get("token", "").encode(), self._token.encode()):
            rest = request.url.remove_query_params("token")
            answer = RedirectResponse(f"{rest.path}?{rest.query}".rstrip("?"), status_code=303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        elif not secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self._token.encode()):
            answer = Response("Open the address that `derlem view` printed: it holds a token.", 403)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await answer(scope, receive, with_headers)


def serve(viewer: Viewer, port: int, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C on 127.0.0.1; `ready` is called with the address. Port 0 takes any that is free."""
    import socket

    import uvicorn

    token = secrets.token_urlsafe(24)
    with socket.socket() as listening:
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"--port {port}: {error.strerror}; name another, or none to take a free one"
            ) from None
        listening.listen()  # who opens the address at once is answered a moment later
        ready(f"http://127.0.0.1:{listening.getsockname()[1]}/?token={token}")
        config = uvicorn.Config(
            application(viewer, token),
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[listening])
