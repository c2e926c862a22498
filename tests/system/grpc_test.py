"""What a node withstands over gRPC: broken bytes, large messages, clients that give up, many of them,
and its own stop. It goes on serving, keeps within its memory, and acknowledges nothing by halves."""

import base64
import contextlib
import json
import pathlib
import queue
import random
import socket
import struct
import sys
import tempfile
import threading
import time
import uuid

import grpc
import weaviate
from weaviate.classes.config import Configure
from weaviate.proto.v1 import aggregate_pb2, batch_pb2, health_weaviate_pb2, search_get_pb2

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

MIB = 1024 * 1024
SERVICE = "/weaviate.v1.Weaviate/"
METHODS = ("BatchObjects", "BatchReferences", "BatchDelete", "Search", "TenantsGet", "Aggregate")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def channel_to(node, number=0):
    # Without an own number all channels of a process share one connection.
    return grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}", [*LARGE, ("sluice.number", number)])


@contextlib.contextmanager
def channels_to(node, number):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(channel_to(node, n)) for n in range(number)]


def call(channel, method, request, timeout=120):
    """(code, details, reply bytes)"""
    path = method if method.startswith("/") else SERVICE + method
    data = request if isinstance(request, bytes) else request.SerializeToString()
    try:
        return grpc.StatusCode.OK, "", channel.unary_unary(path)(data, timeout=timeout)
    except grpc.RpcError as error:
        return error.code(), error.details(), None


def count(channel, name, tenant=""):
    code, details, reply = call(channel, "Aggregate", aggregate_pb2.AggregateRequest(
        collection=name, tenant=tenant, objects_count=True))
    equal(code, grpc.StatusCode.OK, details)
    return aggregate_pb2.AggregateReply.FromString(reply).single_result.objects_count


def objects(name, numbers, dims=4, tenant="", text=""):
    made = []
    for n in numbers:
        one = batch_pb2.BatchObject(collection=name, uuid=str(uuid.UUID(int=n + 1)), tenant=tenant,
                                    vector_bytes=struct.pack(f"<{dims}f", *([n % 100] * dims)))
        one.properties.non_ref_properties["n"] = n
        if text:
            one.properties.non_ref_properties["text"] = text
        made.append(one)
    return made


def store(channel, name, numbers, timeout=120, **more):
    code, details, reply = call(channel, "BatchObjects",
                                batch_pb2.BatchObjectsRequest(objects=objects(name, numbers, **more)), timeout)
    if code == grpc.StatusCode.OK:
        equal(list(batch_pb2.BatchObjectsReply.FromString(reply).errors), [])
    return code, details


def is_well(node, channel):
    check(node.process.poll() is None, "the node ended", node.log[-5:])
    code, _, reply = call(channel, "/grpc.health.v1.Health/Check", b"")
    equal((code, health_weaviate_pb2.WeaviateHealthCheckResponse.FromString(reply or b"").status),
          (grpc.StatusCode.OK, 1))


def memory_mib(node, what="VmHWM"):
    for line in pathlib.Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


# HEADERS of a call as a client writes them, by literal fields without a table.
HEADERS = b"".join(field(k, v) for k, v in (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/weaviate.v1.Weaviate/BatchObjects"),
    (b":authority", b"x"), (b"te", b"trailers"), (b"content-type", b"application/grpc")))


def test_broken_bytes_at_the_port(bin_dir):
    node = Node(bin_dir)
    noise = random.Random(5)
    settings = frame(4, 0, 0, b"")
    begun = PREFACE + settings + frame(1, 4, 1, HEADERS)
    cases = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, noise.randbytes(5000), PREFACE, PREFACE + noise.randbytes(5000),
        PREFACE + settings * 2000, PREFACE + settings + frame(6, 0, 0, b"12345678") * 2000,
        PREFACE + settings + frame(1, 4, 1, noise.randbytes(300)), PREFACE + frame(0, 0, 1, b"data of no stream"),
        PREFACE + struct.pack(">I", 0xFFFFFF)[1:] + b"\x00\x00" + struct.pack(">I", 1) + b"x" * 1000,
        begun + frame(0, 1, 1, b"\0\xff\xff\xff\xff"), begun + frame(0, 1, 1, b"\1\0\0\0\4zzzz"),
        begun + frame(0, 1, 1, b"\0\0\0\0\4zzzz"), begun + frame(0, 1, 1, b"\0\0\0"), begun + frame(0, 1, 1, b""),
        begun + frame(3, 0, 1, b"\0\0\0\2"), begun + begun[len(PREFACE):],
        PREFACE + settings + b"".join(frame(1, 4, 2 * n + 1, HEADERS) + frame(3, 0, 2 * n + 1, b"\0\0\0\x08")
                                      for n in range(3000)),  # rapid resets
        PREFACE + settings + frame(1, 0, 1, HEADERS) + frame(9, 0, 1, b"\x00" + b"\x01a\x01b") * 3000,
    ]
    cases += [bytes(b if noise.random() > 0.02 else noise.randrange(256) for b in begun + frame(0, 1, 1, b"\0\0\0\0\0"))
              for _ in range(200)]
    open_ones = []
    with channel_to(node) as channel:
        for case in cases:
            one = socket.create_connection(("127.0.0.1", node.grpc_port))
            one.settimeout(10)
            with contextlib.suppress(OSError):  # it may hang up
                one.sendall(case)
            open_ones.append(one)
        is_well(node, channel)
        for one in open_ones:
            one.close()
        is_well(node, channel)
    node.close()


