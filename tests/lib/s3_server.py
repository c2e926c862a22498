"""Amazon S3, STS and the metadata services as their references describe them, but stricter, with faults on order.

Real servers let much pass, ignore encryption and tags, and none of them has regions, rights or keys that expire. This
one checks every signature by its own code, and what a request does wrong lands in `faults`, which every test asserts
to be empty. `rules` play the network and the service: each is called with the request and answers None or what shall
happen to it.

Sources: "S3 API reference", "Signature Version 4 signing process", "STS API reference", "Instance Metadata Service
Version 2", "Container credential provider".
"""

import base64
import datetime
import email.utils
import hashlib
import hmac
import http.server
import json
import re
import ssl
import tempfile
import threading
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as tree
from xml.sax.saxutils import escape

from awscrt import checksums
from azure_server import CUT, DAMAGE, HALF, LOST, STALL, Reply, first  # noqa: F401  the vocabulary of rules
from stores import certificate

BUCKET, KEY, SECRET = "backups", "AKTEST", "SKTEST+/abc"
PART_MIN = 5 << 20
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()
PLAIN_HEADERS = {"host", "accept", "connection", "content-length", "user-agent", "content-type", "if-none-match",
                 "range", "authorization"}
AMZ_HEADERS = {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-checksum-crc32c",
               "x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-meta-sluice-write", "x-amz-request-payer",
               "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
               "x-amz-server-side-encryption-bucket-key-enabled", "x-amz-storage-class", "x-amz-tagging"}
KEPT = ("content-type", "x-amz-meta-sluice-write", "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-bucket-key-enabled",
        "x-amz-storage-class", "x-amz-tagging")


def crc32c(data):
    return base64.b64encode(checksums.crc32c(data).to_bytes(4, "big")).decode()


def sign(secret, date, region, service, text):
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path, _, self.raw_query = target.partition("?")
        pairs = [p.partition("=") for p in self.raw_query.split("&") if p]
        self.query = {urllib.parse.unquote(k): urllib.parse.unquote(v) for k, _, v in pairs}
        label = headers.get("host", "").partition(".")[0]
        parts = urllib.parse.unquote(self.path).split("/", 2)
        if headers.get("host", "").partition(":")[0].endswith(".localhost"):
            self.bucket, self.key = label, urllib.parse.unquote(self.path)[1:]
        else:
            self.bucket, self.key = parts[1], parts[2] if len(parts) > 2 else ""
        self.at, self.region, self.key_id = time.monotonic(), None, None

    @property
    def is_service(self):
        """Of those who give keys, not of the store."""
        return self.path in ("/", "/creds", "/federation/credentials") or self.path.startswith("/latest/")

    @property
    def name(self):
        """What the reference calls it."""
        has = self.query.__contains__
        if not self.key:
            return "ListMultipartUploads" if has("uploads") else "ListObjectsV2"
        table = {("PUT", False): "PutObject", ("PUT", True): "UploadPart", ("POST", True): "CompleteMultipartUpload",
                 ("DELETE", False): "DeleteObject", ("DELETE", True): "AbortMultipartUpload",
                 ("GET", False): "GetObject", ("HEAD", False): "HeadObject"}
        if self.method == "POST" and has("uploads"):
            return "CreateMultipartUpload"
        return table.get((self.method, has("uploadId")), self.method)


class Upload:
    def __init__(self, key, headers):
        self.key, self.headers, self.parts = key, headers, {}


class Object:
    def __init__(self, data, headers, etag, checksum):
        self.data, self.headers, self.etag, self.checksum = data, headers, etag, checksum


