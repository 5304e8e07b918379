"""One HTTP request with all limits: the result is an answer or a failure, never an exception.

Politeness, redirects and retries are the caller's. A response is limited in time (`connect_s`, `idle_s`,
`total_s`) and in size: header, body as sent, decompressed body.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from corpus.crawl.config import Crawl
from corpus.crawl.fetching.connection import NOBODY, PEER, Connector
from corpus.crawl.fetching.failure import Kind, UrlError, explain, has_status
from corpus.crawl.fetching.network import Guard
from corpus.crawl.fetching.response import Truncated
from corpus.web.http import BodyError, Response, charset_of, decode_body
from corpus.web.warc import digest_of

_MIB = 1 << 20
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,text/plain;q=0.8,*/*;q=0.5"
_LANGUAGES = {"tur": "tr-TR,tr;q=0.9,en;q=0.5,*;q=0.3"}
_VISIBLE = re.compile(r"[!-~]+")
_PRINTABLE = re.compile(r"[ -~]*")
_COMMON = frozenset(("", "identity", "gzip", "x-gzip", "deflate"))
_SINGLE = frozenset(  # fields of which the first counts; the values of others are joined
    (
        "content-type",
        "content-length",
        "date",
        "etag",
        "expires",
        "last-modified",
        "location",
        "refresh",
        "retry-after",
    )
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's response.

    `body` is as sent except for the chunked framing and rare encodings (`stays_packed`); `content` is the
    decompressed body, empty if that failed for a status other than 2xx. `request` is the request byte for
    byte. `tls` is protocol and cipher, such as ("tls/1.3", "TLS_AES_256_GCM_SHA384"), or None. `digest` is
    that of `body`, in the form of WARC-Payload-Digest.

    `truncated` has the values of WARC-Truncated: "length" if the body was cut at the limit, "time" if the
    server stopped sending or took too long, "disconnect" if the connection ended before the body did,
    "unspecified" if the body was not wanted, its chunks were malformed or its Content-Length was too small,
    else "".
    """

    url: str
    status: int
    reason: str
    version: str
    raw_headers: tuple[tuple[bytes, bytes], ...]
    headers: Mapping[str, str]
    body: bytes
    content: bytes
    digest: str
    truncated: Truncated
    request: bytes
    address: str
    tls: tuple[str, str] | None
    started: datetime
    seconds: float

    @property
    def media(self) -> str:
        """The media type in lower case, without parameters; "" if the server declares none."""
        return self.headers.get("content-type", "").split(";")[0].split(",")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset that the server declares."""
        return charset_of(self.headers.get("content-type", ""))

    def values(self, name: str) -> list[str]:
        """Return the values of a field (name in lower case), one for each time it was sent."""
        wanted = name.encode()
        return [_text(value) for key, value in self.raw_headers if key.lower() == wanted]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer: a stable kind and what was found; `passing` is whether a later try may succeed.

    `answered` is whether the server had sent a status: it is up, even if the response failed.
    """

    url: str
    kind: Kind
    detail: str
    passing: bool
    address: str
    started: datetime
    seconds: float
    answered: bool = False


Wanted = Callable[[int, Mapping[str, str]], bool]
"""Returns, given status and header fields (lower-case names), whether a body should be downloaded."""