def test_a_stop_right_after_a_flood(bin_dir):
    """Calls whose connections are lost are still on their way through the node when it stops."""
    node = Node(bin_dir)
    calls = b"".join(frame(1, 4, 2 * n + 1, HEADERS) + frame(0, 1, 2 * n + 1, b"\0" * 5) for n in range(90))
    for _ in range(20):
        flood = [socket.create_connection(("127.0.0.1", node.grpc_port)) for _ in range(60)]
        for one in flood:
            one.sendall(PREFACE + frame(4, 0, 0, b"") + calls)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # lost, not closed
        for one in flood:
            one.close()
        node.stop()
        node.start()
    node.close()


def recorded_requests():
    for path in sorted((HERE.parent / "data" / "contract-golden").glob("*.jsonl")):
        for line in map(json.loads, path.read_text("utf-8").rstrip("\n").split("\n")):
            if "rpc" in line:
                for request in line.get("requests", [line.get("request")]):
                    yield line["rpc"].rsplit("/", 1)[1], base64.b64decode(request)


def mutated(noise, data):
    data = bytearray(data)
    for _ in range(noise.randrange(1, 5)):
        at = noise.randrange(len(data) + 1)
        change = noise.randrange(4)
        if change == 0 and at < len(data):
            data[at] = noise.randrange(256)
        elif change == 1:
            data[at:at] = noise.randbytes(noise.randrange(8))
        elif change == 2:
            del data[at:at + noise.randrange(8)]
        else:
            data += data[at:]
    return bytes(data)


def test_broken_messages(bin_dir):
    node = Node(bin_dir)
    noise = random.Random(7)
    node.create_class("PlainProps")
    node.create_class("Ten", tenants=["t1"])
    seeds = [(m, r) for m, r in recorded_requests() if m in METHODS and r]
    check(len(seeds) > 40, "recorded requests", len(seeds))
    codes = {}
    with channel_to(node) as channel:
        for _ in range(4000):
            method, request = noise.choice(seeds)
            if noise.random() < 0.1:
                method = noise.choice(METHODS)
            code, _, _ = call(channel, method, mutated(noise, request))
            codes[code.name] = codes.get(code.name, 0) + 1
        nested = b""
        for _ in range(3000):  # a filter in a filter in a filter
            size = len(nested)
            length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) if size >= 16384 else \
                bytes([size & 127 | 128, size >> 7]) if size >= 128 else bytes([size])
            nested = b"\x08\x07\x1a" + length + nested
        request = search_get_pb2.SearchRequest(collection="PlainProps").SerializeToString()
        size = len(nested)
        filters = b"\xc2\x02" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + nested
        code, details, _ = call(channel, "Search", request + filters)
        check(code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE), code, details)
        is_well(node, channel)
        for _ in range(300):
            first = noise.choice([b"\x0a\x02\x08\x02", noise.randbytes(6)])
            frames = [first, mutated(noise, noise.choice(seeds)[1]), noise.randbytes(20)]
            with contextlib.suppress(grpc.RpcError):
                list(channel.stream_stream(SERVICE + "BatchStream")(iter(frames), timeout=30))
        is_well(node, channel)
    check("OK" in codes and "UNKNOWN" in codes and not {"INTERNAL", "UNAVAILABLE", "DATA_LOSS"} & set(codes), codes)
    check(not [line for line in node.log if '"level":"error"' in line], node.log[-3:])
    node.close()