class S3Server:
    """Serves from creation to the end of the block. region: the bucket's."""

    def __init__(self, region="us-east-1", is_tls=False):
        self.region, self.is_tls = region, is_tls
        self.lock = threading.RLock()
        self.objects, self.uploads = {}, {}
        self.keys = {KEY: (SECRET, None, None)}  # id: secret, session token, when it ends (monotonic)
        self.faults, self.log, self.rules, self.service_log = [], [], [], []
        self.denied, self.skew, self.page_max = set(), 0, 1000
        self.knows_conditions = self.knows_checksums = self.tells_checksums = True
        self.is_listing_hidden = False  # HEAD and GET of a missing object are refused, as with a policy by prefix
        self.key_life, self.web_tokens, self.container_token, self.metadata_status = 3600, {"good"}, "tok", 200
        self.has_role = True
        self.sso_tokens, self.sso_status = {"login"}, 200
        self.released = threading.Event()
        handler = type("Handler", (Handler,), {"owner": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        if is_tls:
            self.folder = tempfile.TemporaryDirectory(prefix="sluice-s3-")
            self.ca, key = (str(p) for p in certificate(self.folder.name))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, key)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.url = f"http{'s' if is_tls else ''}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def bare_env(self):
        """The server, and nobody's credentials."""
        return {"BACKUP_S3_ENDPOINT": f"127.0.0.1:{self.port}", "AWS_EC2_METADATA_DISABLED": "true",
                **({"SLUICE_STORE_CA": self.ca} if self.is_tls else {"BACKUP_S3_USE_SSL": "false"})}

    @property
    def env(self):
        return {**self.bare_env, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": self.region}

    def count(self, name):
        with self.lock:
            return sum(r.name == name for r in self.log)

    def now(self):
        return time.time() + self.skew

    def fault(self, request, text):
        self.faults.append(f"{request.name} {request.target}: {text}")

    # ---- checks of every request ----

    def canonical(self, request, names, digest):
        query = "&".join(sorted(p if "=" in p else p + "=" for p in request.raw_query.split("&") if p))
        lines = [f"{n}:{' '.join(request.headers.get(n, '').split())}" for n in names]
        return "\n".join([request.method, request.path, query, *lines, "", ";".join(names), digest])

    def check_signature(self, request, service):
        match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/(s3|sts)/aws4_request, "
                             r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                             request.headers.get("authorization", ""))
        if not match:
            self.fault(request, "no signature, or one of another form")
            return Reply(403, "AccessDenied")
        request.key_id, date, request.region, told, names, signature = match.groups()
        names = names.split(";")
        for name in request.headers:
            if (name.startswith("x-amz-") or name in ("host", "content-type", "range", "if-none-match")) \
                    and name not in names:
                self.fault(request, f"header {name} is not signed")
        if told != service or names != sorted(names):
            self.fault(request, f"scope {told}, headers {names}")
        if request.key_id not in self.keys:
            return Reply(403, "InvalidAccessKeyId")
        secret, token, end = self.keys[request.key_id]
        stamp = request.headers.get("x-amz-date", "")
        seconds = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(seconds - self.now()) > 900:
            return Reply(403, "RequestTimeTooSkewed")
        if end is not None and time.monotonic() > end:
            return Reply(400, "ExpiredToken")
        if token != request.headers.get("x-amz-security-token"):
            return Reply(400, "InvalidToken")
        digest = request.headers.get("x-amz-content-sha256", hashlib.sha256(request.body).hexdigest())
        scope = f"{date}/{request.region}/{service}/aws4_request"
        hashed = hashlib.sha256(self.canonical(request, names, digest).encode()).hexdigest()
        want = sign(secret, date, request.region, service, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}")
        return None if signature == want else Reply(403, "SignatureDoesNotMatch")

    def check_body(self, request):
        told = request.headers.get("x-amz-content-sha256")
        if told == UNSIGNED:
            if not self.is_tls or "x-amz-checksum-crc32c" not in request.headers:
                self.fault(request, "a body that nothing vouches for")
        elif told != hashlib.sha256(request.body).hexdigest():
            return Reply(400, "XAmzContentSHA256Mismatch")
        crc = request.headers.get("x-amz-checksum-crc32c")
        if request.name in ("PutObject", "UploadPart") and self.knows_checksums:
            if crc is None:
                self.fault(request, "no checksum")
            elif crc != crc32c(request.body):
                return Reply(400, "BadDigest")
        return None

    def check_known(self, request):
        for name in request.headers:
            if name not in PLAIN_HEADERS | AMZ_HEADERS:
                self.fault(request, f"unknown header {name}")
        if not self.knows_conditions and "if-none-match" in request.headers:
            return Reply(501, "NotImplemented", message="A header you provided implies functionality")
        if not self.knows_checksums and any(n.startswith("x-amz-checksum-") for n in request.headers
                                            if n != "x-amz-checksum-mode"):
            return Reply(400, "InvalidArgument", message="Unsupported header 'x-amz-checksum-crc32c'")
        return None

    def check_place(self, request):
        if request.bucket != BUCKET:
            return Reply(404, "NoSuchBucket")
        if request.region != self.region:
            return Reply(400, "AuthorizationHeaderMalformed", region=self.region, x_amz_bucket_region=self.region)
        if request.name in self.denied:
            return Reply(403, "AccessDenied")
        return None

    # ---- operations ----

    def perform(self, request):
        with self.lock:
            if request.path == "/" and request.method == "POST":
                return self.sts(request)
            if request.path == "/federation/credentials":
                return self.sso(request)
            if request.is_service and request.path != "/":
                return self.metadata(request)
            refused = (self.check_signature(request, "s3") or self.check_place(request) or self.check_known(request) or
                       self.check_body(request))
            if refused:
                return refused
            operation = {"ListObjectsV2": self.list, "ListMultipartUploads": self.list_uploads, "PutObject": self.put,
                         "UploadPart": self.part, "CompleteMultipartUpload": self.complete, "GetObject": self.get,
                         "CreateMultipartUpload": self.create, "AbortMultipartUpload": self.abort,
                         "DeleteObject": self.delete, "HeadObject": self.head}.get(request.name)
            if operation is None:
                self.fault(request, "no such operation")
                return Reply(400, "InvalidRequest")
            return operation(request)

    def kept(self, request):
        return {n: request.headers[n] for n in KEPT if n in request.headers}

    def is_taken(self, request):
        return request.headers.get("if-none-match") == "*" and request.key in self.objects

    def put(self, request):
        if self.is_taken(request):
            return Reply(412, "PreconditionFailed")
        etag = '"' + hashlib.md5(request.body).hexdigest() + '"'
        crc = crc32c(request.body) if "x-amz-checksum-crc32c" in request.headers else None
        self.objects[request.key] = Object(request.body, self.kept(request), etag, crc)
        return Reply(200, ETag=etag, **({"x_amz_checksum_crc32c": crc} if crc else {}))

    def create(self, request):
        upload_id = f"u/+{uuid.uuid4()}=="
        self.uploads[upload_id] = Upload(request.key, self.kept(request))
        return Reply(200, body=f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId>"
                               "</InitiateMultipartUploadResult>".encode())

    def upload_of(self, request):
        upload = self.uploads.get(request.query["uploadId"])
        return upload if upload is not None and upload.key == request.key else None

    def part(self, request):
        upload, number = self.upload_of(request), int(request.query["partNumber"])
        if upload is None:
            return Reply(404, "NoSuchUpload")
        if not 1 <= number <= 10000:
            return Reply(400, "InvalidArgument")
        etag = '"' + hashlib.md5(request.body).hexdigest() + '"'
        crc = request.headers.get("x-amz-checksum-crc32c")
        upload.parts[number] = (request.body, etag, crc)
        return Reply(200, ETag=etag, **({"x_amz_checksum_crc32c": crc} if crc and self.tells_checksums else {}))

    def complete(self, request):
        upload = self.upload_of(request)
        if upload is None:
            return Reply(404, "NoSuchUpload")
        if self.is_taken(request):
            return Reply(412, "PreconditionFailed")
        data, crcs, last = b"", b"", 0
        rows = [{c.tag.split("}")[1]: c.text for c in part} for part in tree.fromstring(request.body)]
        for row in rows:
            number = int(row["PartNumber"])
            body, etag, crc = upload.parts.get(number, (b"", None, None))
            if etag != row["ETag"] or (crc is not None and self.tells_checksums and crc != row.get("ChecksumCRC32C")):
                return Reply(400, "InvalidPart")
            if number <= last:
                return Reply(400, "InvalidPartOrder")
            if len(body) < PART_MIN and row is not rows[-1]:
                return Reply(400, "EntityTooSmall")
            data, last = data + body, number
            crcs += base64.b64decode(crc) if crc else b""
        checksum = f"{crc32c(crcs)}-{len(rows)}" if crcs else None
        self.objects[request.key] = Object(data, upload.headers, '"' + "0" * 32 + f'-{len(rows)}"', checksum)
        del self.uploads[request.query["uploadId"]]
        told = f"<ChecksumCRC32C>{checksum}</ChecksumCRC32C>" if checksum else ""
        return Reply(200, body=f'<?xml version="1.0"?>\n  <CompleteMultipartUploadResult><ETag>x</ETag>{told}'
                               "</CompleteMultipartUploadResult>".encode())

    def abort(self, request):
        if self.upload_of(request) is None:
            return Reply(404, "NoSuchUpload")
        del self.uploads[request.query["uploadId"]]
        return Reply(204)

    def find(self, request):
        found = self.objects.get(request.key)
        if found is None:
            return None, Reply(403, "AccessDenied") if self.is_listing_hidden else Reply(404, "NoSuchKey")
        return found, None

    def head(self, request):
        found, refused = self.find(request)
        return refused or Reply(200, body=b"", length=len(found.data), **{k.replace("-", "_"): v for k, v in
                                                                          found.headers.items()})

    def get(self, request):
        found, refused = self.find(request)
        if refused:
            return refused
        told = request.headers.get("range")
        if told:
            begin, end = (int(n) for n in told.removeprefix("bytes=").split("-"))
            if begin >= len(found.data):
                return Reply(416, "InvalidRange")
            return Reply(206, body=found.data[begin:end + 1])
        more = {"x_amz_checksum_crc32c": found.checksum} if found.checksum and "x-amz-checksum-mode" in request.headers \
            else {}
        return Reply(200, body=found.data, **more)

    def delete(self, request):
        self.objects.pop(request.key, None)
        return Reply(204)

    def list(self, request):
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter")
        is_url = request.query.get("encoding-type") == "url"

        def text(name):
            return urllib.parse.quote_plus(name, safe="/") if is_url else escape(name)
        rows = {}
        for name in sorted((n for n in self.objects if n.startswith(prefix)), key=str.encode):
            rest = name[len(prefix):]
            if delimiter and delimiter in rest:
                folder = prefix + rest[:rest.index(delimiter) + 1]
                rows[folder] = f"<CommonPrefixes><Prefix>{text(folder)}</Prefix></CommonPrefixes>"
            else:
                rows[name] = f"<Contents><Key>{text(name)}</Key><Size>{len(self.objects[name].data)}</Size></Contents>"
        token = base64.b64decode(request.query.get("continuation-token", "")).decode()
        rows = [(n, r) for n, r in rows.items() if n.encode() > token.encode()]
        size = min(int(request.query.get("max-keys", "1000")), self.page_max)
        cut = len(rows) > size
        after = base64.b64encode(rows[size - 1][0].encode()).decode() if cut else ""
        more = f"<NextContinuationToken>{after}</NextContinuationToken>" if cut else ""
        return Reply(200, body=("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                                f"<IsTruncated>{str(cut).lower()}</IsTruncated>{more}"
                                + "".join(r for _, r in rows[:size])
                                + ("<EncodingType>url</EncodingType>" if is_url else "")
                                + "</ListBucketResult>").encode())

    def list_uploads(self, request):
        prefix, marker = request.query.get("prefix", ""), request.query.get("key-marker", "")
        mark = (marker, request.query.get("upload-id-marker", "")) if marker else ("", "")
        rows = sorted((u.key, i) for i, u in self.uploads.items() if u.key.startswith(prefix))
        rows = [r for r in rows if r > mark]
        page, cut = rows[:self.page_max], len(rows) > self.page_max
        is_url = request.query.get("encoding-type") == "url"

        def text(name):
            return urllib.parse.quote_plus(name, safe="/") if is_url else escape(name)
        body = "".join(f"<Upload><Key>{text(k)}</Key><UploadId>{i}</UploadId></Upload>" for k, i in page)
        more = (f"<NextKeyMarker>{text(page[-1][0])}</NextKeyMarker><NextUploadIdMarker>{page[-1][1]}"
                "</NextUploadIdMarker>") if cut else ""
        return Reply(200, body=f"<ListMultipartUploadsResult>{more}<IsTruncated>{str(cut).lower()}</IsTruncated>{body}"
                               f"{'<EncodingType>url</EncodingType>' if is_url else ''}"
                               "</ListMultipartUploadsResult>".encode())

    # ---- who gives keys ----

    def new_keys(self, life=None):
        """A temporary key: id, secret, token, and when it ends as text."""
        life = self.key_life if life is None else life
        key_id, secret, token = f"ASIA{len(self.keys)}", f"secret{uuid.uuid4()}", f"token/{uuid.uuid4()}+=="
        self.keys[key_id] = (secret, token, time.monotonic() + life)
        end = datetime.datetime.fromtimestamp(time.time() + life, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return key_id, secret, token, end

    def sts(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True))
        request.form = form
        self.service_log.append(request)
        if form["Action"] == "AssumeRoleWithWebIdentity":
            if "authorization" in request.headers:
                self.fault(request, "signed, though the token says who asks")
            if form["WebIdentityToken"] not in self.web_tokens:
                return Reply(400, "InvalidIdentityToken", is_sts=True)
        else:
            refused = self.check_signature(request, "sts")
            if refused or "deny" in form["RoleArn"]:
                return Reply(403, "AccessDenied", is_sts=True)
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        inner = "".join(f"<{n}>{escape(v)}</{n}>" for n, v in zip(names, self.new_keys()))
        action = form["Action"]
        return Reply(200, body=f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
                               f"<Credentials>{inner}</Credentials></{action}Result></{action}Response>".encode())

    def sso(self, request):
        self.service_log.append(request)
        if self.sso_status != 200:
            return Reply(self.sso_status)
        if request.headers.get("x-amz-sso_bearer_token") not in self.sso_tokens:
            return Reply(401)
        if request.method != "GET" or set(request.query) != {"role_name", "account_id"}:
            return Reply(400)
        key_id, secret, token, end = self.new_keys()
        end = datetime.datetime.strptime(end, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
        keys = {"accessKeyId": key_id, "secretAccessKey": secret, "sessionToken": token,
                "expiration": int(end.timestamp() * 1000)}
        return Reply(200, body=json.dumps({"roleCredentials": keys}).encode())

    def metadata(self, request):
        self.service_log.append(request)
        names = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
        if self.metadata_status != 200:
            return Reply(self.metadata_status)
        if request.path == "/creds":
            is_ours = request.headers.get("authorization") == self.container_token
            return Reply(200, body=json.dumps(dict(zip(names, self.new_keys()))).encode()) if is_ours else Reply(403)
        if request.path == "/latest/api/token":
            has_ttl = "x-aws-ec2-metadata-token-ttl-seconds" in request.headers
            return Reply(200, body=b"session") if request.method == "PUT" and has_ttl else Reply(400)
        if request.headers.get("x-aws-ec2-metadata-token") != "session":
            return Reply(401)
        if request.path.endswith("/security-credentials/"):
            return Reply(200, body=b"Role-1") if self.has_role else Reply(404)
        return Reply(200, body=json.dumps({"Code": "Success", **dict(zip(names, self.new_keys()))}).encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner = None  # the S3Server

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
        is_store = not request.is_service
        rules = list(owner.rules) if is_store else []
        action = next((a for a in (rule(request) for rule in rules) if a is not None), None)
        if action == HALF:
            self.rfile.read(length // 2)
            return self.drop()
        request.body = self.rfile.read(length)
        if is_store:
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
        headers = dict(reply.headers)
        message, region, is_sts = headers.pop("message", ""), headers.pop("region", ""), headers.pop("is-sts", "")
        length = headers.pop("length", None)
        body = reply.body
        if reply.code:
            inner = f"<Code>{reply.code}</Code><Message>{escape(message)}</Message>"
            inner += f"<Region>{region}</Region>" if region else ""
            body = f"<Error>{inner}</Error>"
            body = f'<?xml version="1.0"?>{f"<ErrorResponse>{body}</ErrorResponse>" if is_sts else body}'.encode()
        self.send_response_only(reply.status)
        self.send_header("Date", email.utils.formatdate(self.owner.now(), usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD" and reply.status != 204:
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer
