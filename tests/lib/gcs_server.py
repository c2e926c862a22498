"""Cloud Storage's JSON API as its reference describes it, stricter than the emulators, with faults on order.

A token is asked for, sessions take bytes in order and keep multiples of 256 KiB, `bytes */N` asks and never ends an
upload that lacks bytes, conditions hold, checksums are compared. What a request does wrong lands in `faults`, which
tests assert to be empty. `rules` are called with each request and answer None, or what shall happen to it. The token
service of the accounts is on the same port.

Sources: "Resumable uploads", "Request preconditions", "Objects: insert", "OAuth 2.0 for server to server applications".
"""

import base64
import email.parser
import http.server
import json
import threading
import time
import urllib.parse
import uuid

BUCKET = "bucket"
CHUNK = 256 * 1024
# What may happen to a request besides (status, reason): it is done and not answered; or not even done; or only half
# of what it brings is kept; or one bit of the answer's body differs, or half of it is missing.
LOST, CUT, HALF, DAMAGE, SHORT = "lost", "cut", "half", "damage", "short"


def crc32c(data):
    import google_crc32c
    return base64.b64encode(google_crc32c.value(bytes(data)).to_bytes(4, "big")).decode()


class Session:
    def __init__(self, name, metadata):
        self.name, self.metadata, self.kept, self.done = name, metadata, bytearray(), None


