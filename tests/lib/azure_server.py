"""Azure Blob Storage as its REST reference describes it, but stricter, with faults on order.

The emulator checks little of what the service does, so this server looks at every request: signature, SAS or
token, date, version, checksums, ids of blocks, conditions. What a request does wrong lands in `faults`, which
every test asserts to be empty. `rules` play the network and the service: each is called with the request and
answers None or what shall happen to it. Identity services (IMDS, App Service, an authority) live on the same port.

Sources: "Blob service REST API", "Authorize with Shared Key", "Specify conditional headers"; that a delete
ignores `If-None-Match: *` and that it drops blocks without a list is how the live service behaves.
"""

import base64
import email.utils
import hashlib
import hmac
import http.server
import json
import ssl
import struct
import tempfile
import threading
import time
import urllib.parse
import uuid
from xml.sax.saxutils import escape

from stores import certificate

ACCOUNT = "acct1"
KEY = b"0123456789abcdef0123456789abcdef"
CONTAINER = "backups"
RESOURCE = "https://storage.azure.com/"
CONNECTION_HEADERS = {"host", "accept", "connection", "content-length", "user-agent", "expect", "accept-encoding",
                      "content-type"}
KNOWN_HEADERS = {"x-ms-date", "x-ms-version", "authorization", "x-ms-blob-type", "x-ms-content-crc64",
                 "if-none-match", "if-unmodified-since", "range", "x-ms-range-get-content-md5",
                 "x-ms-blob-content-type"}

BOM = "\ufeff"  # before every XML document, as the service does it

# What may happen to a request, besides a Reply or a function of the good reply.
LOST, CUT, HALF, DAMAGE, STALL = "lost", "cut", "half", "damage", "stall"


class Reply:
    def __init__(self, status, code=None, body=b"", **headers):
        self.status, self.code, self.body = status, code, body
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path, _, self.raw_query = target.partition("?")
        pairs = [p.partition("=") for p in self.raw_query.split("&") if p]
        self.query = {urllib.parse.unquote(k): urllib.parse.unquote(v) for k, _, v in pairs}
        parts = urllib.parse.unquote(self.path).split("/", 3)
        self.account, self.container = parts[1], parts[2] if len(parts) > 2 else ""
        self.blob = parts[3] if len(parts) > 3 else ""
        self.comp = self.query.get("comp", "")
        self.at = time.monotonic()

    @property
    def name(self):
        """What the reference calls it."""
        if not self.blob:
            return "List Blobs"
        return {("PUT", ""): "Put Blob", ("PUT", "block"): "Put Block", ("PUT", "blocklist"): "Put Block List",
                ("GET", ""): "Get Blob", ("GET", "blocklist"): "Get Block List", ("HEAD", ""): "Get Blob Properties",
                ("DELETE", ""): "Delete Blob"}.get((self.method, self.comp), f"{self.method} {self.comp}")


def first(count, name, action):
    """A rule: the first `count` requests of that name get the action."""
    left, lock = [count], threading.Lock()

    def rule(request):
        with lock:
            if request.name != name or left[0] == 0:
                return None
            left[0] -= 1
            return action
    return rule


def crc64(data, table=[]):
    if not table:
        for i in range(256):
            for _ in range(8):
                i = (i >> 1) ^ (0x9a6c9329ac4bc9b5 if i & 1 else 0)
            table.append(i)
    crc = 0xffffffffffffffff
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 255]
    return base64.b64encode(struct.pack("<Q", crc ^ 0xffffffffffffffff)).decode()


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def shared_key(request, key):
    """The Authorization header a request must have."""
    def header(name):
        return request.headers.get(name, "")
    length = header("content-length")
    lines = [request.method, header("content-encoding"), header("content-language"), "" if length == "0" else length,
             header("content-md5"), header("content-type"), "", header("if-modified-since"), header("if-match"),
             header("if-none-match"), header("if-unmodified-since"), header("range")]
    lines += [f"{k}:{v.strip()}" for k, v in sorted(request.headers.items()) if k.startswith("x-ms-")]
    lines.append(f"/{ACCOUNT}{request.path}")
    lines += [f"{k.lower()}:{v}" for k, v in sorted(request.query.items())]
    mac = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).digest()
    return f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"


