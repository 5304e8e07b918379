"""Access to Common Crawl's files on a server or in a folder: whole, by range or as a stream, with retries."""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, SSLError

from corpus import files
from corpus.commoncrawl.config import Access
from corpus.errors import ConfigError, ServerError, Signal
from corpus.web.retry import PassingError, Retry, retry_after

_PIECE = 1 << 16
_BLOCK = 8 << 20  # bytes of one read if a file system, not a server, streams a file
_WHOLE_LIMIT = 1 << 30  # far above the size of lists of files and pages of the CDX API
_WHOLES = 3  # whole files instead of ranges, after which a server is assumed not to support ranges
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_S3_CODE = re.compile(r"<Code>(\w+)</Code>")  # such as SlowDown
_PASSING = frozenset({403, 408, 425, 429})  # and every 5xx; data.commoncrawl.org sends 403 for "too fast"


class MissingError(Signal):
    """The file does not exist; `detail` is the server's message."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(f"{what}: not found")
        self.detail = detail


class BeyondEndError(Signal):
    """The file ends before the requested range starts."""


@dataclass(frozen=True, slots=True)
class Body:
    """The rest of a file from `start` on; `version` identifies its content, "" if the server does not."""

    start: int
    total: int
    version: str
    pieces: Iterator[bytes]


class Store(Protocol):
    """A place with Common Crawl's files by their paths.

    Every method raises MissingError if the file does not exist, and ServerError if the place gives up or was
    closed. Methods may be called by several threads; `close` ends the work of all of them.
    """

    base: str
    retry: Retry
    tally: Tally

    def whole(self, path: str) -> bytes:
        """Return a whole file, or a service's whole response."""

    def range(self, path: str, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on, fewer at the file's end; BeyondEndError if there are
        none."""

    def tail(self, path: str, length: int) -> tuple[bytes, int]:
        """Return a file's last `length` bytes, and its size."""

    def open(self, path: str, start: int, version: str) -> AbstractContextManager[Body]:
        """Stream a file from `start` on, or from 0 if its content is no longer the one named `version`.

        One try: raises PassingError, here or between two pieces, after which the caller may resume. A caller
        that resumes must check that the version is still the same.
        """

    def close(self) -> None:
        """End all connections and waiting."""


class Tally:
    """The number of answered requests, and the bytes of their bodies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0

    def add(self, size: int) -> None:
        with self._lock:
            self.requests += 1
            self.bytes += size


def opened(access: Access, base: str) -> closing[Store]:
    """Open the place that `base` names; ConfigError if its kind needs a package that is not installed."""
    if base.startswith(("http://", "https://")):
        return closing(HttpStore(access, base))
    return closing(FileStore(access, base))


class HttpStore:
    """A place on the web, with at most `connections` concurrent requests."""

    def __init__(self, access: Access, base: str) -> None:
        self.base = base
        self.retry = Retry(access)
        self.tally = Tally()
        self._ranges = False  # whether the server has ever returned a range
        self._wholes = 0  # how often it returned a whole file instead
        self._headers = {"User-Agent": access.user_agent, "Accept-Encoding": "identity"}
        # urllib3 handles only redirects: it does not know which failures are temporary nor how long to wait.
        retries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=3)
        settings: dict[str, Any] = {
            "maxsize": access.connections,
            "block": True,
            "retries": retries,
            "timeout": urllib3.Timeout(connect=access.connect_s, read=access.idle_s),
        }
        proxy = _proxy(base)
        self._pool = urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)

    def whole(self, path: str) -> bytes:
        def once() -> bytes:
            with self._answer(path, {}) as answer:
                body = bytearray()
                for piece in _pieces(answer):
                    body += piece
                    if len(body) > _WHOLE_LIMIT:
                        raise ServerError(f"{self._url(path)}: the response has over {_WHOLE_LIMIT:,} bytes")
                self.tally.add(len(body))
                return bytes(body)

        return self.retry.attempt(self._url(path), once)

    def range(self, path: str, start: int, length: int) -> bytes:
        return self._ranged(path, f"bytes={start}-{start + length - 1}", length, start)[0]

    def tail(self, path: str, length: int) -> tuple[bytes, int]:
        return self._ranged(path, f"bytes=-{length}", length, None)

    @contextmanager
    def open(self, path: str, start: int, version: str) -> Iterator[Body]:
        headers = {"Range": f"bytes={start}-", "If-Range": version} if start else {}
        with self._answer(path, headers) as answer:
            found = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            first, last, total = 0, -1, int(answer.headers.get("Content-Length") or 0)
            if answer.status == HTTPStatus.PARTIAL_CONTENT:
                first, last, total = _span(answer)
                if first != start or last != total - 1 or (version and found and found != version):
                    raise PassingError(
                        f"requested the bytes from {start} on, got {first} to {last} of {total}"
                    )
            # Equal weak ETags do not mean equal bytes.
            yield Body(first, total, "" if found.startswith("W/") else found, _pieces(answer))

    def close(self) -> None:
        self.retry.close()
        self._pool.clear()

    def _ranged(self, path: str, field: str, length: int, start: int | None) -> tuple[bytes, int]:
        """Request a range until the response is that range, or the part of it that the file has."""

        def once() -> tuple[bytes, int]:
            with self._answer(path, {"Range": field}) as answer:
                if answer.status != HTTPStatus.PARTIAL_CONTENT:
                    raise self._unranged(path, f"the server answers {answer.status} to {field}")
                self._ranges = True
                first, last, total = _span(answer)
                wanted = max(0, total - length) if start is None else start
                if first != wanted or last != min(total, wanted + length) - 1:
                    raise PassingError(f"requested {field}, got bytes {first}-{last}/{total}")
                body = b"".join(_pieces(answer))
                if len(body) != last - first + 1:
                    raise PassingError(f"requested {field}, got {len(body)} bytes")
                self.tally.add(len(body))
                return body, total

        return self.retry.attempt(self._url(path), once)

    def _unranged(self, path: str, said: str) -> Exception:
        """Return the error for a whole file instead of a range; repeated, it means that there are no
        ranges."""
        self._wholes += 1
        if self._ranges or self._wholes < _WHOLES:
            return PassingError(said)
        return ServerError(
            f"{self._url(path)}: {said}: it does not support byte ranges; for a local copy, name its folder "
            f"as the base"
        )

    def _url(self, path: str) -> str:
        name, mark, query = path.partition("?")
        return f"{self.base}/{quote(name, safe='/=+,:@%~')}{mark}{query}"

    @contextmanager
    def _answer(self, path: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send one request; yield a successful response, and raise the matching exception for all others."""
        url = self._url(path)
        answer: urllib3.BaseHTTPResponse | None = None
        try:
            answer = self._pool.request(
                "GET", url, headers={**self._headers, **headers}, preload_content=False, decode_content=False
            )
            _judge(answer, url)
            yield answer
        except LocationValueError as error:
            raise ConfigError(f"{url}: {error}") from None
        except HTTPError as error:
            reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            if isinstance(reason, SSLError):
                raise ServerError(f"{url}: the connection is not trusted: {reason}") from None
            raise PassingError(f"{type(reason).__name__}: {reason}", answered=answer is not None) from None
        finally:
            if answer is not None:
                answer.close()  # also closes a connection with unread bytes; others are released already
                answer.release_conn()


def _judge(answer: urllib3.BaseHTTPResponse, url: str) -> None:
    """Raise the error that a status other than a success means."""
    status = answer.status
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    said = answer.read(4 * _PIECE).decode("utf-8", "replace")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise MissingError(url, said)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise BeyondEndError(url)
    name = f"the server answers {status} {answer.reason or ''}".strip()
    if code := _S3_CODE.search(said):
        name += f" ({code[1]})"
    if status in _PASSING or status >= 500:
        told = retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC))
        raise PassingError(name, told or 0.0)
    raise ServerError(f"{url}: {name}: {' '.join(said.split())[:200]}")


