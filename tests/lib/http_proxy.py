"""A forward proxy, as companies put one between their machines and the world.

    with HttpProxy({"store.invalid": "127.0.0.1"}) as proxy:
        proxy.url      for http_proxy and https_proxy
        proxy.log      "CONNECT store.invalid:9000", "GET http://store.invalid:9000/bucket/key?x" ... in their order

It alone knows where the names lie, so what arrived went through it. One request per connection, since that is allowed
and simple, except for CONNECT, which passes bytes both ways until one end closes.
"""

import base64
import select
import socket
import socketserver
import ssl
import threading
import urllib.parse

CHUNK = 65536


class HttpProxy:
    def __init__(self, hosts, login=None, tls=None):
        """login: "user:password" to ask for. tls: (certificate, key): spoken with the proxy itself. `refusal`, a status
        line, may be set: then nobody gets any further."""
        self.hosts, self.login, self.log, self.lock = hosts, login, [], threading.Lock()
        self.refusal = None
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def setup(self):
                if tls:
                    self.request = proxy.context.wrap_socket(self.request, server_side=True)
                super().setup()

            def handle(self):
                proxy.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, *_):  # pylint: disable=arguments-differ
                pass  # an end that went away is told by the test's own end

        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.scheme = "https" if tls else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, handler):
        line = handler.rfile.readline().decode().strip()
        fields = []
        while (field := handler.rfile.readline().strip()):
            fields.append(field.split(b":", 1))
        method, target, _ = line.split(" ")
        with self.lock:
            self.log.append(f"{method} {target}")
        headers = {name.lower(): value.strip() for name, value in fields}
        wanted = b"Basic " + base64.b64encode((self.login or "").encode())
        is_known = not self.login or headers.get(b"proxy-authorization") == wanted
        if self.refusal or not is_known:
            line = self.refusal or "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\""
            handler.wfile.write(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        url = urllib.parse.urlsplit(target if method != "CONNECT" else f"//{target}")
        with socket.create_connection((self.hosts.get(url.hostname, url.hostname), url.port)) as server:
            if method == "CONNECT":
                handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                kept = [b": ".join((n, v.strip())) for n, v in fields
                        if not n.lower().startswith(b"proxy-") and n.lower() != b"connection"]
                path = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
                server.sendall(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *kept, b"Connection: close", b"", b""]))
                left = int(headers.get(b"content-length", 0))
                while left > 0 and (data := handler.rfile.read1(min(left, CHUNK))):
                    server.sendall(data)
                    left -= len(data)
            self.pass_bytes(handler, server)

    @staticmethod
    def pass_bytes(handler, server):
        """Until one end closes."""
        ends = {handler.request: server, server: handler.request}
        while True:
            is_pending = isinstance(handler.request, ssl.SSLSocket) and handler.request.pending()
            ready = [handler.request] if is_pending else select.select(list(ends), [], [])[0]
            for end in ready:
                data = end.recv(CHUNK)
                if not data:
                    return
                ends[end].sendall(data)