class GcsServer:
    def __init__(self, verify=None):
        """verify(assertion) -> claims: checks the JWT of a service account; raises when it is wrong."""
        self.objects, self.sessions, self.faults, self.rules, self.seen = {}, {}, [], [], []
        self.tokens, self.verify, self.life = {}, verify, 3600
        self.lock = threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                server.handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = handle_one  # pylint: disable=invalid-name

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def fault(self, text):
        self.faults.append(text)
        return 400, {"error": {"code": 400, "message": text, "errors": [{"reason": "invalid"}]}}, {}

    # ---- one request ----

    def handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length", 0)))
        path, _, query = h.path.partition("?")
        args = dict(urllib.parse.parse_qsl(query))
        with self.lock:
            self.seen.append((h.command, path, args, h.headers.get("Content-Range")))
            order = next((o for o in (rule(h.command, path, args, h.headers) for rule in self.rules) if o), None)
            if order == CUT:
                h.close_connection = True
                h.connection.close()
                return
            if isinstance(order, tuple):
                status, reason = order
                reply = status, {"error": {"code": status, "message": "on order", "errors": [{"reason": reason}]}}, {}
            else:
                reply = self.answer(h, path, args, body[:len(body) // 2] if order == HALF else body, order == HALF)
        if order in (LOST, HALF):
            h.close_connection = True
            h.connection.close()
            return
        status, doc, headers = reply
        data = doc if isinstance(doc, bytes) else json.dumps(doc).encode() if doc is not None else b""
        if order == DAMAGE:
            data = bytes([data[0] ^ 1]) + data[1:]
        elif order == SHORT:
            data = data[:len(data) // 2]
        h.send_response_only(status)
        for name, value in headers.items():
            h.send_header(name, value)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data)

    def answer(self, h, path, args, body, is_half):
        if path == "/token":
            return self.give_token(dict(urllib.parse.parse_qsl(body.decode())))
        bearer = h.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(bearer, 0) < time.time():
            return 401, {"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}}, {}
        if path == f"/upload/storage/v1/b/{BUCKET}/o":
            return self.begin(h, args, body)
        if path.startswith("/session/"):
            return self.session(h, path.rpartition("/")[2], body, is_half)
        if path == f"/storage/v1/b/{BUCKET}/o":
            return self.list(args)
        prefix = f"/storage/v1/b/{BUCKET}/o/"
        if path.startswith(prefix):
            return self.object(h, urllib.parse.unquote(path.removeprefix(prefix)), args)
        return 404, {"error": {"code": 404, "message": "Not Found", "errors": [{"reason": "notFound"}]}}, {}

    def give_token(self, form):
        try:
            if form.get("grant_type", "").endswith("jwt-bearer"):
                self.verify(form["assertion"])
            elif form.get("refresh_token") != "refresh":
                raise ValueError("no refresh token")
        except Exception as error:  # pylint: disable=broad-except
            return 400, {"error": "invalid_grant", "error_description": str(error)}, {}
        token = f"ya29.{uuid.uuid4().hex}"
        self.tokens[token] = time.time() + self.life
        return 200, {"access_token": token, "expires_in": self.life, "token_type": "Bearer"}, {}

    # ---- objects ----

    def metadata(self, name):
        data, metadata = self.objects[name]
        return {"name": name, "size": str(len(data)), "crc32c": crc32c(data), "metadata": metadata}

    def store(self, name, data, metadata, claimed, args):
        if args.get("ifGenerationMatch") == "0" and name in self.objects:
            return 412, {"error": {"code": 412, "message": "Precondition Failed",
                                   "errors": [{"reason": "conditionNotMet"}]}}, {}
        if claimed is not None and claimed != crc32c(data):
            return self.fault(f"{name}: CRC32C {claimed} is claimed")
        self.objects[name] = bytes(data), metadata
        return 200, self.metadata(name), {}

    def begin(self, h, args, body):
        if args.get("uploadType") == "multipart":
            head = f"Content-Type: {h.headers['Content-Type']}\r\n\r\n".encode()
            parts = email.parser.BytesParser().parsebytes(head + body).get_payload()
            # The parser drops nothing of binary bytes, but reads them as text: take them by their boundary instead.
            boundary = b"--" + h.headers["Content-Type"].partition("boundary=")[2].encode()
            data = body.split(boundary)[2].partition(b"\r\n\r\n")[2][:-2]
            doc = json.loads(parts[0].get_payload())
            return self.store(doc["name"], data, doc.get("metadata", {}), doc.get("crc32c"), args)
        if args.get("uploadType") != "resumable" or args.get("ifGenerationMatch") != "0":
            return self.fault(f"an upload with {args}")
        doc = json.loads(body)
        if doc.get("name", args.get("name")) != args.get("name"):
            return self.fault(f"two names: {doc['name']}, {args.get('name')}")
        name = uuid.uuid4().hex
        self.sessions[name] = Session(args["name"], doc.get("metadata", {}))
        return 200, None, {"Location": f"{self.url}/session/{name}"}

    def session(self, h, name, body, is_half):
        s = self.sessions.get(name)
        if s is None:
            return 410, None, {}
        if h.command == "DELETE":
            del self.sessions[name]
            return 499, None, {}
        if s.done:
            return 200, self.metadata(s.name), {}
        span, _, total = h.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if span != "*":
            first, _, last = span.partition("-")
            if not is_half and int(last) - int(first) + 1 != len(body):
                return self.fault(f"{span} with {len(body)} bytes")
            if int(first) != len(s.kept):
                return self.fault(f"{span} of a session that has {len(s.kept)}")
            if total == "*" and (int(last) + 1) % CHUNK != 0:
                return self.fault(f"{span} is no multiple of 256 KiB and not the end")
            s.kept += body if total != "*" and not is_half else body[:len(body) // CHUNK * CHUNK]
        elif body:
            return self.fault("a question with bytes")
        if total != "*" and len(s.kept) == int(total):
            reply = self.store(s.name, s.kept, s.metadata, None, {"ifGenerationMatch": "0"})
            s.done = reply[0] == 200
            return reply
        return 308, None, {"Range": f"bytes=0-{len(s.kept) - 1}"} if s.kept else {}

    def object(self, h, name, args):
        if name not in self.objects:
            return 404, {"error": {"code": 404, "message": "No such object", "errors": [{"reason": "notFound"}]}}, {}
        if h.command == "DELETE":
            del self.objects[name]
            return 204, None, {}
        data = self.objects[name][0]
        if args.get("alt") != "media":
            return 200, self.metadata(name), {}
        headers = {"x-goog-hash": f"crc32c={crc32c(data)}"}
        span = h.headers.get("Range")
        if span is None:
            return 200, data, headers
        first, _, last = span.removeprefix("bytes=").partition("-")
        return 206, data[int(first):int(last) + 1], headers

    def list(self, args):
        prefix, delimiter = args.get("prefix", ""), args.get("delimiter")
        names = sorted(n for n in self.objects if n.startswith(prefix))
        if delimiter:
            folders = sorted({prefix + n[len(prefix):].partition(delimiter)[0] + delimiter
                              for n in names if delimiter in n[len(prefix):]})
            return 200, {"prefixes": folders}, {}
        start = int(args.get("pageToken", 0))
        page = names[start:start + min(int(args.get("maxResults", 1000)), 3)]  # short pages, as the service may
        more = {"nextPageToken": str(start + len(page))} if start + len(page) < len(names) else {}
        return 200, {"items": [{"name": n, "size": str(len(self.objects[n][0]))} for n in page], **more}, {}
