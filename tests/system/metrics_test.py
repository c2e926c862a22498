"""/metrics and log lines as an operator meets them: the node does things, a parser made from the text
format's specification reads what it tells (prometheus.io, "Exposition formats", text format 0.0.4)."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

GOLDEN = pathlib.Path(__file__).parent.parent / "data" / "contract-golden" / "11-metrics-logs"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)(?: (-?\d+))?")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def labels_of(text):
    labels, at = {}, 0
    while at < len(text or ""):
        found = LABEL.match(text, at)
        check(found, "labels", text)
        check(found[1] not in labels, "a label twice", text)
        labels[found[1]] = found[2].replace(r"\n", "\n").replace(r"\"", '"').replace(r"\\", "\\")
        at = found.end()
    return labels


def family_of(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and types.get(name.removesuffix(suffix)) == "histogram":
            return name.removesuffix(suffix)
    return name


def check_histograms(samples, types):
    for family in (f for f, kind in types.items() if kind == "histogram"):
        buckets = [(float(dict(k[1])["le"]), v) for k, v in samples.items() if k[0] == family + "_bucket"]
        check(buckets and buckets[-1][0] == float("inf"), family, "the last bucket is +Inf")
        equal(buckets, sorted(buckets), f"{family}: bounds and counts rise")
        equal(buckets[-1][1], samples[(family + "_count", ())], f"{family}: +Inf is the count")
        check((family + "_sum", ()) in samples, family, "has a sum")


def parse(text):
    """{(name, ((label, value), ...)): number}, {family: type}; raises where the format is broken."""
    samples, types, helps, family_now, closed = {}, {}, {}, None, set()
    check(text.endswith("\n"), "the last line ends")
    for line in text.splitlines():
        head = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line)
        if head:
            table = helps if head[1] == "HELP" else types
            check(head[2] not in table, "told twice", line)
            check(head[1] == "HELP" or head[3] in ("counter", "gauge", "histogram", "summary", "untyped"), line)
            check(head[1] == "HELP" or not any(family_of(k[0], types) == head[2] for k in samples), "TYPE is first", line)
            table[head[2]] = head[3]
            continue
        found = SAMPLE.fullmatch(line)
        check(found, "neither sample nor comment", line)
        family = family_of(found[1], types)
        check(family in types and family in helps, "has HELP and TYPE", line)
        if family != family_now:
            check(family not in closed, "lines of one metric stand together", line)
            closed.add(family_now)
            family_now = family
        key = (found[1], tuple(sorted(labels_of(found[2]).items())))
        check(key not in samples, "a series twice", line)
        samples[key] = float(found[3])
        check(samples[key] >= 0 and types[family] in ("gauge", "counter", "histogram"), line)
    check_histograms(samples, types)
    return samples, types


def listening(node):
    return next(json.loads(line) for line in node.log if '"listening"' in line)


def scrape(node, method="GET", path="/metrics"):
    connection = http.client.HTTPConnection("127.0.0.1", listening(node)["metrics_port"], timeout=30)
    connection.request(method, path)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text, dict(reply.getheaders())


def numbers(node):
    status, text, headers = scrape(node)
    equal(status, 200)
    equal(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
    return parse(text)[0]


def value(samples, name, **labels):
    return samples[(name, tuple(sorted(labels.items())))]


def node_with_metrics(bin_dir, **env):
    return Node(bin_dir, PROMETHEUS_MONITORING_ENABLED="true", PROMETHEUS_MONITORING_PORT="0", **env)


def lines(node, export_id):
    """Log lines of one export, once the node has ended and all is read."""
    return [one for one in map(json.loads, (x for x in node.log if x.startswith("{")))
            if one.get("export_id") == export_id]


def block(node, export_id, file_name):
    """A folder where the export wants its file: the write fails, as a full or broken place would."""
    (node.folder(export_id) / file_name).mkdir(parents=True)


def fail_export(node, export_id):
    """An export that ends FAILED: every name it could take is a folder already."""
    shards = node.ok("GET", "/v1/schema/A/shards")
    for number in range(8):
        block(node, export_id, f"A_{shards[0]['name']}_{number:04}.parquet")
    return node.export(export_id)


def test_names_types_and_buckets_are_those_of_the_reference(bin_dir):
    node = node_with_metrics(bin_dir)
    mine, my_types = parse(scrape(node)[1])
    for recorded in ("metrics_before.txt", "metrics_after.txt"):
        theirs, their_types = parse_recorded((GOLDEN / recorded).read_text())
        for family, kind in their_types.items():
            equal(my_types.get(family), kind, family)
        for key in theirs:
            check(key in mine, "a series of the reference is missing", key)
    node.close()


def parse_recorded(text):
    """The recorded replies leave out HELP and TYPE of what they cut from a longer reply."""
    heads = "".join(f"# HELP {name} x\n# TYPE {name} gauge\n" for name in ("requests_total",)
                    if name in text and f"# TYPE {name}" not in text)
    return parse(heads + text)


def test_counts_after_success_failure_and_cancel(bin_dir):
    node = node_with_metrics(bin_dir)
    before = numbers(node)
    equal(value(before, "weaviate_export_objects_total"), 0)
    equal(value(before, "sluice_export_running"), 0)
    node.create_class("A")
    node.insert("A", 3000)
    equal(node.export("ok")["status"], "SUCCESS")
    files = list(node.folder("ok").glob("*.parquet"))
    good = numbers(node)
    equal(value(good, "weaviate_export_objects_total"), 3000)
    equal(value(good, "weaviate_export_operations_total", status="success"), 1)
    equal(value(good, "sluice_export_files_total"), len(files))
    equal(value(good, "sluice_export_bytes_total"), sum(f.stat().st_size for f in files))
    check(value(good, "backup_store_data_transferred", backend_name="backup-filesystem", class_name="class")
          > value(good, "sluice_export_bytes_total"), "records are counted, too")
    equal(value(good, "weaviate_export_duration_seconds_count"), 1)
    equal(value(good, "weaviate_export_coordination_duration_seconds_count"), 1)
    equal(value(good, "sluice_objects_written_total"), 3000)
    check(value(good, "sluice_store_syncs_total") > 0, "writes are synced")
    equal(value(good, "sluice_memory_used_bytes", part="bodies"), 0)

    equal(fail_export(node, "bad")["status"], "FAILED")
    equal(node.call("GET", "/v1/export/filesystem/nothing")[0], 404)
    equal(node.call("DELETE", "/v1/export/filesystem/ok")[0], 409)
    bad = numbers(node)
    equal(value(bad, "weaviate_export_operations_total", status="failed"), 1)
    equal(value(bad, "weaviate_export_operations_total", status="success"), 1)
    calls = {"api": "rest", "class_name": "", "query_type": "export"}
    equal(value(bad, "requests_total", status="user_error", **calls)
          - value(good, "requests_total", status="user_error", **calls), 2, "404 and 409 are the user's")
    equal(value(bad, "requests_total", status="server_error", **calls), 0)
    equal(value(bad, "sluice_export_running"), 0)
    node.close()

    scan = [one["msg"] for one in lines(node, "ok")]
    for message in ("starting export", "participant prepared for export", "prepare phase completed",
                    "snapshot phase completed", "participant starting export",
                    "multi-node export committed on all nodes", "starting shard scan", "upload completed",
                    "shard export completed", "participant export completed successfully"):
        check(message in scan, message, scan)
    check(any(one["msg"].startswith("upload failed: ") and one["action"] == "export_upload" for one in lines(node, "bad")),
          lines(node, "bad"))


def test_a_canceled_export_is_counted_as_that(bin_dir):
    node = node_with_metrics(bin_dir)
    node.create_class("A")
    node.insert("A", 20000, dims=64)
    for number in range(50):  # until a cancel comes before the end
        node.export(f"c{number}", wait=False)
        if node.call("DELETE", f"/v1/export/filesystem/c{number}")[0] == 204:
            break
    else:
        raise AssertionError("no export could be canceled")
    seen = numbers(node)
    equal(value(seen, "weaviate_export_operations_total", status="canceled"), 1)
    equal(value(seen, "weaviate_export_operations_total", status="failed"), 0)
    equal(value(seen, "sluice_export_ranges_running"), 0)
    equal(value(seen, "sluice_memory_used_bytes", part="export_parts"), 0)
    node.close()
    check("participant aborted running export" in [one["msg"] for one in lines(node, f"c{number}")],
          lines(node, f"c{number}"))


def test_clients_that_ask_too_often_are_counted(bin_dir):
    node = node_with_metrics(bin_dir, SLUICE_REQUESTS_PER_ADDRESS="5")
    told = [node.call("GET", "/v1/schema")[0] for _ in range(60)].count(429)
    check(told > 0, "none was refused")
    equal(value(numbers(node), "sluice_requests_refused_total", reason="rate"), told)
    node.close()


def test_log_lines_hold_the_facts_of_the_recorded_ones(bin_dir):
    """Each recorded line of a finished export has one of ours with its action, level, message and keys."""
    node = Node(bin_dir)
    node.create_class("Movies")
    node.insert("Movies", 3)
    equal(node.export("ok-1")["status"], "SUCCESS")
    node.close()
    mine = {one["msg"]: one for one in lines(node, "ok-1")}
    for theirs in map(json.loads, (GOLDEN / "export_log.jsonl").read_text().splitlines()):
        if theirs.get("export_id") != "ok-1":
            continue
        one = mine.get(theirs["msg"], {})
        equal((one.get("action"), one.get("level")), (theirs["action"], theirs["level"]), theirs["msg"])
        check(set(theirs) <= set(one), theirs["msg"], "keys", set(theirs) - set(one))
        for key in ("class", "classes", "class_count", "nodes", "node", "snapshots", "skipped", "estimated_objects",
                    "ranges", "objects"):
            if key in theirs:
                equal(one[key], theirs[key], f"{theirs['msg']}: {key}")


def test_request_ids(bin_dir):
    node = Node(bin_dir)
    _, _, headers = node.call("GET", "/v1/meta", headers={"X-Request-Id": "abc-1.2_Z"})
    equal(headers["X-Request-Id"], "abc-1.2_Z")
    made = [node.call("GET", "/v1/meta")[2]["X-Request-Id"] for _ in range(3)]
    equal(len(set(made)), 3, made)
    for bad in ('"},{"level":"info"', "x" * 129, "a b"):
        _, _, headers = node.call("GET", "/v1/meta", headers={"X-Request-Id": bad})
        check(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", headers["X-Request-Id"]), headers)
        check(headers["X-Request-Id"] != bad, "an id no log line may hold is replaced", bad)
    node.close()


def test_failures_tell_their_request_id_and_repeat_only_so_often(bin_dir):
    node = node_with_metrics(bin_dir)
    node.folder("x").mkdir(parents=True)
    (node.folder("x") / "export_metadata.json").write_text("{")
    status, body, _ = node.call("GET", "/v1/export/filesystem/x", headers={"X-Request-Id": "mine"})
    equal(status, 500, body)
    for _ in range(99):
        node.call("GET", "/v1/export/filesystem/x")
    dropped = value(numbers(node), "sluice_log_lines_dropped_total")
    node.close()
    written = [json.loads(line) for line in node.log if '"a request failed"' in line]
    equal(written[0]["request_id"], "mine")
    equal((written[0]["status"], written[0]["path"]), (500, "/v1/export/filesystem/x"))
    equal(len(written) + dropped, 100, "each line is written or counted")
    check(dropped >= 60, "a storm of one kind is thinned", dropped)


def test_the_metrics_server_serves_metrics_only(bin_dir):
    node = node_with_metrics(bin_dir)
    equal(scrape(node, path="/v1/meta")[0], 404)
    equal(scrape(node, method="DELETE")[0], 405)
    port = listening(node)["metrics_port"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as posting:
        posting.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        check(b" 200 " not in posting.recv(100), "no body is taken")
    numbers(node)
    node.close()
    silent = Node(bin_dir)
    equal(listening(silent)["metrics_port"], 0, "off unless asked for")
    silent.close()


def test_runtime_settings_are_told(bin_dir):
    node = node_with_metrics(bin_dir)
    text = scrape(node)[1]
    check("weaviate_runtime_config" not in text, "nothing is told while there are none")
    node.stop()
    path = node.data / "overrides.yaml"
    path.write_text("export_parallelism: 1\n")
    node.env.update(RUNTIME_OVERRIDES_ENABLED="true", RUNTIME_OVERRIDES_PATH=str(path))
    node.log.clear()
    node.start()
    samples = numbers(node)
    equal(value(samples, "weaviate_runtime_config_last_load_success"), 1)
    equal(value(samples, "weaviate_runtime_config_hash", sha256=hashlib.sha256(path.read_bytes()).hexdigest()), 1)
    node.close()


def test_the_service_manager_is_told(bin_dir):
    """sd_notify(3): READY=1 once requests are served, RELOADING=1 with the time and READY=1, STOPPING=1."""
    node = Node(bin_dir)
    node.stop()
    for name in (str(node.data / "notify"), f"\0sluice-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(60)
            manager.bind(name)
            node.env["NOTIFY_SOCKET"] = name.replace("\0", "@")
            node.log.clear()
            node.start()
            equal(manager.recv(200), b"READY=1")
            equal(node.call("GET", "/v1/.well-known/ready")[0], 200)
            node.process.send_signal(signal.SIGHUP)
            check(re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(200)), "reloading")
            equal(manager.recv(200), b"READY=1")
            node.stop()
            equal(manager.recv(200), b"STOPPING=1")
    node.close()


def test_one_address_holds_only_so_many_connections(bin_dir):
    node = Node(bin_dir, SLUICE_CONNECTIONS_PER_ADDRESS=3)
    held = [socket.create_connection(("127.0.0.1", node.port), timeout=30) for _ in range(3)]
    for one in held:
        one.sendall(b"GET /v1/.well-known/live HTTP/1.1\r\nHost: x\r\n\r\n")
        check(one.recv(500).startswith(b"HTTP/1.1 200"), "served")
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as fourth:
        equal(fourth.recv(100), b"", "closed without a word")
    held.pop().close()
    while True:  # the server notices the goodbye a little later
        try:
            equal(node.call("GET", "/v1/.well-known/live")[0], 200)
            break
        except (ConnectionError, http.client.HTTPException):
            pass
    node.close()


def test_text_logs(bin_dir):
    node = Node(bin_dir)
    node.stop()
    node.env["LOG_FORMAT"] = "text"
    read, write = os.pipe()
    process = subprocess.Popen([str(node.bin_dir / "sluiced")], env=node.env, stderr=write, text=True)
    os.close(write)
    with os.fdopen(read) as log:
        first = next(line for line in log if "listening" in line)
        check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info startup listening host=\"127\.0\.0\.1\" port=\d+", first), first)
        process.terminate()
        log.read()
    equal(process.wait(60), 0)
    node.close()


run(globals())
