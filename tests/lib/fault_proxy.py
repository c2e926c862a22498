"""A way to an HTTP server that can be broken on order: a proxy between a client and the real thing.

    with FaultProxy(port_of_the_server) as proxy:
        proxy.rules.append(first(2, "UploadPart", Answer(503, retry_after=1)))
        ...the client speaks with proxy.port...
        proxy.log      every request with what happened to it

A rule is called with each Request and answers a fault or None; the first fault of a rule is what happens, else the
request passes. `is_down` refuses whoever comes, as an outage. What the client signs is not touched: host, path and
headers pass as they are. With is_http=False (TLS, say) a "request" is a whole connection, and the faults that need
HTTP (Answer, Lost, Edit) are not for it. All threads end with close().
"""

import dataclasses
import random
import select
import socket
import struct
import threading
import urllib.parse
from xml.sax.saxutils import escape

CHUNK = 65536


# ---- what may happen to a request ----

@dataclasses.dataclass(frozen=True)
class Hang:
    """Nothing more is read or answered until the client goes away."""


@dataclasses.dataclass(frozen=True)
class Reset:
    """The connection is reset before the server hears of the request."""


@dataclasses.dataclass(frozen=True)
class CutUp:
    """The connection is reset when so many bytes of the request's body (without HTTP: of all) have passed."""
    after: int


@dataclasses.dataclass(frozen=True)
class CutDown:
    """The server does what is asked; the connection ends when so many bytes of its answer have passed."""
    after: int


@dataclasses.dataclass(frozen=True)
class Slow:
    """Body and answer pass at this rate."""
    kb_per_s: float


@dataclasses.dataclass(frozen=True)
class Delay:
    """The server hears of the request later."""
    seconds: float


@dataclasses.dataclass(frozen=True)
class Lost:
    """The server does what is asked; its whole answer is swallowed and the connection ends."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """The proxy's own answer, after it took the whole request. is_done: the server did it all the same."""
    status: int
    body: bytes = b""
    headers: tuple = ()
    retry_after: int = None
    is_done: bool = False


@dataclasses.dataclass(frozen=True)
class Raw:
    """Bytes instead of an answer; the connection ends."""
    data: bytes


@dataclasses.dataclass(frozen=True)
class Edit:
    """The server's answer with other headers (value None: without it) or another body."""
    headers: tuple = ()
    body: bytes = None


def s3_error(code, message="made up"):
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message>'
            "<RequestId>0</RequestId></Error>").encode()


def s3_answer(status, code, **more):
    return Answer(status, s3_error(code), (("Content-Type", "application/xml"),), **more)


# ---- requests ----

def s3_name(request):
    """The operation, as the API reference of S3 calls it."""
    query, has_key = request.query, request.path.strip("/").count("/") > 0
    if request.method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    if request.method == "PUT":
        return "UploadPart" if "partNumber" in query else "PutObject"
    if request.method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    if request.method == "GET" and not has_key:
        return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
    return {"GET": "GetObject", "HEAD": "HeadObject"}.get(request.method, request.method)


class Request:
    """headers: names in lower case. outcome: the fault, then what the client got to hear."""

    def __init__(self, head, name_of):
        lines = head.decode("latin-1").split("\r\n")
        self.head = head
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        self.path, _, query = self.target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.name = name_of(self)
        self.length = int(self.headers.get("content-length", 0))
        self.fault, self.status = None, None

    def __repr__(self):
        return f"{self.name} {self.path} {self.query.get('partNumber', '')} {self.fault or ''} -> {self.status}"


class Connection(Request):
    """What a rule sees of a connection without HTTP."""

    def __init__(self, number):  # pylint: disable=super-init-not-called
        self.name, self.number, self.fault, self.status = "Connection", number, None, None
        self.method = self.path = self.target = ""
        self.query = self.headers = {}


# ---- rules ----

def first(count, name, fault, skip=0):
    """The first `count` requests of that name (None: any), after `skip` of them, get the fault. A fault may be a
    function of the request."""
    seen, lock = [0], threading.Lock()

    def rule(request):
        if name not in (None, request.name):
            return None
        with lock:
            seen[0] += 1
            is_meant = skip < seen[0] <= skip + count
        return (fault(request) if callable(fault) else fault) if is_meant else None
    return rule


def always(name, fault):
    return first(1 << 60, name, fault)


