"""Serve the built book on this machine, compressed as a real host would.

`python tools/serve.py _build/html [--port 8000]`
"""

import argparse
import gzip
import io
from functools import lru_cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

COMPRESSIBLE = {".html", ".js", ".css", ".svg", ".json", ".ipynb", ".txt", ".xml", ".md"}


@lru_cache(maxsize=256)
def compressed(path: Path, changed: int) -> bytes:
    """The file, compressed; `changed`, its time of change, keeps the cache fresh."""
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder, with gzip for text and a day's caching for what never changes."""

    protocol_version = "HTTP/1.1"

    def send_head(self) -> BinaryIO | None:
        """Answer with the compressed file if there is one, else as the standard library does."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() and self.path.endswith("/") else path
        accepted = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (accepted and path.is_file() and path.suffix in COMPRESSIBLE):
            return super().send_head()
        body = compressed(path, path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def end_headers(self) -> None:
        """Let the browser keep scripts, styles and fonts, but ask again for pages."""
        static = "/_static/" in self.path
        self.send_header("Cache-Control", "max-age=86400" if static else "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of `folder` on the loopback interface; port 0 takes a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    with server(arguments.folder, arguments.port) as httpd:
        print(f"The book is at http://127.0.0.1:{httpd.server_port}/ (Ctrl-C to stop)", flush=True)
        try:
            httpd.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
