"""Archives drawn on the spot, and a web server on this machine that gives them away, more or less well."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keras_segen._downloads import Download


def tar_of(files, mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class Host:
    """A web server on this machine. `breaks` says after how many bytes of the next answers the line goes dead."""

    def __init__(self):
        self.files, self.breaks, self.asked, self.ranges = {}, [], [], True
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host.asked.append((self.path, self.headers["Range"]))
                content = host.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                first = int((self.headers["Range"] or "bytes=0-")[6:-1]) if host.ranges else 0
                if first and first >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206 if first else 200)
                self.send_header("Content-Length", str(len(content) - first))
                self.end_headers()
                self.wfile.write(content[first:][: host.breaks.pop(0) if host.breaks else None])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def archive(self, content, *paths, name="kit.tar"):
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.files |= {path: content for path in paths if path not in self.files and path != "/gone"}
        return Download(name, hashlib.sha256(content).hexdigest(), tuple(address + path for path in paths))