class Chaos:
    """Each request gets, with this chance, one of the faults. What happens depends on the seed and on the request
    (operation, path as `path_of` tells it, part, how often it was made) alone, not on the order of threads. `most`
    faults in all."""

    def __init__(self, seed, chance, faults, most=1 << 60, path_of=lambda path: path):
        self.seed, self.chance, self.faults, self.most, self.path_of = seed, chance, faults, most, path_of
        self.made, self.lock = {}, threading.Lock()

    def __call__(self, request):
        what = (request.name, self.path_of(request.path), request.query.get("partNumber"))
        with self.lock:
            count = self.made[what] = self.made.get(what, 0) + 1
            draw = random.Random(f"{self.seed}/{what}/{count}")
            if draw.random() >= self.chance or self.most <= 0:
                return None
            self.most -= 1
        fault = draw.choice(self.faults)
        return fault(request, draw) if callable(fault) else fault


# ---- the proxy ----

class Gone(Exception):
    """One of the two ends went away."""


class Pipe:
    """A socket with a buffer: lines, counts, ends."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def more(self):
        try:
            data = self.sock.recv(CHUNK)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.buffer += data

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        end = self.buffer.index(b"\r\n\r\n") + 4
        head, self.buffer = self.buffer[:end], self.buffer[end:]
        return head

    def take(self, most):
        if not self.buffer:
            self.more()
        data, self.buffer = self.buffer[:most], self.buffer[most:]
        return data

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def reset(self):
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes whoever reads from it
        except OSError:
            pass
        self.sock.close()


class FaultProxy:
    def __init__(self, port, host="127.0.0.1", name_of=s3_name, is_http=True):
        self.upstream, self.name_of, self.is_http = (host, port), name_of, is_http
        self.rules, self.log, self.lock = [], [], threading.Lock()
        self.is_down, self.closing = False, threading.Event()
        self.pipes, self.threads, self.connections = set(), [], 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()
        with self.lock:
            pipes, threads = list(self.pipes), list(self.threads)
        for pipe in pipes:
            pipe.close()
        for thread in threads:
            thread.join()

    def drop_all(self):
        """Resets the connections there are, as a server that restarts."""
        with self.lock:
            pipes = list(self.pipes)
        for pipe in pipes:
            pipe.reset()

    def count(self, name, fault=None):
        """Requests of that name; those that met this kind of fault."""
        with self.lock:
            return sum(r.name == name and (fault is None or isinstance(r.fault, fault)) for r in self.log)

    @property
    def faults(self):
        with self.lock:
            return [r.fault for r in self.log if r.fault is not None]

    def pipe(self, sock):
        pipe = Pipe(sock)
        with self.lock:
            self.pipes.add(pipe)
        return pipe

    def forget(self, pipe):
        pipe.close()
        with self.lock:
            self.pipes.discard(pipe)

    def accept(self):
        while not self.closing.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            client = self.pipe(sock)
            with self.lock:
                self.connections += 1
                self.threads = [t for t in self.threads if t.is_alive()]
                thread = threading.Thread(target=self.serve, args=(client, self.connections), daemon=True)
                self.threads.append(thread)
            thread.start()

    def serve(self, client, number):
        try:
            if self.is_down:
                client.reset()
            elif self.is_http:
                while self.exchange(client):
                    pass
            else:
                self.tunnel(client, number)
        except Gone:
            pass
        finally:
            self.forget(client)

    def decide(self, request):
        for rule in list(self.rules):
            request.fault = rule(request)
            if request.fault is not None:
                break
        with self.lock:
            self.log.append(request)
        return request.fault

    def open(self):
        try:
            return self.pipe(socket.create_connection(self.upstream))
        except OSError as error:
            raise Gone from error

    # ---- HTTP ----

    def exchange(self, client):
        """One request; False: the connection is over."""
        request = Request(client.head(), self.name_of)
        if self.is_down:
            client.reset()
            return False
        fault = self.decide(request)
        if isinstance(fault, Hang):
            self.hold(client)
            return False
        if isinstance(fault, Reset):
            client.reset()
            return False
        if isinstance(fault, (Answer, Raw)):
            return self.answer(client, request, fault)
        if isinstance(fault, Delay):
            self.closing.wait(fault.seconds)
        server = self.open()
        try:
            return self.forward(client, server, request, fault)
        finally:
            self.forget(server)

    def hold(self, client):
        """Until the client closes; what it sends is not read."""
        poll = select.poll()
        poll.register(client.sock, select.POLLRDHUP)
        while not self.closing.is_set() and not poll.poll(50):
            pass

    def pace(self, size, fault):
        if isinstance(fault, Slow):
            self.closing.wait(size / 1024 / fault.kb_per_s)

    def pass_body(self, client, server, request, fault):
        """The request to the server (None: to nobody)."""
        if server is not None:
            server.send(request.head)
        step = 4096 if isinstance(fault, Slow) else CHUNK
        done = 0
        while done < request.length:
            if isinstance(fault, CutUp) and done >= fault.after:
                client.reset()
                raise Gone
            data = client.take(min(step, request.length - done))
            self.pace(len(data), fault)
            done += len(data)
            if server is not None:
                server.send(data)
        if isinstance(fault, CutUp):  # a smaller body than that: after its end
            client.reset()
            raise Gone

    def read_answer(self, server, request):
        """(status, head, body as it came), with its end known."""
        while True:
            head = server.head()
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break
        fields = {k.strip().lower(): v.strip() for k, _, v in
                  (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)}
        body = b""
        if request.method == "HEAD" or status in (204, 304):
            return status, head, body
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            while not body.endswith(b"0\r\n\r\n"):
                body += server.take(CHUNK)
        else:
            length = int(fields.get(b"content-length", 0))
            while len(body) < length:
                body += server.take(length - len(body))
        return status, head, body

    def forward(self, client, server, request, fault):
        self.pass_body(client, server, request, fault)
        request.status, head, body = self.read_answer(server, request)
        own, theirs = (f"{host}:{port}".encode() for host, port in (("127.0.0.1", self.port), self.upstream))
        head = head.replace(theirs, own)  # where a session goes on
        if isinstance(fault, Lost):
            client.close()
            return False
        if isinstance(fault, Edit):
            head, body = edited(head, body, fault)
        answer = head + body
        if isinstance(fault, CutDown):
            client.send(answer[:min(fault.after, len(answer) - 1)])
            client.close()
            return False
        step = 1024 if isinstance(fault, Slow) else len(answer)
        for at in range(0, len(answer), step):
            self.pace(len(answer[at:at + step]), fault)
            client.send(answer[at:at + step])
        return b"connection: close" not in head.lower()

    def answer(self, client, request, fault):
        server = self.open() if getattr(fault, "is_done", False) else None
        try:
            self.pass_body(client, server, request, fault)
            if server is not None:
                self.read_answer(server, request)
        finally:
            if server is not None:
                self.forget(server)
        if isinstance(fault, Raw):
            client.send(fault.data)
            return False
        request.status = fault.status
        headers = [*fault.headers, ("Content-Length", len(fault.body))]
        if fault.retry_after is not None:
            headers.append(("Retry-After", fault.retry_after))
        head = f"HTTP/1.1 {fault.status} Made Up\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
        client.send(head.encode() + (b"" if request.method == "HEAD" else fault.body))
        return True

    # ---- TCP ----

    def tunnel(self, client, number):
        fault = self.decide(Connection(number))
        if isinstance(fault, Reset):
            client.reset()
            return
        if isinstance(fault, Hang):
            self.hold(client)
            return
        if isinstance(fault, Delay):
            self.closing.wait(fault.seconds)
        server = self.open()
        back = threading.Thread(target=self.copy, args=(server, client, fault, CutDown), daemon=True)
        back.start()
        try:
            self.copy(client, server, fault, CutUp)
            back.join()
        finally:
            self.forget(server)

    def copy(self, source, sink, fault, cut):
        """Until an end; then both are closed, and after the cut reset."""
        left = fault.after if isinstance(fault, cut) else 1 << 60
        try:
            while left > 0:
                data = source.take(min(left, 4096 if isinstance(fault, Slow) else CHUNK))
                self.pace(len(data), fault)
                sink.send(data)
                left -= len(data)
            source.reset()
            sink.reset()
        except Gone:
            source.close()
            sink.close()


def edited(head, body, fault):
    lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    changes = {k.lower(): (k, v) for k, v in fault.headers}
    if fault.body is not None:
        changes.update({"content-length": ("Content-Length", len(fault.body)), "transfer-encoding": (None, None)})
        body = fault.body
    kept = [line for line in lines[1:] if line.partition(":")[0].strip().lower() not in changes]
    kept += [f"{k}: {v}" for k, v in changes.values() if v is not None]
    return ("\r\n".join([lines[0], *kept]) + "\r\n\r\n").encode("latin-1"), body
