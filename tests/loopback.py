"""Servers on loopback that answer every request with one thing, as no DICOMweb server would."""

from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

BOUNDARY = "x"
PARTS = {"Content_Type": f"multipart/related; type=application/dicom; boundary={BOUNDARY}"}
JSON = {"Content_Type": "application/dicom+json"}


class Strange(BaseHTTPRequestHandler):
    """Answers every request that calls the server by its name with what the server was given."""

    def do_GET(self):
        status, headers, body = self.server.answer
        if self.headers["Host"] != f"127.0.0.1:{self.server.server_port}":
            status, body = 421, b""  # as a host of many names would: RFC 9110 7.4
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            for piece in [body] if isinstance(body, bytes) else body():
                self.wfile.write(piece)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def answering(status=200, body=b"", **headers):
    """Serve one answer to everything on loopback; yields the root."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    server.answer = (status, named, body)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_parts(*parts, end=b"--\r\n", boundary=BOUNDARY):
    """Put parts together as a multipart answer does."""
    line = f"--{boundary}".encode()
    head = line + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return b"\r\n".join([head + part for part in parts] + [line]) + end