class Blob:
    def __init__(self, data, blocks, modified, is_folder=False):
        self.data, self.blocks, self.modified, self.is_folder = data, blocks, modified, is_folder


class AzureServer:
    """auth: "key", "sas" or "token". Serves from creation to close()."""

    def __init__(self, auth="key", is_tls=False, sas="sv=2020-10-02&sp=rcwl&sig=c2VjcmV0LXNpZw%3D%3D"):
        self.auth, self.sas, self.is_tls = auth, sas, is_tls
        self.lock = threading.RLock()
        self.blobs, self.uncommitted = {}, {}
        self.containers = {CONTAINER}
        self.faults, self.log, self.rules = [], [], []
        self.tokens, self.token_life, self.token_calls, self.identity_reply = [], 3600, [], None
        self.page_max, self.skew, self.may_delete = 5000, 0, True
        self.released = threading.Event()
        handler = type("Handler", (Handler,), {"owner": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        if is_tls:
            self.folder = tempfile.TemporaryDirectory(prefix="sluice-azure-")
            self.ca, key = (str(p) for p in certificate(self.folder.name))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, key)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self):
        return f"http{'s' if self.is_tls else ''}://127.0.0.1:{self.port}"

    @property
    def env(self):
        """Settings of a client with the right credentials."""
        text = f"AccountName={ACCOUNT};BlobEndpoint={self.url}/{ACCOUNT}"
        if self.auth == "key":
            text += f";AccountKey={base64.b64encode(KEY).decode()}"
        elif self.auth == "sas":
            text += f";SharedAccessSignature={self.sas}"
        env = {"AZURE_STORAGE_CONNECTION_STRING": text}
        if self.is_tls:
            env.update(SLUICE_STORE_CA=self.ca, AZURE_POD_IDENTITY_AUTHORITY_HOST=self.url)
        return env

    def count(self, name):
        with self.lock:
            return sum(r.name == name for r in self.log)

    def now(self):
        return time.time() + self.skew

    # ---- checks of every request ----

    def fault(self, request, text):
        self.faults.append(f"{request.name} {request.target}: {text}")

    def check_headers(self, request):
        for name in request.headers:
            if name not in KNOWN_HEADERS | CONNECTION_HEADERS:
                self.fault(request, f"unknown header {name}")
        if request.headers.get("x-ms-version") != "2020-10-02":
            self.fault(request, "version")
        date = request.headers.get("x-ms-date", "")
        try:
            seconds = email.utils.parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError):
            self.fault(request, f"date {date!r}")
            return Reply(400, "InvalidHeaderValue")
        if email.utils.formatdate(seconds, usegmt=True) != date:
            self.fault(request, f"date {date!r}")
        if abs(seconds - self.now()) > 900 and self.auth == "key":
            return Reply(403, "AuthenticationFailed")
        return None

    def check_credential(self, request):
        told = request.headers.get("authorization")
        if self.auth == "key":
            return None if told == shared_key(request, KEY) else Reply(403, "AuthenticationFailed")
        if self.auth == "sas":
            if told is not None:
                self.fault(request, "a SAS and an Authorization header")
            is_there = request.raw_query == self.sas or request.raw_query.endswith("&" + self.sas)
            return None if is_there else Reply(403, "AuthenticationFailed")
        if not self.is_tls:
            self.fault(request, "a token over http")
        good = [t for t, end in self.tokens[-1:] if end > time.monotonic()]
        return None if told in [f"Bearer {t}" for t in good] else Reply(401, "InvalidAuthenticationInfo")

    def check_body(self, request):
        told = request.headers.get("x-ms-content-crc64")
        if request.name in ("Put Blob", "Put Block"):
            if told is None:
                self.fault(request, "no checksum")
            elif told != crc64(request.body):
                return Reply(400, "Crc64Mismatch")
        return None

    def conditions(self, request):
        """Those of writes."""
        blob = self.blobs.get(request.blob)
        if request.method != "DELETE" and request.headers.get("if-none-match") == "*" and blob:
            return Reply(409, "BlobAlreadyExists")
        since = request.headers.get("if-unmodified-since")
        if since and blob and int(blob.modified) > email.utils.parsedate_to_datetime(since).timestamp():
            return Reply(412, "ConditionNotMet")
        return None

    # ---- operations ----

    def perform(self, request):
        if request.path.startswith("/metadata/") or request.path.startswith("/msi/") or "/oauth2/" in request.path:
            return self.identity(request)
        with self.lock:
            refused = self.check_headers(request) or self.check_credential(request) or self.check_body(request)
            if refused:
                return refused
            if request.account != ACCOUNT:
                return Reply(400, "InvalidUri")
            if request.container not in self.containers:
                return Reply(404, "ContainerNotFound")
            operation = {"List Blobs": self.list, "Put Blob": self.put_blob, "Put Block": self.put_block,
                         "Put Block List": self.put_list, "Get Blob": self.get_blob, "Get Block List": self.get_list,
                         "Get Blob Properties": self.head, "Delete Blob": self.delete}.get(request.name)
            if operation is None:
                self.fault(request, "no such operation")
                return Reply(400, "InvalidQueryParameterValue")
            return operation(request)

    def put_blob(self, request):
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            self.fault(request, "no blob type")
        refused = self.conditions(request)
        if refused:
            return refused
        self.blobs[request.blob] = Blob(request.body, [], self.now())
        self.uncommitted.pop(request.blob, None)
        return Reply(201, x_ms_content_crc64=crc64(request.body))

    def put_block(self, request):
        block_id = request.query.get("blockid", "")
        try:
            raw = base64.b64decode(block_id, validate=True)
        except ValueError:
            raw = b""
        if not 1 <= len(raw) <= 64:
            return Reply(400, "InvalidQueryParameterValue")
        if not request.body:
            return Reply(400, "InvalidHeaderValue")
        blocks = self.uncommitted.setdefault(request.blob, {})
        if any(len(base64.b64decode(i)) != len(raw) for i in blocks):
            return Reply(400, "InvalidBlobOrBlock")
        blocks[block_id] = request.body
        return Reply(201, x_ms_content_crc64=crc64(request.body))

    def put_list(self, request):
        import xml.etree.ElementTree as tree
        refused = self.conditions(request)
        if refused:
            return refused
        blocks = self.uncommitted.get(request.blob, {})
        data, listed = b"", []
        for element in tree.fromstring(request.body):
            if element.tag != "Uncommitted" or element.text not in blocks:
                return Reply(400, "InvalidBlockList")
            data += blocks[element.text]
            listed.append((element.text, len(blocks[element.text])))
        if len(listed) > 50000:
            return Reply(400, "BlockListTooLong")
        self.blobs[request.blob] = Blob(data, listed, self.now())
        self.uncommitted.pop(request.blob, None)
        return Reply(201)

    def get_blob(self, request):
        blob = self.blobs.get(request.blob)
        if blob is None:
            return Reply(404, "BlobNotFound")
        told = request.headers.get("range")
        if told is None:
            return Reply(200, body=blob.data, **({} if blob.blocks else {"content_md5": md5(blob.data)}))
        begin, _, end = told.removeprefix("bytes=").partition("-")
        if int(begin) >= len(blob.data):
            return Reply(416, "InvalidRange")
        data = blob.data[int(begin):int(end) + 1]
        if request.headers.get("x-ms-range-get-content-md5") == "true":
            if int(end) + 1 - int(begin) > 4 << 20:
                return Reply(400, "OutOfRangeInput")
            return Reply(206, body=data, content_md5=md5(data))
        return Reply(206, body=data)

    def head(self, request):
        blob = self.blobs.get(request.blob)
        return Reply(404, "BlobNotFound") if blob is None else Reply(200, body=b"")

    def get_list(self, request):
        blob, blocks = self.blobs.get(request.blob), self.uncommitted.get(request.blob)
        if blob is None and blocks is None:
            return Reply(404, "BlobNotFound")
        kind = request.query.get("blocklisttype", "committed")

        def section(name, rows):
            inner = "".join(f"<Block><Name>{n}</Name><Size>{s}</Size></Block>" for n, s in rows)
            return f"<{name}>{inner}</{name}>"
        text = BOM + '<?xml version="1.0" encoding="utf-8"?><BlockList>'
        if kind in ("committed", "all"):
            text += section("CommittedBlocks", blob.blocks if blob else [])
        if kind in ("uncommitted", "all"):
            text += section("UncommittedBlocks", [(n, len(d)) for n, d in (blocks or {}).items()])
        return Reply(200, body=(text + "</BlockList>").encode())

    def delete(self, request):
        if not self.may_delete:
            return Reply(403, "AuthorizationPermissionMismatch")
        refused = self.conditions(request)
        if refused:
            return refused
        if request.blob not in self.blobs and request.blob not in self.uncommitted:
            return Reply(404, "BlobNotFound")
        self.blobs.pop(request.blob, None)
        self.uncommitted.pop(request.blob, None)
        return Reply(202)

    def list(self, request):
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter")
        names = {n: b for n, b in self.blobs.items()}
        if request.query.get("include") == "uncommittedblobs":
            names = {**{n: Blob(b"", [], 0) for n in self.uncommitted}, **names}
        rows = {}
        for name in sorted(n for n in names if n.startswith(prefix)):
            rest = name[len(prefix):]
            if delimiter and delimiter in rest:
                folder = prefix + rest[:rest.index(delimiter) + 1]
                rows[folder] = f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"
            else:
                kind = "<ResourceType>directory</ResourceType>" if names[name].is_folder else ""
                rows[name] = (f"<Blob><Name>{escape(name)}</Name><Properties><Content-Length>{len(names[name].data)}"
                              f"</Content-Length>{kind}</Properties></Blob>")
        marker = request.query.get("marker", "")
        rows = [(n, r) for n, r in sorted(rows.items()) if n >= marker]
        size = min(int(request.query.get("maxresults", "5000")), self.page_max)
        after = rows[size][0] if len(rows) > size else ""
        body = "".join(r for _, r in rows[:size])
        return Reply(200, body=f'{BOM}<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{body}</Blobs>'
                               f"<NextMarker>{escape(after)}</NextMarker></EnumerationResults>".encode())

    # ---- identities ----

    def identity(self, request):
        with self.lock:
            self.token_calls.append(request)
            if self.identity_reply is not None:
                return self.identity_reply(request)
            token = f"token-{len(self.tokens)}-{uuid.uuid4()}"
            self.tokens.append((token, time.monotonic() + self.token_life))
            return Reply(200, body=json.dumps({"access_token": token, "expires_in": str(self.token_life),
                                               "token_type": "Bearer"}).encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner = None  # the AzureServer

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (OSError, ssl.SSLError):
            pass  # the client went away, as some tests want it to

    def drop(self):
        self.close_connection = True
        self.connection.close()

    def answer(self):
        owner = self.owner
        length = int(self.headers.get("content-length", "0"))
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(self.command, self.path, headers, b"")
        action = next((a for a in (rule(request) for rule in list(owner.rules)) if a is not None), None)
        if action == HALF:
            self.rfile.read(length // 2)
            return self.drop()
        request.body = self.rfile.read(length)
        with owner.lock:
            owner.log.append(request)
        if action == CUT:
            return self.drop()
        if action == STALL:
            owner.released.wait(60)
            return self.drop()
        if action == DAMAGE:
            request.body = bytes([request.body[0] ^ 1]) + request.body[1:]
        reply = action if isinstance(action, Reply) else owner.perform(request)
        if action == LOST:
            return self.drop()
        if callable(action):
            reply = action(request, reply)
        return self.send(reply)

    def send(self, reply):
        body = reply.body
        if reply.code and self.command != "HEAD":
            body = f"<?xml version=\"1.0\"?><Error><Code>{reply.code}</Code></Error>".encode()
        self.send_response_only(reply.status)
        self.send_header("Date", email.utils.formatdate(self.owner.now(), usegmt=True))
        if reply.code:
            self.send_header("x-ms-error-code", reply.code)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer
