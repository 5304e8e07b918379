"""Serves the sample site on this machine while a command runs: `python examples/serve.py COMMAND ...`.

`{port}` in the command's words is the server's port. The site is that of `pack.py`: its pages, with the
defects that a server can have; what can only go wrong in an archive is left out. Besides it has what a
crawler meets: a front page, robots.txt, a sitemap, a page withheld from language models, missing pages.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pack

SITE = "http://kitaplik.example"
WITHHELD = "/telif.html"  # named in the sitemap, and sent with an opt-out
CLOSED = "/gizli/"  # closed by robots.txt

ROBOTS = (
    f"User-agent: *\nDisallow: /ara\nDisallow: {CLOSED}\nCrawl-delay: 0.01\n\nSitemap: {SITE}/sitemap.xml\n"
)


def rows() -> dict[str, pack.Row]:
    """Return the rows of the site that a server can serve, by path; of two at one path the later counts."""
    served = [row for row in pack.crawl() if row.record == "response" and not row.damage]
    own = {row.url.removeprefix(pack.HOST): row for row in served if row.url.startswith(pack.HOST)}
    return {path: row for path, row in own.items() if path != "/robots.txt"}


def answers() -> dict[str, bytes]:
    """Return every answer of the site, as bytes, by path."""
    links = [(f"/{page}.html", pack.title(pack.read(page))) for page in pack.pages()]
    found = {
        path: pack.http(row, pack.body(row, pack.FIRST_FETCH, links)).replace(
            pack.HOST.encode(), SITE.encode()
        )
        for path, row in rows().items()
    }
    names = "".join(f'<li><a href="{path}">{path}</a></li>\n' for path in found)
    front = (
        f"<!DOCTYPE html><html lang=tr><title>Kitaplık</title><ul>{names}<li><a href={CLOSED}>Gizli</a></ul>"
    )
    urls = "".join(f"<url><loc>{SITE}{path}</loc></url>" for path in (*found, WITHHELD))
    sitemap = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
    withheld = found["/tr/asure.html"].replace(b"\r\n", b"\r\nX-Robots-Tag: noai\r\n", 1)
    return {
        **found,
        "/": _plain("text/html; charset=utf-8", front),
        "/robots.txt": _plain("text/plain", ROBOTS),
        "/sitemap.xml": _plain("application/xml", sitemap),
        WITHHELD: withheld,
    }


def _plain(kind: str, text: str) -> bytes:
    content = text.encode()
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
    )


class Handler(BaseHTTPRequestHandler):
    """Answers GET requests; an answer that the client has already is not sent again."""

    protocol_version = "HTTP/1.1"
    answers: dict[str, bytes]
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    def do_GET(self) -> None:
        answer = self.answers.get(self.path, self.missing)
        tag = f'"{hashlib.sha1(answer).hexdigest()}"'
        if self.headers["If-None-Match"] == tag:
            answer = b"HTTP/1.1 304 Not Modified\r\n\r\n"
        self.wfile.write(answer.replace(b"\r\n", f"\r\nETag: {tag}\r\n".encode(), 1))
        head, _, content = answer.partition(b"\r\n\r\n")
        # a length that is not true is only known for what it is when the connection ends
        self.close_connection = (
            f"Content-Length: {len(content)}".encode() not in head and b"chunked" not in head
        )

    def log_message(self, *words: object) -> None:
        """Keep the terminal for the command."""


@contextmanager
def serving() -> Iterator[int]:
    """Serve the site on a free port of this machine, which is given, until the block ends."""
    handler = type("SiteHandler", (Handler,), {"answers": answers()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def main() -> int:
    """Run the command line."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    with serving() as port:
        return subprocess.run([word.replace("{port}", str(port)) for word in sys.argv[1:]]).returncode


if __name__ == "__main__":
    sys.exit(main())
