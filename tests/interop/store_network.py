"""What lies between us and a store: proxies, authorities of one's own, versions of TLS, IPv6. With all three kinds of
stores, each a real server."""

import concurrent.futures
import contextlib
import os
import pathlib
import socket
import ssl
import sys
import tempfile
import threading
import time

import duckdb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import stores  # noqa: E402
from backend_tool import Tool  # noqa: E402
from http_proxy import HttpProxy  # noqa: E402
from node import Node, NotHere, check, equal, run  # noqa: E402
from stores import NAME  # noqa: E402

STORES = {"s3": stores.versitygw, "gcs": stores.fake_gcs, "azure": stores.azurite}
ROWS = 300


def export(bin_dir, kind, store, env):
    """An export of a node, which must be whole: read by the cloud's own library, which goes there directly."""
    node = Node(bin_dir, **env)
    node.create_class("Movies")
    node.insert("Movies", ROWS)
    status, body, _ = node.call("POST", f"/v1/export/{kind}", {"id": "e1", "file_format": "parquet"})
    equal(status, 200, body)
    code, out, err = node.sluice("wait", "e1", "--backend", kind)
    equal(code, 0, out + err)
    node.close()
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        for no, (name, data) in enumerate(store.objects("e1/").items()):
            if name.endswith(".parquet"):
                pathlib.Path(folder, f"{no}.parquet").write_bytes(data)
        equal(duckdb.sql(f"select count(distinct id) from '{folder}/*.parquet'").fetchall()[0][0], ROWS, f"{kind}: rows")


def refused(bin_dir, kind, env):
    """The sentence of the reply to a POST that must be refused."""
    node = Node(bin_dir, **env)
    node.create_class("Movies")
    status, body, _ = node.call("POST", f"/v1/export/{kind}", {"id": "e1", "file_format": "parquet"})
    check(status >= 400, f"{kind}: {status} {body}")
    node.close()
    return body["error"][0]["message"]


def host_of(store):
    """"host:port" in its settings."""
    return store.url.partition("://")[2]


def named(store):
    """Its settings with a name that only the proxy knows."""
    port = host_of(store).rpartition(":")[2]
    return {k: v.replace(host_of(store), f"{NAME}:{port}") for k, v in store.env.items()}


def fails(bin_dir, store, env, rc, *words):
    with Tool(bin_dir, f"{store.place}/x", **env) as tool:
        return tool.fails(rc, "probe", has=words)


# ---- proxies ----

def test_exports_go_through_a_proxy(bin_dir):
    """HTTP by asking it for whole URLs, TLS by tunnels. sluice still finds the node, which no proxy could reach."""
    for kind, begin in STORES.items():
        for is_tls in (False, True):
            with begin(is_tls=is_tls) as store, HttpProxy({NAME: "127.0.0.1"}) as proxy:
                export(bin_dir, kind, store, {**named(store), "https_proxy" if is_tls else "http_proxy": proxy.url})
                start = "CONNECT " if is_tls else ("GET http://", "PUT http://", "POST http://", "DELETE http://", "HEAD http://")
                check(all(line.startswith(start) for line in proxy.log), proxy.log)
                check(sum(NAME in line for line in proxy.log) > (0 if is_tls else 3), proxy.log)


def test_which_variables_name_the_proxy(bin_dir):
    """HTTP_PROXY is not one of them: as CGI has it, it may be a header of a client. That is libcurl's rule."""
    with stores.versitygw() as plain, stores.versitygw(is_tls=True) as tls:
        for name, store, is_asked in (("http_proxy", plain, True), ("HTTP_PROXY", plain, False), ("https_proxy", plain, False),
                                      ("https_proxy", tls, True), ("HTTPS_PROXY", tls, True), ("http_proxy", tls, False),
                                      ("all_proxy", plain, True), ("ALL_PROXY", plain, True), ("ALL_PROXY", tls, True)):
            for no_proxy in ({}, {"NO_PROXY": "127.0.0.1"}, {"no_proxy": "example.com,127.0.0.1"}, {"no_proxy": "*"},
                             {"no_proxy": "127.0.0.2"}, {"NO_PROXY": "127.0.0.0/8"}):
                with HttpProxy({}) as proxy, Tool(bin_dir, f"{store.place}/x", **{**store.env, name: proxy.url, **no_proxy}) as tool:
                    tool.ok("probe")
                    is_direct = no_proxy not in ({}, {"no_proxy": "127.0.0.2"})
                    equal(len(proxy.log) > 0, is_asked and not is_direct, f"{name} {no_proxy}: asked {proxy.log}")


