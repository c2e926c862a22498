"""The command line as a user drives it: create, status, wait, cancel, list, load, inspect, help."""

import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from node import Node, check, equal, run  # noqa: E402


def test_create_wait_status_list(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 200)
    code, out, err = node.sluice("create", "one", "--include", "A", "--wait", "--json")
    equal(code, 0, err)
    state = json.loads(out)
    equal((state["status"], state["objectsTotal"], state["percent"]), ("SUCCESS", 200, 100))
    code, out, _ = node.sluice("status", "one")
    equal(code, 0)
    check("SUCCESS" in out and "200 of 200" in out, out)
    code, out, _ = node.sluice("list")
    check("one" in out and "SUCCESS" in out, out)
    code, out, _ = node.sluice("list", "--json")
    equal([e["id"] for e in json.loads(out)["exports"]], ["one"])
    node.close()


def test_failures_have_the_nodes_sentence_and_code_1(bin_dir):
    node = Node(bin_dir)
    code, out, err = node.sluice("status", "nothing")
    equal((code, out), (1, ""))
    check("export not found" in err and "404" in err, err)
    code, _, err = node.sluice("create", "x")
    equal(code, 1)
    check("no exportable classes" in err, err)
    code, _, err = node.sluice("cancel", "nothing")
    equal(code, 1)
    node.close()
    code, _, err = node.sluice("status", "x")
    equal(code, 1, "no node")
    check("is the server running" in err, err)


def test_wrong_usage_is_code_2(bin_dir):
    sluice = f"{bin_dir}/sluice"
    for args in ([], ["nonsense"], ["create"], ["load", "f"], ["load", "--collection", "A"], ["export", "x"],
                 ["status", "a", "b"], ["create", "x", "--nope"], ["inspect"], ["load", "-c", "A", "-p", "99", "f"],
                 ["status", "x", "--server", "ftp://a"], ["create", "My Export"], ["create", ""],
                 ["export", "x", "y", "--id", "A b"], ["export", "x", "y", "--source", "foo"],
                 ["inspect", "s3://bucket/backups/one"]):
        done = subprocess.run([sluice, *args], capture_output=True, text=True, timeout=60)
        equal(done.returncode, 2, f"{args}: {done.stderr}")
        check(done.stderr != "" and done.stdout == "", args)


def test_help_is_complete(bin_dir):
    for args, words in ((["--help"], ["create", "inspect", "Exit codes"]), (["create", "--help"], ["--include", "--server"]),
                        (["load", "--help"], ["--collection", "--tenant"]), (["export", "--help"], ["SOURCE DEST"])):
        done = subprocess.run([f"{bin_dir}/sluice", *args], capture_output=True, text=True, timeout=60)
        equal(done.returncode, 0, args)
        for word in words:
            check(word in done.stdout, f"{args}: no {word} in {done.stdout}")
    done = subprocess.run([f"{bin_dir}/sluiced", "--help"], capture_output=True, text=True, timeout=60)
    equal(done.returncode, 0)
    for word in ("EXPORT_ENABLED", "PERSISTENCE_DATA_PATH", "--port", "SLUICE_MEMORY_MAX"):
        check(word in done.stdout, f"no {word} in sluiced --help")
    for program in ("sluice", "sluiced"):
        done = subprocess.run([f"{bin_dir}/{program}", "--version"], capture_output=True, text=True, timeout=60)
        check(done.stdout.startswith(f"{program} "), done.stdout)


