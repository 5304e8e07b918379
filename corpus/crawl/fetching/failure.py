"""The kinds of failure of a request, and the kind of an exception."""

from __future__ import annotations

import ssl
from typing import Any, Literal, get_args

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from corpus.crawl.fetching.network import Refused, Unresolved
from corpus.crawl.fetching.response import HeaderTooLongError, Message
from corpus.errors import Signal
from corpus.web.http import BodyError

Kind = Literal[
    "url",
    "dns",
    "network.refused",
    "connect",
    "tls",
    "timeout",
    "reset",
    "protocol",
    "oversized",
    "bomb",
    "encoding",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""How a request can fail.

    url              not an absolute http(s) URL of visible ASCII characters
    dns              the host has no IP address; temporary if the name server failed or did not answer
    network.refused  none of the host's addresses is in a network that may be reached
    connect          the connection was refused, or there is no route; temporary
    tls              no handshake: certificate not valid, not trusted or for another name, or no common cipher
    timeout          one of the three time limits was exceeded; temporary
    reset            the connection ended before the response did; temporary
    protocol         the response is not HTTP/1
    oversized        the header exceeds the limit of bytes or fields
    bomb             the body decompresses to more than the limit
    encoding         the body is corrupt, or in an encoding that was not offered
"""


class UrlError(Signal, ValueError):
    """A URL that cannot be fetched."""


def explain(error: Exception) -> tuple[Kind, str, bool]:
    """Return why a request failed: kind, what was found, and whether the failure may be temporary."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, Unresolved):
        return "dns", _brief(inner), inner.passing
    kind = _kind(inner, error)
    return kind, _brief(inner), kind in ("connect", "timeout", "reset")


def _kind(inner: Exception, error: Exception) -> Kind:
    if isinstance(inner, Refused):
        return "network.refused"
    if isinstance(inner, (UrlError, aiohttp.InvalidURL)):
        return "url"
    if isinstance(inner, BodyError):
        return "bomb" if inner.cause == "oversized" else "encoding"
    if isinstance(inner, TimeoutError):
        return "timeout"
    if isinstance(inner, ssl.SSLError) and isinstance(error, aiohttp.ClientConnectorError):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect"
    causes = list(_causes(error))
    if any(isinstance(cause, HeaderTooLongError) for cause in causes):
        return "oversized"
    return "protocol" if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)) else "reset"


def has_status(error: Exception) -> bool:
    """Return whether a response had started with a status line before it failed."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, Message)
    return isinstance(error, aiohttp.ClientResponseError) and error.status >= 100


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__


def _brief(error: Exception) -> str:
    text = " ".join((str(error) or type(error).__name__).split())
    return text.encode("utf-8", "backslashreplace").decode()[:300]
