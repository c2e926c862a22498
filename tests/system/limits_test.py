"""What the node must withstand: bad input of every kind gets the documented answer and loses nothing."""

import json
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

ID = "00000000-0000-4000-8000-00000000000"


def message(body):
    return body.get("message") or body["error"][0]["message"]


def test_bad_json_and_utf8(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    for raw, want in ((b"{", 400), (b'{"class":"A",}', 400), (b'{"class":"\xff\xfe"}', 400), (b"\x00", 400),
                      (b'{"class":"A","properties":' + b"[" * 5000 + b"]" * 5000 + b"}", 422),
                      (b'{"class":"A","properties":{"x":NaN}}', 400), (b'{"class":"A","vector":[1e999]}', 422),
                      (b"", 422)):
        status, body, _ = node.call("POST", "/v1/objects", raw=raw)
        check(status in (want, 400, 422), f"{raw[:40]!r}: {status} {body}")
        check(message(body), raw[:40])
    equal(node.export("x")["status"], "SUCCESS")
    node.close()


def test_bad_values_name_what_is_wrong(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "A", "vectorizer": "none", "properties": [
        {"name": "i", "dataType": ["int"]}, {"name": "d", "dataType": ["date"]}, {"name": "u", "dataType": ["uuid"]},
        {"name": "t", "dataType": ["text"]}, {"name": "b", "dataType": ["boolean"]}, {"name": "o", "dataType": ["blob"]},
        {"name": "g", "dataType": ["geoCoordinates"]}]})
    for properties in ({"i": "x"}, {"d": "yesterday"}, {"d": "2024-02-30T00:00:00Z"}, {"u": "abc"}, {"t": 5}, {"b": "yes"},
                       {"o": "***"}, {"g": {"latitude": 91}}):
        status, body, _ = node.call("POST", "/v1/objects", {"class": "A", "properties": properties})
        equal(status, 422, f"{properties}: {body}")
        check(list(properties)[0] in message(body), f"{properties}: {body}")
    status, body, _ = node.call("POST", "/v1/objects", {"class": "A", "id": "zz", "properties": {}})
    equal(status, 422, body)
    node.ok("POST", "/v1/objects", {"class": "A", "id": ID + "1", "vector": [1, 2, 3]})
    status, body, _ = node.call("POST", "/v1/objects", {"class": "A", "id": ID + "2", "vector": [1, 2]})
    equal(status, 500, body)
    check("length 2" in message(body) and "length 3" in message(body), body)
    equal(node.call("HEAD", f"/v1/objects/A/{ID}2")[0], 404, "a refused object is not stored")
    equal(node.export("x")["objectsTotal"], 1)
    node.close()


def test_widest_vector_and_one_more(bin_dir):
    node = Node(bin_dir)
    node.ok("POST", "/v1/schema", {"class": "Wide", "vectorizer": "none"})
    node.ok("POST", "/v1/objects", {"class": "Wide", "id": ID + "1", "vector": [0.5] * 65535})
    status, body, _ = node.call("POST", "/v1/objects", {"class": "Wide", "vector": [0.5] * 65536})
    equal(status, 422, body)
    check("65535" in message(body), body)
    equal(node.export("x")["objectsTotal"], 1)
    node.close()


