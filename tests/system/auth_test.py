"""Keys, users, roles and who may export, over HTTP as the official clients call it.

Expected: section 4 of the REST contract of Weaviate and calls recorded from a 1.39.0 server.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402

KEYS = {"AUTHENTICATION_APIKEY_ENABLED": "true",
        "AUTHENTICATION_APIKEY_ALLOWED_KEYS": "root-key,adm-key,view-key,part-key,bob-key",
        "AUTHENTICATION_APIKEY_USERS": "root-user,adm,viewer-user,part,bob"}
ROLES = {**KEYS, "AUTHENTICATION_DB_USERS_ENABLED": "true", "AUTHORIZATION_RBAC_ENABLED": "true",
         "AUTHORIZATION_RBAC_ROOT_USERS": "root-user"}
NO_TOKEN = ('{"code":401,"message": "anonymous access not enabled. Please authenticate through one of the available '
            'methods: [API-keys]" }')


def ask(node, key, method, path, body=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    status, parsed, _ = node.call(method, path, body, headers)
    return status, parsed


def root(node, method, path, body=None, want=200):
    status, parsed = ask(node, "root-key", method, path, body)
    equal(status, want, f"{method} {path} {parsed}")
    return parsed


def forbidden(user, action, where):
    return {"error": [{"message": f"authorization failed: rbac: authorization, forbidden action: user '{user}' has "
                                  f"insufficient permissions to {action} [[Domain: backups,Collection: {where}]]"}]}


def assign_all(node):
    root(node, "POST", "/v1/authz/roles", {"name": "exporter", "permissions": [
        {"action": "manage_backups", "backups": {"collection": "Movies*"}}]}, 201)
    for user, role in (("part", "exporter"), ("viewer-user", "viewer"), ("adm", "admin")):
        root(node, "POST", f"/v1/authz/users/{user}/assign", {"roles": [role], "userType": "db"})


def test_who_sends_no_good_token_is_told_so(bin_dir):
    node = Node(bin_dir, **KEYS)
    for headers in ({}, {"Authorization": "Basic root-key"}, {"Authorization": "bearer root-key"},
                    {"Authorization": "root-key"}):
        # Before the body is looked at, which is none.
        for method, path in (("GET", "/v1/meta"), ("POST", "/v1/export/filesystem"), ("GET", "/v1/users/own-info")):
            status, _, got = node.call(method, path, None, headers)
            equal(status, 401, f"{method} {path} {headers}")
            equal(got["Content-Type"], "text/plain; charset=utf-8")
    _, text, _ = node.call("GET", "/v1/meta")
    equal(text, json.loads(NO_TOKEN))
    status, body, got = node.call("GET", "/v1/meta", None, {"Authorization": "Bearer bad"})
    equal((status, body, got["Content-Type"]),
          (401, {"code": 401, "message": "unauthorized: invalid api key"}, "application/json"))
    equal(node.call("GET", "/v1/meta?access_token=root-key")[0], 200)
    equal(node.call("GET", "/v1/nope")[0], 404)
    equal(node.call("PATCH", "/v1/meta")[0], 405)
    for path in ("/v1", "/v1/.well-known/live", "/v1/.well-known/ready"):
        equal(node.call("GET", path)[0], 200)
    equal(node.call("GET", "/v1/.well-known/openid-configuration")[0], 404)
    # Keys without roles: whoever has one may do all.
    equal(ask(node, "bob-key", "POST", "/v1/schema", {"class": "A"})[0], 200)
    node.close()


def test_a_token_where_none_is_expected_is_refused(bin_dir):
    node = Node(bin_dir)
    status, body = ask(node, "some-key", "GET", "/v1/meta")
    equal((status, body["message"]),
          (401, "no authentication scheme is configured (API Key or OIDC), but an 'Authorization' header was "
                "provided. Please configure an auth scheme or remove the header for anonymous access"))
    equal(ask(node, None, "GET", "/v1/meta")[0], 200)
    node.close()


def test_who_may_export_read_and_cancel(bin_dir):
    """The table of section 4.1."""
    node = Node(bin_dir, **ROLES)
    assign_all(node)
    for name in ("Books", "Movies", "Movies2"):
        root(node, "POST", "/v1/schema", {"class": name})
    for key, want in (("root-key", {"Books", "Movies", "Movies2"}), ("adm-key", {"Books", "Movies", "Movies2"}),
                      ("part-key", {"Movies", "Movies2"}), ("view-key", None), ("bob-key", None)):
        export_id = f"of-{key}"
        status, body = ask(node, key, "POST", "/v1/export/filesystem", {"id": export_id, "file_format": "parquet"})
        if want is None:
            equal((status, body), (422, {"error": [{"message": "export validation error: no exportable classes"}]}))
        else:
            equal((status, set(body.get("classes", []))), (200, want), f"{key} {body}")
            wait(node, export_id)
    status, body = ask(node, "part-key", "POST", "/v1/export/filesystem",
                       {"id": "some", "file_format": "parquet", "include": ["Books", "Movies", "Nothing"]})
    equal((status, body["classes"]), (200, ["Movies"]))
    # A collection that is not theirs and one that does not exist look the same.
    equal(sorted(body.get("unknownCollections", [])), ["Books", "Nothing"])
    wait(node, "some")
    table = {  # full export, part's export, an id nobody used
        "GET": {"root-key": (200, 200, 404), "adm-key": (200, 200, 404), "view-key": (200, 200, 404),
                "part-key": (403, 200, 403), "bob-key": (403, 403, 403)},
        "DELETE": {"root-key": (409, 409, 404), "adm-key": (409, 409, 404), "view-key": (403, 403, 404),
                   "part-key": (403, 409, 403), "bob-key": (403, 403, 403)},
    }
    for method, rows in table.items():
        for key, want in rows.items():
            got = tuple(ask(node, key, method, f"/v1/export/filesystem/{i}")[0]
                        for i in ("of-root-key", "of-part-key", "unused"))
            equal(got, want, f"{method} by {key}")
    for unreadable in ("of-root-key", "unused"):  # not a word about which of them exists
        equal(ask(node, "bob-key", "GET", f"/v1/export/filesystem/{unreadable}")[1],
              forbidden("bob", "read_backups", "*"))
    # Who may read it is told what they lack.
    equal(ask(node, "view-key", "DELETE", "/v1/export/filesystem/of-part-key")[1]["error"][0]["message"].split("[[")[0],
          "authorization failed: rbac: authorization, forbidden action: user 'viewer-user' has insufficient "
          "permissions to delete_backups ")
    lists = {key: {e["id"] for e in ask(node, key, "GET", "/v1/export/filesystem")[1]["exports"]}
             for key in ("view-key", "part-key", "bob-key")}
    equal(lists, {"view-key": {"of-root-key", "of-adm-key", "of-part-key", "some"},
                  "part-key": {"of-part-key", "some"}, "bob-key": set()})
    node.close()


def wait(node, export_id):
    for _ in range(10000):
        if root(node, "GET", f"/v1/export/filesystem/{export_id}")["status"] == "SUCCESS":
            return
    check(False, export_id, "does not end")


def test_users_and_roles_survive_a_power_cut(bin_dir):
    """What was acknowledged is there after SIGKILL, and what was taken back is not."""
    node = Node(bin_dir, **ROLES)
    assign_all(node)
    keep = root(node, "POST", "/v1/users/db/keep", {}, 201)["apikey"]
    old = root(node, "POST", "/v1/users/db/turn", {}, 201)["apikey"]
    new = root(node, "POST", "/v1/users/db/turn/rotate-key", {})["apikey"]
    off = root(node, "POST", "/v1/users/db/off", {}, 201)["apikey"]
    root(node, "POST", "/v1/users/db/off/deactivate", {"revoke_key": False})
    gone = root(node, "POST", "/v1/users/db/gone", {}, 201)["apikey"]
    root(node, "DELETE", "/v1/users/db/gone", None, 204)
    root(node, "POST", "/v1/authz/users/keep/assign", {"roles": ["exporter"], "userType": "db"})
    root(node, "POST", "/v1/authz/roles", {"name": "short", "permissions": []}, 201)
    root(node, "DELETE", "/v1/authz/roles/short", None, 204)
    role = root(node, "GET", "/v1/authz/roles/exporter")
    node.kill()
    again = Node(bin_dir, node.data, **ROLES)
    equal(root(again, "GET", "/v1/authz/roles/exporter"), role)
    root(again, "GET", "/v1/authz/roles/short", None, 404)
    own = {key: ask(again, key, "GET", "/v1/users/own-info") for key in (keep, old, new, off, gone)}
    equal(own[keep], (200, {"groups": None, "roles": [role], "username": "keep"}))
    equal(own[new], (200, {"groups": None, "roles": None, "username": "turn"}))
    equal([own[k][1]["message"] for k in (old, off, gone)],
          [f"unauthorized: invalid api key: {why}" for why in ("invalid token", "user deactivated", "invalid token")])
    secrets = [keep, new, "root-key", "bob-key"]
    for file in node.data.rglob("*"):  # neither in the store nor in the log
        if file.is_file():
            text = file.read_bytes()
            check(not any(s.encode() in text for s in secrets), f"a key is in {file}")
    check(not any(s in line for s in secrets for line in node.log + again.log), "a key is in the log")
    again.close()
    node.close()


def test_the_calls_of_the_python_client(bin_dir):
    """Those of client.roles and client.users that the recordings do not have."""
    node = Node(bin_dir, **ROLES)
    assign_all(node)
    equal(root(node, "POST", "/v1/authz/roles/exporter/has-permission",
               {"action": "manage_backups", "backups": {"collection": "Books"}}), False)
    equal(root(node, "GET", "/v1/authz/roles/exporter/user-assignments"), [{"userId": "part", "userType": "db_env_user"}])
    for group in ("staff", "a/b"):
        root(node, "POST", f"/v1/authz/groups/{group.replace('/', '%2F')}/assign", {"roles": ["exporter"], "groupType": "oidc"})
    equal(root(node, "GET", "/v1/authz/roles/exporter/group-assignments"),
          [{"groupId": "a/b", "groupType": "oidc"}, {"groupId": "staff", "groupType": "oidc"}])
    equal(root(node, "GET", "/v1/authz/groups/staff/roles/oidc?includeFullRoles=false"),
          [{"name": "exporter", "permissions": None}])
    equal(root(node, "GET", "/v1/authz/groups/oidc"), ["a/b", "staff"])
    root(node, "POST", "/v1/authz/groups/staff/revoke", {"roles": ["exporter"], "groupType": "oidc"})
    equal(root(node, "GET", "/v1/authz/groups/oidc"), ["a/b"])
    # Everybody may ask for what is theirs.
    equal(ask(node, "part-key", "GET", "/v1/authz/users/part/roles/db?includeFullRoles=false"),
          (200, [{"name": "exporter", "permissions": None}]))
    equal(ask(node, "part-key", "GET", "/v1/authz/users/adm/roles/db")[0], 403)
    equal(ask(node, "bob-key", "POST", "/v1/users/db/mine", {})[0], 403)
    equal(root(node, "POST", "/v1/users/db/bob/rotate-key", {}, 422)["error"][0]["message"],
          "user 'bob' is static: it comes from AUTHENTICATION_APIKEY_USERS and is changed there")
    equal(root(node, "POST", "/v1/users/db/root-user/deactivate", {}, 422)["error"][0]["message"],
          "user 'root-user' cannot self-deactivate")
    node.close()


def test_a_refusal_leaves_an_audit_line(bin_dir):
    node = Node(bin_dir, **ROLES)
    root(node, "POST", "/v1/schema", {"class": "Movies"})
    equal(ask(node, "bob-key", "GET", "/v1/schema/Movies")[0], 403)
    many = [{"class": "Movies", "properties": {}}] * 500
    equal(ask(node, "bob-key", "POST", "/v1/batch/objects", {"objects": many})[0], 403)
    node.stop()
    lines = [json.loads(line) for line in node.log if '"authorize"' in line]
    equal(len(lines), 2)
    want = {"msg": "authorization denied", "component": "RBAC", "user": "bob", "request_action": "R",
            "perm": "read_collections", "resource": "[Domain: collections, Collection: Movies]",
            "source_ip": "127.0.0.1"}
    equal({k: lines[0].get(k) for k in want}, want)
    node.close()


def test_guessing_keys_is_slowed_down(bin_dir):
    node = Node(bin_dir, **KEYS)
    statuses = [ask(node, f"guess-{n}", "GET", "/v1/meta")[0] for n in range(200)]
    equal(set(statuses) - {401, 429}, set())
    check(429 in statuses, statuses)
    equal(statuses[:10], [401] * 10)
    node.close()


def test_a_node_beside_weaviate_knows_its_users_too(bin_dir):
    with tempfile.TemporaryDirectory() as foreign:
        node = Node(bin_dir, SLUICE_SOURCE=f"weaviate:{foreign}", **ROLES)
        assign_all(node)
        key = root(node, "POST", "/v1/users/db/ann", {}, 201)["apikey"]
        node.kill()
        again = Node(bin_dir, node.data, SLUICE_SOURCE=f"weaviate:{foreign}", **ROLES)
        equal(ask(again, key, "GET", "/v1/users/own-info")[0], 200)
        equal(ask(again, "part-key", "GET", "/v1/authz/users/part/roles/db?includeFullRoles=false"),
              (200, [{"name": "exporter", "permissions": None}]))
        again.close()
        node.close()


def test_the_command_line_sends_its_key(bin_dir):
    node = Node(bin_dir, SLUICE_API_KEY="bob-key", **KEYS)
    equal(ask(node, "bob-key", "POST", "/v1/schema", {"class": "A"})[0], 200)
    code, out, err = node.sluice("create", "x", "--wait", "--json")
    equal((code, json.loads(out)["status"]), (0, "SUCCESS"), err)
    node.env["SLUICE_API_KEY"] = "bad"
    code, out, err = node.sluice("status", "x")
    equal((code, out), (1, ""))
    check("invalid api key" in err, err)
    node.close()


def test_bad_settings_stop_the_start_with_one_line(bin_dir):
    cases = [({"AUTHENTICATION_APIKEY_USERS": "a,b"}, "AUTHENTICATION_APIKEY_USERS"),
             ({"AUTHENTICATION_APIKEY_ALLOWED_KEYS": "k,k", "AUTHENTICATION_APIKEY_USERS": "a"},
              "AUTHENTICATION_APIKEY_ALLOWED_KEYS"),
             ({"AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true", "AUTHORIZATION_RBAC_ENABLED": "true"},
              "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED"),
             ({"AUTHORIZATION_ADMINLIST_ENABLED": "true", "AUTHORIZATION_RBAC_ENABLED": "true"},
              "AUTHORIZATION_ADMINLIST_ENABLED")]
    for env, variable in cases:
        with tempfile.TemporaryDirectory() as data:
            done = subprocess.run([str(pathlib.Path(bin_dir) / "sluiced")], capture_output=True, text=True, timeout=60,
                                  env={**KEYS, **env, "PERSISTENCE_DATA_PATH": data, "SLUICE_PORT": "0", "GRPC_PORT": "0"})
            check(done.returncode != 0, env, "started")
            last = done.stderr.strip().split("\n")[-1]
            check(last.startswith(f"sluiced: {variable}: "), env, last)


run(dict(globals()))