class Fetcher:
    """Sends a limited number of concurrent requests, over at most one connection per host; an async context.

    No cookies, no credentials, no proxies, no redirects, and nothing is sent twice: aiohttp would repeat a
    request if a reused connection ended without a response, but the server may have seen it. Here that is a
    "reset", which the caller counts and may try again.
    """

    def __init__(self, settings: Crawl) -> None:
        self._limits = settings.limits
        self._header_limit = int(settings.limits.header_kb * 1024)
        self._body_limit = int(settings.limits.body_mb * _MIB)
        at_once = settings.politeness.address_requests
        self._requests = asyncio.Semaphore(settings.limits.requests_at_once)
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_once))
        self._guard = Guard(settings.network, settings.limits.connect_s)
        self._fields = {"User-Agent": settings.agent.header, "Accept": _ACCEPT}
        if settings.scope.language in _LANGUAGES:
            self._fields["Accept-Language"] = _LANGUAGES[settings.scope.language]
        # not brotli, see `stays_packed`
        self._fields["Accept-Encoding"] = "gzip, deflate"

    async def __aenter__(self) -> Self:
        connector = Connector(
            self._header_limit,
            resolver=self._guard,
            socket_factory=self._guard.open,
            use_dns_cache=False,  # the guard has its own
            ssl=_trust(),
            limit=0,
            limit_per_host=1,
        )
        limits = self._limits
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._fields,
            timeout=aiohttp.ClientTimeout(limits.total_s, limits.connect_s, limits.idle_s),
            auto_decompress=False,
            trust_env=False,
        )
        self._session._retry_connection = False
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()
        await self._guard.close()

    async def _turn(self, target: URL) -> asyncio.Semaphore:
        """Return the semaphore that limits requests to one IP address, to which many host names may lead."""
        async with self._requests:
            found = await self._guard.resolve(target.raw_host or "", target.port or 0)
        return self._turns[found[0]["host"]]

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        body_limit: int | None = None,
        wanted: Wanted | None = None,
    ) -> Answer | Failure:
        """Request a URL once.

        `headers` are conditions (If-None-Match, If-Modified-Since); a value that is not printable ASCII is
        dropped, because it was received from a server. `body_limit` is in bytes as sent and replaces
        `limits.body_mb`. If `wanted` returns False for a response's status and fields, its body is not read.
        The URL's credentials and fragment are neither sent nor stored.
        """
        started, clock = datetime.now(UTC), time.monotonic()
        fields = {name: value for name, value in (headers or {}).items() if _PRINTABLE.fullmatch(value)}
        PEER.set(NOBODY)
        answered = False
        try:
            target = _target(url)
            url = str(target)
            self._guard.check(target.raw_host or "")
            turn = await self._turn(target)
            async with turn, self._requests:  # waiting for a turn must not block requests to other addresses
                started, clock = datetime.now(UTC), time.monotonic()
                async with self._session.get(target, headers=fields, allow_redirects=False) as response:
                    answered = True
                    limit = body_limit or self._body_limit
                    body, content, truncated = await self._read(response, limit, wanted)
        except (aiohttp.ClientError, HttpProcessingError, BodyError, OSError, UrlError) as error:
            kind, detail, passing = explain(error)
            seconds = time.monotonic() - clock
            answered = answered or has_status(error)
            return Failure(url, kind, detail, passing, PEER.get().address, started, seconds, answered)
        assert response.version is not None
        return Answer(
            url=url,
            status=response.status,
            reason=response.reason or "",
            version=f"{response.version.major}.{response.version.minor}",
            raw_headers=response.raw_headers,
            headers=_joined(response.raw_headers),
            body=body,
            content=content,
            digest=digest_of(body),
            truncated=truncated,
            request=_request(target, response.request_info.headers),
            address=PEER.get().address,
            tls=PEER.get().tls,
            started=started,
            seconds=time.monotonic() - clock,
        )

    async def _read(
        self, response: aiohttp.ClientResponse, limit: int, wanted: Wanted | None
    ) -> tuple[bytes, bytes, Truncated]:
        """Return the body as stored, the decompressed body, and whether and why it is truncated.

        aiohttp closes the connection of a truncated body. A truncated page is kept; a page without any bytes
        is a failure, but for other statuses the status is sufficient.
        """
        if response.status == 101:
            raise HttpProcessingError(message="101 Switching Protocols, which was not asked for")
        fields = _joined(response.raw_headers)
        if not response.content.at_eof() and wanted is not None and not wanted(response.status, fields):
            return b"", b"", "unspecified"
        parts: list[bytes] = []
        size = 0
        is_page = 200 <= response.status < 300
        truncated: Truncated = ""
        try:
            while size <= limit and (data := await response.content.readany()):
                parts.append(data)
                size += len(data)
        except TimeoutError:
            if is_page and not size:
                raise
            truncated = "time"
        body = b"".join(parts)[:limit]
        truncated = "length" if size > limit else truncated or getattr(response.content, "cut", "")
        if truncated and is_page and not body:
            raise aiohttp.ClientPayloadError("the connection ended before the body started")
        longest = max(limit, self._body_limit)
        if truncated and truncated != "length" and _is_whole(response.status, fields, body, longest):
            truncated = ""
        content = _unpacked(response.status, fields, body, longest, bool(truncated))
        return body if stays_packed(fields) else content, content, truncated


def stays_packed(fields: Mapping[str, str]) -> bool:
    """Return whether a body is stored compressed as sent: in encodings that all readers of WARC files know.

    Brotli, which some servers send unasked, is not among them: warcio reads it only with an optional package.
    """
    codings = fields.get("content-encoding", "").split(",")
    return all(coding.strip().lower() in _COMMON for coding in codings)


def _target(url: str) -> URL:
    """Check a URL and remove its credentials and fragment; the rest stays as written."""
    if not _VISIBLE.fullmatch(url):
        raise UrlError("the URL has blanks, control characters or letters beyond ASCII")
    try:
        target = URL(url, encoded=True)
        if target.scheme not in ("http", "https") or not target.raw_host:
            raise UrlError("expected an absolute URL with http or https")
        if target.raw_user is not None or target.raw_password is not None:
            target = target.with_user(None)
        return target.with_fragment(None) if target.raw_fragment else target
    except ValueError as error:
        raise UrlError(str(error)) from None


def _trust() -> ssl.SSLContext:
    """Return Python's default context without the strict mode of 3.13, which is stricter than browsers."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _request(target: URL, fields: Mapping[str, str]) -> bytes:
    lines = [f"GET {target.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _joined(fields: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    """Return header fields by lower-case name, values in UTF-8 or else Latin-1, repeated fields joined."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), _text(raw_value)
        if name not in joined:
            joined[name] = value
        elif name not in _SINGLE:
            joined[name] = f"{joined[name]}, {value}"
    return joined


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _is_whole(status: int, fields: dict[str, str], body: bytes, limit: int) -> bool:
    """Return whether a compressed body is complete by its own format, whatever its Content-Length says."""
    if fields.get("content-encoding", "").strip().lower() in ("", "identity", "none") or not body:
        return False
    try:
        return _unpacked(status, fields, body, limit, False) not in (b"", body)
    except BodyError:
        return False


def _unpacked(status: int, fields: dict[str, str], body: bytes, limit: int, cut: bool) -> bytes:
    codings = fields.get("transfer-encoding", "").lower().split(",")
    # The framing is removed already: what looks like a chunk now is content.
    others = ",".join(coding for coding in codings if coding.strip() != "chunked")
    try:
        return decode_body(Response(status, {**fields, "transfer-encoding": others}, body), limit, cut=cut)
    except BodyError:
        if 200 <= status < 300:
            raise
        return b""