def test_body_limit(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    text = "x" * (90 * 1024 * 1024)
    node.ok("POST", "/v1/objects", {"class": "A", "id": ID + "1", "properties": {"t": text}})
    equal(len(node.ok("GET", f"/v1/objects/A/{ID}1")["properties"]["t"]), len(text), "a 90 MiB text comes back")
    status, body, _ = node.call("POST", "/v1/objects", raw=b'{"x":"' + b"y" * (100 * 1024 * 1024) + b'"}')
    equal(status, 413, body)
    equal(node.export("x")["status"], "SUCCESS")
    node.close()


def test_unknown_and_duplicate_tenants(bin_dir):
    node = Node(bin_dir)
    node.create_class("T", tenants=["a"])
    node.create_class("S")
    status, body, _ = node.call("POST", "/v1/objects", {"class": "T", "tenant": "zz", "properties": {}})
    equal(status, 422, body)
    check("zz" in message(body), body)
    status, body, _ = node.call("POST", "/v1/objects", {"class": "T", "properties": {}})
    equal(status, 422, body)
    status, body, _ = node.call("POST", "/v1/objects", {"class": "S", "tenant": "a", "properties": {}})
    equal(status, 422, body)
    node.ok("POST", "/v1/schema/T/tenants", [{"name": "a"}])
    status, body, _ = node.call("POST", "/v1/schema/T/tenants", [{"name": "b/c"}])
    equal(status, 422, body)
    status, body, _ = node.call("PUT", "/v1/schema/T/tenants", [{"name": f"t{n}"} for n in range(101)])
    equal(status, 422, body)
    check("100" in message(body), body)
    equal(len(node.ok("GET", "/v1/schema/T/tenants")), 1)
    node.close()


def test_header_and_method_limits(bin_dir):
    node = Node(bin_dir)
    equal(node.call("GET", "/v1/nothing")[0], 404)
    status, body, headers = node.call("PUT", "/v1/export/filesystem", {})
    equal(status, 405, body)
    check("POST" in headers["Allow"], headers)
    status, _, _ = node.call("POST", "/v1/objects", raw=b"{}", headers={"Content-Type": "text/plain"})
    equal(status, 415)
    status, _, _ = node.call("GET", "/v1/meta", headers={"X-Long": "x" * 200_000})
    check(status in (400, 413, 431), status)
    equal(node.call("GET", "/v1/meta")[0], 200)
    node.close()


def test_slow_and_silent_clients_are_closed(bin_dir):
    node = Node(bin_dir, SLUICE_REQUEST_TIMEOUT=1)
    slow = socket.create_connection(("127.0.0.1", node.port), timeout=30)
    slow.sendall(b"POST /v1/objects HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    silent = socket.create_connection(("127.0.0.1", node.port), timeout=30)
    equal(silent.recv(100), b"", "a silent connection is closed")
    while slow.recv(4096):
        pass
    equal(node.call("GET", "/v1/meta")[0], 200)
    node.close()


def test_requests_from_many_clients_at_once(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    failed = []

    def client(worker):
        for n in range(40):
            one = {"class": "A", "id": f"{worker:08x}-0000-4000-8000-{n:012x}", "properties": {"n": n}}
            status, body, _ = node.call("POST", "/v1/objects", one)
            if status != 200:
                failed.append((status, body))

    threads = [threading.Thread(target=client, args=(w,)) for w in range(32)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal(failed, [])
    equal(node.export("x")["objectsTotal"], 32 * 40)
    node.close()


def test_requests_of_an_address_are_counted(bin_dir):
    node = Node(bin_dir, SLUICE_REQUESTS_PER_ADDRESS="30")
    begun = time.monotonic()
    seen = [node.call("GET", "/v1/schema") for _ in range(300)]
    seconds = time.monotonic() - begun
    good = [s for s, _, _ in seen].count(200)
    equal({s for s, _, _ in seen}, {200, 429})
    check(30 <= good <= 30 * (int(seconds) + 2), f"{good} of 300 in {seconds} s")
    check("SLUICE_REQUESTS_PER_ADDRESS" in message(next(b for s, b, _ in seen if s == 429)), "the sentence")
    equal({node.call("GET", "/v1/.well-known/live")[0] for _ in range(100)}, {200}, "probes do not count")
    import grpc
    with grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}") as channel:
        ask, codes = channel.unary_unary("/weaviate.v1.Weaviate/TenantsGet"), set()
        for _ in range(100):
            try:
                ask(b"", timeout=30)
            except grpc.RpcError as error:
                codes.add(error.code())
    check(grpc.StatusCode.RESOURCE_EXHAUSTED in codes, codes)
    until = time.monotonic() + 30
    while node.call("GET", "/v1/schema")[0] != 200:  # the next second
        check(time.monotonic() < until, "it is listened to again")
    node.close()


def test_every_stored_object_comes_back_after_a_restart(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    ids = node.insert("A", 300)
    before = {o["id"]: json.dumps(o, sort_keys=True) for o in
              node.ok("GET", "/v1/objects?class=A&limit=300&include=vector")["objects"]}
    equal(set(before), set(ids))
    node.stop()
    node.start()
    after = {o["id"]: json.dumps(o, sort_keys=True) for o in
             node.ok("GET", "/v1/objects?class=A&limit=300&include=vector")["objects"]}
    equal(after, before)
    node.close()


run(dict(globals()))