def large_messages(bin_dir, memory_mib_max, want_max):
    node = Node(bin_dir, SLUICE_MEMORY_MAX=f"{memory_mib_max}MiB")
    node.create_class("Big")
    most = node.ok("GET", "/v1/meta")["grpcMaxMessageSize"]
    check(want_max is None or most == want_max, "grpcMaxMessageSize", most)
    with channel_to(node) as channel:
        text = "x" * (MIB - 200)
        one = batch_pb2.BatchObjectsRequest(objects=objects("Big", range(1), text=text)).ByteSize()
        full = most // one
        equal(store(channel, "Big", range(full), text=text), (grpc.StatusCode.OK, ""), "the largest message")
        equal(count(channel, "Big"), full)
        code, details = store(channel, "Big", range(1000, 1000 + full + 1), text=text)
        equal(code, grpc.StatusCode.RESOURCE_EXHAUSTED, details)
        equal(count(channel, "Big"), full)
        # A reply that would not fit is told, a page of it is sent.
        for n in range(1, 4):
            equal(store(channel, "Big", range(n * 10_000, n * 10_000 + full), text=text), (grpc.StatusCode.OK, ""))
        code, details, _ = call(channel, "Search", search_get_pb2.SearchRequest(collection="Big", limit=10_000))
        check(code == grpc.StatusCode.RESOURCE_EXHAUSTED and "limit" in details, code, details)
        code, _, reply = call(channel, "Search", search_get_pb2.SearchRequest(
            collection="Big", limit=10, uses_123_api=True, uses_127_api=True,
            properties=search_get_pb2.PropertiesRequest(return_all_nonref_properties=True)))
        equal((code, len(search_get_pb2.SearchReply.FromString(reply).results)), (grpc.StatusCode.OK, 10))
        is_well(node, channel)
    print(f"     messages up to {most >> 20} MiB: VmHWM {memory_mib(node):.0f} of {memory_mib_max} MiB")
    check(memory_mib(node) <= memory_mib_max, "VmHWM in MiB", memory_mib(node))
    node.close()


def test_messages_of_100_mb(bin_dir):
    large_messages(bin_dir, 2048, 100 * MIB)


def test_large_messages_of_a_small_node(bin_dir):
    large_messages(bin_dir, 256, None)  # so much that one fits


def test_a_deadline_leaves_nothing_half_done(bin_dir):
    node = Node(bin_dir)
    node.create_class("Timed")
    size, given_up = 2000, 0
    with channel_to(node) as channel:
        for number in range(40):
            numbers = range(number * size, (number + 1) * size)
            code, _ = store(channel, "Timed", numbers, timeout=0.002 * (number % 20 + 1), dims=64)
            check(code in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED), code)
            given_up += code != grpc.StatusCode.OK
            if code == grpc.StatusCode.OK:
                last = call(channel, "Search", search_get_pb2.SearchRequest(
                    collection="Timed", after=str(uuid.UUID(int=numbers[-1])), limit=1,
                    metadata=search_get_pb2.MetadataRequest(uuid=True)))
                equal(search_get_pb2.SearchReply.FromString(last[2]).results[0].metadata.id,
                      str(uuid.UUID(int=numbers[-1] + 1)), "what was acknowledged is there")
        check(given_up > 0, "some deadlines were too short")
        # Calls that the client cancels while they are at work.
        method = channel.unary_unary(SERVICE + "BatchObjects")
        for number in range(40, 60):
            request = batch_pb2.BatchObjectsRequest(objects=objects(
                "Timed", range(number * size, (number + 1) * size), dims=64)).SerializeToString()
            future = method.future(request)
            threading.Event().wait(0.001 * (number - 40))
            future.cancel()
        is_well(node, channel)
    node.stop()  # whatever was begun has ended
    node.start()
    with channel_to(node, 1) as channel:
        stored = set()
        after = ""
        while True:
            reply = call(channel, "Search", search_get_pb2.SearchRequest(
                collection="Timed", after=after, limit=5000, metadata=search_get_pb2.MetadataRequest(uuid=True)))
            page = [r.metadata.id for r in search_get_pb2.SearchReply.FromString(reply[2]).results]
            if not page:
                break
            stored.update(uuid.UUID(i).int - 1 for i in page)
            after = page[-1]
        equal(count(channel, "Timed"), len(stored))
    for number in range(60):
        found = len(stored & set(range(number * size, (number + 1) * size)))
        check(found in (0, size), f"batch {number} was stored by halves: {found} of {size}")
    node.close()


class Stream:
    """A BatchStream driven by hand."""

    def __init__(self, channel):
        self.sent = queue.Queue()
        self.replies = channel.stream_stream(
            SERVICE + "BatchStream", batch_pb2.BatchStreamRequest.SerializeToString,
            batch_pb2.BatchStreamReply.FromString)(iter(self.sent.get, None), timeout=120)
        self.sent.put(batch_pb2.BatchStreamRequest(start=batch_pb2.BatchStreamRequest.Start()))
        equal(next(self.replies).WhichOneof("message"), "started")

    def send(self, name, numbers, **more):
        data = batch_pb2.BatchStreamRequest.Data(
            objects=batch_pb2.BatchStreamRequest.Data.Objects(values=objects(name, numbers, **more)))
        self.sent.put(batch_pb2.BatchStreamRequest(data=data))

    def end(self):
        self.sent.put(None)