def test_load_tells_bad_lines_by_number_and_stores_the_rest(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    path = node.data / "rows.jsonl"
    good = [json.dumps({"properties": {"n": n}, "vector": [1, 2, 3]}) for n in range(1200)]
    good[10] = '{"properties":'
    good[500] = "[]"
    good[900] = '{"id":"not-a-uuid"}'
    good[1100] = '{"class":"B"}'
    path.write_text("\n".join(good) + "\n\n")
    code, out, err = node.sluice("load", str(path), "--collection", "A", "--json")
    equal(code, 1)
    equal(json.loads(out), {"stored": 1196, "refused": 4})
    for number in (11, 501, 901, 1101):
        check(f":{number}: " in err, f"line {number} is not told: {err}")
    equal(node.export("x")["objectsTotal"], 1196)
    code, out, _ = node.sluice("load", "-", "-c", "A", stdin='{"properties":{"n":1}}\n')
    equal((code, out), (0, "1 objects stored, 0 refused\n"))
    code, _, err = node.sluice("load", "/nonexistent", "-c", "A")
    equal(code, 1)
    check("/nonexistent" in err, err)
    node.close()


def test_load_into_a_tenant(bin_dir):
    node = Node(bin_dir)
    node.create_class("T", tenants=["a"])
    code, out, err = node.sluice("load", "-", "-c", "T", "-t", "a", "-p", "2", stdin='{"properties":{"n":1}}\n' * 50)
    equal((code, out), (0, "50 objects stored, 0 refused\n"), err)
    code, out, err = node.sluice("load", "-", "-c", "T", "-t", "missing", stdin='{"properties":{"n":1}}\n')
    equal(code, 1)
    check("missing" in err, err)
    node.close()


def test_create_of_chosen_tenants(bin_dir):
    node = Node(bin_dir)
    node.create_class("T", tenants=["a", "b", "c"])
    for tenant in "abc":
        node.insert("T", 5, tenant=tenant)
    code, out, err = node.sluice("create", "x", "-t", "a", "--tenant", "c", "--wait")
    equal(code, 0, err)
    equal(sorted(p.name for p in node.folder("x").glob("*.parquet")), ["T_a_0000.parquet", "T_c_0000.parquet"], out)
    for number, tenants in enumerate((["nobody"], ["a", "nobody", "a"])):
        code, out, err = node.sluice("create", f"y{number}", *(part for t in tenants for part in ("-t", t)))
        equal(code, 1, out)
        check('tenant "nobody"' in err, err)
    code, out, err = node.sluice("create", "z", "-t", "b", "-t", "b", "--wait")
    equal(code, 0, err)
    equal([p.name for p in node.folder("z").glob("*.parquet")], ["T_b_0000.parquet"], out)
    node.close()


def test_create_tells_collections_that_are_not_there(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 5)
    told = 'sluice: there is no collection "Nope"\n'
    for number, options in enumerate(([], ["--wait", "--quiet"], ["--json"])):
        code, out, err = node.sluice("create", f"x{number}", "--include", "A", "--include", "Nope", *options)
        equal((code, err), (0, told), options)
        node.sluice("wait", f"x{number}")
    code, _, err = node.sluice("create", "y", "--include", "A", "--wait", "--quiet")
    equal((code, err), (0, ""))
    node.close()


def test_inspect_says_what_a_file_holds(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 50)
    node.export("x")
    code, out, err = node.sluice("inspect", str(node.folder("x")), "--json")
    equal((code, out.count("\n")), (0, 1), err)
    equal(json.loads(out)["rows"], 50)
    equal(json.loads(out)["metadata"], json.loads((node.folder("x") / "export_metadata.json").read_text()))
    file = next(node.folder("x").glob("*.parquet"))
    code, out, err = node.sluice("inspect", str(file))
    equal(code, 0, err)
    footer = json.loads(out)
    equal(footer["num_rows"], 50)
    cut = node.data / "cut.parquet"
    cut.write_bytes(file.read_bytes()[:-20])
    code, out, err = node.sluice("inspect", str(cut))
    equal((code, out), (1, ""))
    check("cut.parquet" in err, err)
    stored = pathlib.Path(__file__).parent.parent / "fuzz/corpus/storobj/seed"
    code, out, err = node.sluice("inspect", str(stored))
    equal(code, 0, err)
    equal(json.loads(out)["id"], "00112233-4455-6677-8899-aabbccddeeff")
    equal(json.loads(out)["multiVectors"]["c"][1], [1e6, 3])
    code, _, err = node.sluice("inspect", "/nonexistent")
    equal(code, 1)
    node.close()


def test_inspect_goes_into_the_folders_of_a_lake(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 50)
    node.create_class("T", tenants=["one"])
    node.insert("T", 5, tenant="one")
    node.export("x", config={"layout": "lake"})
    folder = node.folder("x")
    code, out, err = node.sluice("inspect", str(folder), "--json")
    equal(code, 0, err)
    told = json.loads(out)
    equal({(f["name"], f["bytes"]) for f in told["files"]},
          {(str(p.relative_to(folder)), p.stat().st_size) for p in folder.rglob("*.parquet")})
    equal((sorted(f["rows"] for f in told["files"]), told["rows"]), ([5, 50], 55))
    code, out, err = node.sluice("inspect", str(folder))
    equal(code, 0, err)
    check("2 files, 55 rows" in out and "collection=T/tenant=one/" in out, out)
    node.close()


def test_pipes_see_plain_lines_and_no_colour(bin_dir):
    node = Node(bin_dir)
    node.create_class("A")
    node.insert("A", 10)
    _, out, err = node.sluice("create", "x", "--wait")
    check("\033" not in out + err and "\r" not in out + err, repr(out + err))
    node.close()


run(dict(globals()))
