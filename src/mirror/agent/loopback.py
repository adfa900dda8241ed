"""A simple index on the sandbox's own loopback; every GET goes through the wire to the window."""

from __future__ import annotations

import http.server
import threading

from .wire import Wire

LONGEST_PATH = 2048
"""The tool ends a sandbox that asks for a longer one: this is for clients that do not know."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def start(wire: Wire) -> str:
    """Listen on a free port of 127.0.0.1; the index URL for pip and uv."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if len(path.encode()) > LONGEST_PATH:
                self.send_error(414)
                return
            status, content_type, length, body = wire.get(path)
            try:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                for chunk in body:
                    length -= len(chunk)
                    self.wfile.write(chunk)
                if length:  # cut short behind the window: only closing tells the client
                    self.close_connection = True
            except OSError:
                self.close_connection = True
                for _ in body:  # the client went away, but the stream has to be read to its end
                    pass

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the tool sees every request anyway."""

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/simple/"