def test_many_writers_within_the_memory(bin_dir):
    node = Node(bin_dir, SLUICE_MEMORY_MAX="256MiB")
    node.create_class("Many")
    with channels_to(node, 20) as channels:
        # A thousand streams at a time, and a thousand single calls.
        streams = [Stream(channels[n % 20]) for n in range(1000)]
        for n, stream in enumerate(streams):
            stream.send("Many", range(n * 20, n * 20 + 20), dims=256)
            stream.end()
        for stream in streams:
            said = [r for r in stream.replies if r.WhichOneof("message") == "results"]
            equal([(len(r.results.successes), len(r.results.errors)) for r in said], [(20, 0)])
        equal(count(channels[0], "Many"), 20_000)
        requests = [batch_pb2.BatchObjectsRequest(objects=objects("Many", range(20_000 + n * 20, 20_020 + n * 20),
                                                                  dims=256)).SerializeToString() for n in range(1000)]
        calls = [channels[n % 20].unary_unary(SERVICE + "BatchObjects").future(r, timeout=120)
                 for n, r in enumerate(requests)]
        codes = [c.code() for c in calls]
        check(set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}, set(codes))
        equal(count(channels[0], "Many"), 20_000 + 20 * codes.count(grpc.StatusCode.OK))
        check(codes.count(grpc.StatusCode.OK) >= 900, codes.count(grpc.StatusCode.OK))
        is_well(node, channels[0])
    peak = memory_mib(node)
    print(f"     VmHWM {peak:.0f} MiB of 256")
    check(peak <= 256, "VmHWM in MiB", peak)
    node.close()


def test_ten_thousand_tenants(bin_dir):
    node = Node(bin_dir, SLUICE_MEMORY_MAX="256MiB")
    names = [f"tenant{n:05d}" for n in range(10_000)]
    with weaviate.connect_to_local("127.0.0.1", node.port, node.grpc_port) as client:
        c = client.collections.create("Shared", multi_tenancy_config=Configure.multi_tenancy())
        for n in range(0, 10_000, 1000):
            c.tenants.create(names[n:n + 1000])
        equal(sorted(c.tenants.get()), names)
        equal(len(c.tenants.get_by_names(names[::7])), len(names[::7]))
        with client.batch.stream() as batch:
            for n, name in enumerate(names):
                batch.add_object("Shared", {"n": n}, uuid=uuid.UUID(int=n + 1), tenant=name)
        equal(client.batch.failed_objects, [])
        for n in (0, 4999, 9999):
            equal([o.properties["n"] for o in c.with_tenant(names[n]).iterator()], [n])
        c.tenants.deactivate(names[:100])
        c.tenants.remove(names[100:200])
        equal(len(c.tenants.get()), 9900)
    check(memory_mib(node) <= 256, "VmHWM in MiB", memory_mib(node))
    print(f"     VmHWM {memory_mib(node):.0f} MiB of 256")
    node.close()


def stop_with_open_streams(node):
    node.create_class("Late")
    with channel_to(node) as channel:
        idle, busy = Stream(channel), Stream(channel)
        busy.send("Late", range(500))
        begun = time.monotonic()
        node.process.terminate()
        told = [next(idle.replies).WhichOneof("message")]
        check(time.monotonic() - begun < 2, "seconds until an idle stream was told", time.monotonic() - begun)
        said = []
        for reply in busy.replies:
            said.append(reply.WhichOneof("message"))
            if said[-1] == "shutting_down":
                busy.send("Late", range(500, 600))  # was on its way
                busy.end()
        idle.end()
        told += [r.WhichOneof("message") for r in idle.replies]
        equal((told, idle.replies.code(), busy.replies.code()),
              (["shutting_down"], grpc.StatusCode.OK, grpc.StatusCode.OK))
        equal((sorted(set(said)), said.count("results")), (["acks", "results", "shutting_down"], 2))
    equal(node.process.wait(30), 0)
    took = time.monotonic() - begun
    check(took < 4, "seconds until the node ended", took)
    node.reader.join()
    node.start()
    with channel_to(node, 1) as channel:
        equal(count(channel, "Late"), 600, "what was acknowledged")
        # A client that neither hears nor ends does not hold the node up for long.
        stubborn = Stream(channel)
        begun = time.monotonic()
        node.stop()
        check(time.monotonic() - begun < 20, "seconds until the node ended", time.monotonic() - begun)
        stubborn.end()
    node.close()


def test_a_stop_tells_open_streams(bin_dir):
    # In memory: a stop makes what was written durable, and a busy disk has taken half a minute for that.
    with tempfile.TemporaryDirectory(prefix="sluice-test-", dir="/dev/shm") as data:
        stop_with_open_streams(Node(bin_dir, data=data))


run(dict(globals()))