def test_a_proxy_that_asks_who_we_are(bin_dir):
    for is_tls, variable in ((False, "http_proxy"), (True, "https_proxy")):
        with stores.versitygw(is_tls=is_tls) as store, HttpProxy({NAME: "127.0.0.1"}, login="ann:se cret") as proxy:
            env = {**named(store), variable: proxy.url.replace("//", "//ann:se%20cret@")}
            with Tool(bin_dir, f"{store.place}/x", **env) as tool:
                tool.ok("probe")
            for login in ("", "ann:wrong-password@"):
                env[variable] = proxy.url.replace("//", f"//{login}")
                told = fails(bin_dir, store, env, "SL_EACCESS", "proxy", "407", variable)
                check("wrong" not in told and NAME in told, told)


def test_a_proxy_that_is_not_there(bin_dir):
    with stores.versitygw() as store:
        port, = stores.free_ports(1)
        for proxy, words in ((f"http://127.0.0.1:{port}", (f"127.0.0.1 port {port}",)), (f"http://{NAME}:1", ("proxy", NAME))):
            env = {**store.env, "http_proxy": proxy, "SLUICE_STORE_DEADLINE": "1s"}
            fails(bin_dir, store, env, "SL_EIO", host_of(store), *words)


def test_a_proxy_that_lets_nobody_there(bin_dir):
    """What it will say again ends the request; what may pass is tried again."""
    with stores.versitygw(is_tls=True) as store, HttpProxy({NAME: "127.0.0.1"}) as proxy:
        env = {**named(store), "https_proxy": proxy.url, "SLUICE_STORE_DEADLINE": "1s"}
        proxy.refusal = "403 Forbidden"
        fails(bin_dir, store, env, "SL_EACCESS", NAME, "the proxy refuses", "403", "no_proxy")
        equal(len(proxy.log), 1, "tries")
        proxy.refusal = "503 Service Unavailable"
        fails(bin_dir, store, env, "SL_EIO", NAME, "503", "tried")
        check(len(proxy.log) > 2, proxy.log)