def _pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    yield from answer.stream(_PIECE, decode_content=False)


def _span(answer: urllib3.BaseHTTPResponse) -> tuple[int, int, int]:
    """Return first byte, last byte and file length of Content-Range (RFC 9110, section 14.4)."""
    field = answer.headers.get("Content-Range", "")
    span = _SPAN.fullmatch(field.strip())
    if span is None or span[3] == "*":
        raise PassingError(f"a partial response with Content-Range {field!r}")
    return int(span[1]), int(span[2]), int(span[3])


def _proxy(base: str) -> str | None:
    """Return the proxy of the environment for a URL (http_proxy, https_proxy, no_proxy)."""
    parts = urllib3.util.parse_url(base)
    if parts.host in (None, "localhost", "127.0.0.1", "[::1]") or proxy_bypass(parts.host):
        return None
    return getproxies().get(parts.scheme or "")


class FileStore:
    """A local folder, or any file system that fsspec supports."""

    def __init__(self, access: Access, base: str) -> None:
        self.base = base
        unlimited = {"requests_per_s": float("inf")} if files.is_local(base) else {}
        self.retry = Retry(access.model_copy(update=unlimited))
        self.tally = Tally()
        self._refusals = _refusals()
        try:
            self._fs, self._root = files.filesystem(base)
        except ImportError as error:
            extra = " (pip install 'derlem[s3]')" if base.startswith("s3://") else ""
            raise ConfigError(f"{base}: {error}{extra}") from None
        except ValueError as error:
            raise ConfigError(f"{base}: {error}") from None
        if files.is_local(base) and not self._fs.isdir(self._root):
            raise ConfigError(f"{base}: no such folder")

    def whole(self, path: str) -> bytes:
        return self._read(path, None, None)

    def range(self, path: str, start: int, length: int) -> bytes:
        body = self._read(path, start, start + length)
        if not body and length:
            raise BeyondEndError(files.join(self.base, path))
        return body

    def tail(self, path: str, length: int) -> tuple[bytes, int]:
        total = int(self._info(path)["size"])
        return self._read(path, max(0, total - length), total), total

    @contextmanager
    def open(self, path: str, start: int, version: str) -> Iterator[Body]:
        info = self._info(path)
        found = str(info.get("ETag") or info.get("md5Hash") or info.get("mtime") or "")
        first = start if version and found == version else 0
        total = int(info["size"])
        pieces = (self.range(path, at, min(_BLOCK, total - at)) for at in range(first, total, _BLOCK))
        yield Body(first, total, found, pieces)

    def close(self) -> None:
        self.retry.close()

    def _info(self, path: str) -> dict[str, Any]:
        info: dict[str, Any] = self._with_retries(path, self._fs.info)
        return info

    def _read(self, path: str, start: int | None, end: int | None) -> bytes:
        body: bytes = self._with_retries(path, partial(self._fs.cat_file, start=start, end=end))
        self.tally.add(len(body))
        return body

    def _with_retries(self, path: str, ask: Callable[[str], Any]) -> Any:
        target, where = files.join(self._root, path), files.join(self.base, path)

        def once() -> Any:
            try:
                return ask(target)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise MissingError(where) from None
            except self._refusals as error:
                raise ServerError(
                    f"{where}: may not be read: {error or 'no permission'}; s3://commoncrawl is open to "
                    f"users who are signed in to AWS, https://data.commoncrawl.org to everybody"
                ) from None
            except OSError as error:
                if error.errno == errno.EINVAL:  # s3fs raises it for status 416
                    raise BeyondEndError(where) from None
                raise PassingError(f"{type(error).__name__}: {error}") from None

        return self.retry.attempt(where, once)


def _refusals() -> tuple[type[Exception], ...]:
    """Return the exceptions that file systems raise for missing permission or credentials."""
    try:
        from botocore.exceptions import NoCredentialsError
    except ImportError:  # without the extra for s3
        return (PermissionError,)
    return (PermissionError, NoCredentialsError)