def test_a_proxy_over_tls(bin_dir):
    """Its authority may be ours, too."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
        pair = stores.certificate(folder)
        for is_tls, variable in ((False, "http_proxy"), (True, "https_proxy")):
            with stores.versitygw(is_tls=is_tls) as store, HttpProxy({NAME: "127.0.0.1"}, tls=pair) as proxy:
                both = pathlib.Path(folder, "both.pem")
                both.write_bytes(b"".join(pathlib.Path(p).read_bytes() for p in (pair[0], store.ca) if p))
                env = {**named(store), variable: proxy.url, "SLUICE_STORE_CA": both}
                with Tool(bin_dir, f"{store.place}/x", **env) as tool:
                    tool.ok("probe")
                equal(len(proxy.log) > 0, True, "asked")
                fails(bin_dir, store, {**env, "SLUICE_STORE_CA": store.ca or ""}, "SL_EACCESS", "SLUICE_STORE_CA")


# ---- certificates, TLS ----

def test_certificates_of_an_own_authority(bin_dir):
    for kind, begin in STORES.items():
        with begin(is_tls=True) as store:
            export(bin_dir, kind, store, store.env)
            told = refused(bin_dir, kind, {**store.env, "SLUICE_STORE_CA": ""})
            check("certificate" in told and "SLUICE_STORE_CA" in told and host_of(store) in told, told)
            with tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
                told = refused(bin_dir, kind, {**store.env, "SLUICE_STORE_CA": stores.certificate(folder)[0]})
                check("certificate" in told, told)


@contextlib.contextmanager
def tls_server(port, pair, newest):
    """Speaks TLS up to that version, and nothing more; counts those who spoke it, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    context.load_cert_chain(*pair)
    listener, spoke = socket.create_server(("127.0.0.1", port)), []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                with context.wrap_socket(connection, server_side=True) as s:
                    spoke.append(s.version())
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield spoke
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_old_tls_is_refused(bin_dir):
    """Where the store was, one answers now that speaks TLS 1.1 at most."""
    for kind, begin in STORES.items():
        with begin(is_tls=True) as store, tempfile.TemporaryDirectory(prefix="sluice-test-") as folder:
            pair = stores.certificate(folder)
            port, = stores.free_ports(1)
            env = {k: v.replace(host_of(store), f"127.0.0.1:{port}") for k, v in store.env.items()}
            env["SLUICE_STORE_CA"] = pair[0]
            with tls_server(port, pair, ssl.TLSVersion.TLSv1_1) as spoke:
                old = ssl.create_default_context(cafile=str(pair[0]))
                old.set_ciphers("ALL:@SECLEVEL=0")
                old.minimum_version = ssl.TLSVersion.TLSv1
                with socket.create_connection(("127.0.0.1", port)) as s, old.wrap_socket(s, server_hostname="127.0.0.1") as t:
                    equal(t.version(), "TLSv1.1", "of a client that takes it")
                told = refused(bin_dir, kind, env)
                check("no TLS 1.2 or later is spoken there" in told and f"127.0.0.1:{port}" in told, told)
                equal(len(spoke), 1, "connections")


# ---- silence ----

def test_a_store_that_never_answers_is_told_in_time(bin_dir):
    """The POST waits for ten seconds: before the store's word, in its TLS handshake, before it takes the connection."""
    def ask(kind, begin, is_tls, backlog):
        # What comes beyond the queue of connections, Linux drops: a client waits in connect.
        with socket.create_server(("127.0.0.1", 0), backlog=backlog) as silent, contextlib.ExitStack() as stack:
            at = silent.getsockname()
            for _ in range(4 if backlog == 0 else 0):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(at)
            with begin(is_tls=is_tls) as store:
                env = {k: v.replace(host_of(store), f"127.0.0.1:{at[1]}") for k, v in store.env.items()
                       if k != "SLUICE_STORE_CA"}
            with Tool(bin_dir, f"{store.place}/x", **env, SLUICE_STORE_STALL="300s", SLUICE_STORE_DEADLINE="600s") as tool:
                begun = time.monotonic()
                tool.fails("SL_ETIMEOUT", "probe", has=(f"127.0.0.1:{at[1]}",))
                took = time.monotonic() - begun
                check(9 < took < 15, f"{kind} {is_tls} {backlog}: {took:.1f} s")
    cases = [(kind, begin, is_tls, backlog) for kind, begin in STORES.items()
             for is_tls, backlog in ((False, 9), (True, 9), (False, 0))]
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        for done in [pool.submit(ask, *case) for case in cases]:
            done.result()


# ---- IPv6 ----

def test_exports_over_ipv6(bin_dir):
    try:
        stores.free_ports(1, "::1")
    except OSError as error:
        raise NotHere("this machine has no ::1; for a container: --sysctl net.ipv6.conf.all.disable_ipv6=0") from error
    for kind, begin in STORES.items():
        for is_tls in (False, True):
            with begin(is_tls=is_tls, host="::1") as store:
                check("[::1]:" in store.url, store.url)
                export(bin_dir, kind, store, store.env)


if __name__ == "__main__":
    run(dict(globals()))
