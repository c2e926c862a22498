"""A slow, simple reader of Weaviate's data directories, to hold the fast one against.

Written from the description of the format (src/lsm/FORMAT.md and the pages it came from), sharing
no code with the C reader. Everything is read into memory, every checksum, order and index is
checked, and damage raises; only a log may end early.

  read_directory(path) -> {(class folder, shard): {uuid text: Object}}
"""

import functools
import pathlib
import re
import struct
import uuid
import zlib


class Damaged(Exception):
    """Bytes that no server wrote."""


def need(condition, what):
    if not condition:
        raise Damaged(what)


class Bytes:
    """Takes bytes apart from front to back."""

    def __init__(self, data, at=0, end=None):
        self.data, self.at, self.end = data, at, len(data) if end is None else end

    def take(self, size):
        need(0 <= size <= self.end - self.at, f"{size} bytes at {self.at}, {self.end - self.at} there")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, code):
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def left(self):
        return self.end - self.at


# ---- files of a bucket -------------------------------------------------------------------------
NAME = re.compile(r"segment-(\d+(?:_\d+)*)(\..+)$")


def split(name):
    """(list of identifiers, rest from the first dot on) or (None, None)."""
    match = NAME.match(name)
    return (match[1].split("_"), match[2]) if match else (None, None)


def sources(folder):
    """[(is_log, path)] of what counts, oldest first; the rules of a restart."""
    files = {p.name: p for p in pathlib.Path(folder).iterdir() if p.is_file()}
    files = {n: p for n, p in files.items() if n.endswith((".db", ".wal", ".db.tmp"))}

    def has(ident, end):
        return any(n.startswith(f"segment-{ident}.") and n.endswith(end) for n in files)

    logs = {split(n)[0][0] for n, p in files.items() if n.endswith(".wal") and p.stat().st_size > 0}
    found, replaced = [], set()  # found: (identifier, name to sort by, is_log, path)
    for name, path in files.items():
        ids, rest = split(name)
        if not ids or not name.endswith(".db.tmp"):
            continue
        if len(ids) == 1 and ids[0] not in logs and not has(ids[0], ".db"):
            found.append((ids[0], name[:-4], False, path))  # the switch of a cleanup that was not finished
        if len(ids) == 2:
            left, right = (has(i, ".db") for i in ids)
            need(right or not left, f"{name}: the right input is gone, the left is not")
            if not left:
                replaced.add(ids[1])
                found.append((ids[1], f"segment-{ids[1]}{rest[:-4]}", False, path))
    for name, path in files.items():
        ids, rest = split(name)
        if not ids or len(ids) > 1 or name.endswith(".tmp"):
            continue
        if rest == ".wal" and ids[0] in logs:
            found.append((ids[0], name, True, path))
        if rest.endswith(".db") and ids[0] not in logs and ids[0] not in replaced:
            found.append((ids[0], name, False, path))
    return [(is_log, path) for _, _, is_log, path in sorted(found, key=lambda f: f[:2])]


# ---- segments ----------------------------------------------------------------------------------
def node(data, slots):
    """(key, value or None when deleted, secondary keys). slots None: as many as there is room for."""
    deleted = data.number("<B")
    value = data.take(data.number("<Q"))
    key = data.take(data.number("<I"))
    need(len(key) == 16, f"key of {len(key)} bytes")
    secondary = []
    while data.left() > 0 if slots is None else len(secondary) < slots:
        secondary.append(data.take(data.number("<I")))
    return key, None if deleted else value, secondary


def walk_tree(data):
    """[(key, start, end)] in the order of the tree, from its root at offset 0."""
    out, size = [], len(data)

    def read(at):
        one = Bytes(data, at)
        key = one.take(one.number("<I"))
        return key, one.number("<Q"), one.number("<Q"), one.number("<q"), one.number("<q")

    stack, at = [], 0 if size else -1
    while stack or at >= 0:
        need(len(out) + len(stack) <= size // 36 + 1, "index goes round")
        if at >= 0:
            stack.append(read(at))
            at = stack[-1][3]
        else:
            one = stack.pop()
            out.append(one[:3])
            at = one[4]
    return out


def check_indexes(data, start, end, slots, nodes):
    """nodes: [(key, start, end, secondary keys)]"""
    bounds = [struct.unpack_from("<Q", data, start + 8 * i)[0] for i in range(slots)] + [end]
    primary = walk_tree(data[start + 8 * slots:bounds[0]])
    need(primary == [n[:3] for n in nodes], "primary index and data differ")
    for i in range(slots):
        tree = walk_tree(data[bounds[i]:bounds[i + 1]])
        need([t[0] for t in tree] == sorted(t[0] for t in tree), "secondary index is not in order")
        need(sorted(tree) == sorted((n[3][i], n[1], n[2]) for n in nodes), "secondary index and data differ")


def read_segment(data):
    """{key: value or None}"""
    head = Bytes(data)
    _level, version, slots, strategy = (head.number("<H") for _ in range(4))
    start = head.number("<Q")
    need(version <= 1 and strategy == 0 and 16 <= start <= len(data), "header")
    end = len(data)
    if version == 1:
        end -= 4
        want = zlib.crc32(data[:16], zlib.crc32(data[16:end]))
        need(struct.unpack(">I", data[end:])[0] == want, "checksum")
    body, nodes, out = Bytes(data, 16, start), [], {}
    while body.left():
        begun = body.at
        key, value, secondary = node(body, slots)
        need(not nodes or nodes[-1][0] < key, "keys are not ascending")
        nodes.append((key, begun, body.at, secondary))
        out[key] = value
    check_indexes(data, start, end, slots, nodes)
    return out


# ---- logs --------------------------------------------------------------------------------------
def read_record(data, crc):
    """(key, value, checksum so far); raises Damaged where the log ends."""
    begun = data.at
    kind, version = data.number("<B"), data.number("<B")
    need(kind == 0 and version <= 1, "not a record")
    if version == 0:
        key, value, _ = node(data, 1)
        return key, value, zlib.crc32(data.data[begun:begun + 2], crc)
    size = data.number("<I")
    inner = Bytes(data.take(size))
    crc = zlib.crc32(data.data[begun:data.at], crc)
    need(data.number(">I") == crc, "checksum")
    key, value, _ = node(inner, None)
    return key, value, crc


def read_log(data):
    out, crc, rest = {}, 0, Bytes(data)
    try:
        while rest.left():
            key, value, crc = read_record(rest, crc)
            out[key] = value
    except Damaged:
        pass  # everything before it is good
    return out


# ---- objects -----------------------------------------------------------------------------------
class Object:
    """Fields of a stored object; vectors as bytes of float32, little-endian."""

    def __init__(self, data):
        d = Bytes(data)
        need(d.number("<B") == 1, "marshaller version")
        self.doc_id = d.number("<Q")
        d.take(1)
        self.uuid = str(uuid.UUID(bytes=d.take(16)))
        self.created, self.updated = d.number("<q"), d.number("<q")
        self.vector = d.take(4 * d.number("<H"))
        self.class_name = d.take(d.number("<H")).decode()
        self.properties, self.additional, self.weights = (d.take(d.number("<I")) for _ in range(3))
        self.named = section(d, named_vector)
        self.multi = section(d, multi_vector)
        need(d.left() == 0, f"{d.left()} bytes after the object")

    def named_json(self):
        """The column named_vectors; None without vectors."""
        return text_of(self.named, numbers_text)

    def multi_json(self):
        return text_of(self.multi, lambda rows: "[" + ",".join(map(numbers_text, rows)) + "]")


def section(d, read):
    if d.left() == 0:
        return {}
    offsets, segment = d.take(d.number("<I")), d.take(d.number("<I"))
    return {name: read(at if isinstance(at, list) else Bytes(segment, at))
            for name, at in (unpack(Bytes(offsets)) if offsets else {}).items()}


def named_vector(d):
    return d.take(4 * d.number("<H"))


def multi_vector(d):
    if isinstance(d, list):  # servers 1.28.0 to 1.28.4: the rows are in the map itself
        return [struct.pack(f"<{len(row)}f", *row) for row in d]
    return [named_vector(d) for _ in range(d.number("<I"))]


def unpack(d):
    """The few forms of msgpack that servers use."""
    tag = d.number("<B")
    if tag < 0x80:
        return tag
    if tag < 0x90 or tag in (0xDE, 0xDF):
        count = tag & 15 if tag < 0x90 else d.number(">H" if tag == 0xDE else ">I")
        return {unpack(d): unpack(d) for _ in range(count)}
    if tag < 0xA0 or tag in (0xDC, 0xDD):
        count = tag & 15 if tag < 0xA0 else d.number(">H" if tag == 0xDC else ">I")
        return [unpack(d) for _ in range(count)]
    if tag < 0xC0:
        return d.take(tag & 31).decode()
    if tag in (0xD9, 0xDA, 0xDB):
        return d.take(d.number({0xD9: "<B", 0xDA: ">H", 0xDB: ">I"}[tag])).decode()
    if tag in (0xCC, 0xCD, 0xCE, 0xCF):
        return d.number({0xCC: "<B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}[tag])
    if tag == 0xCA:
        return d.number(">f")
    need(tag == 0xC0, f"msgpack tag {tag:#x}")
    return {}


# ---- numbers as text ---------------------------------------------------------------------------
def digits_of(x):
    """(digits, decimal point) of the shortest text that reads back as this float32: 0.d1d2… x 10^point."""
    want = struct.pack("<f", x)
    for precision in range(9):
        head, exponent = f"{x:.{precision}e}".split("e")
        number = int(head.replace(".", ""))
        for m in (number, number + 1):  # below a power of two the nearest may be too far, its neighbour not
            try:
                same = struct.pack("<f", float(f"{m}e{int(exponent) - precision}")) == want
            except OverflowError:
                same = False
            if same:
                text = str(m)
                return text.rstrip("0"), int(exponent) + 1 + len(text) - 1 - precision
    raise AssertionError(f"{x!r} has no text")


@functools.lru_cache(1 << 16)
def number_text(bits):
    """Go's strconv.AppendFloat(x, 'g', -1, 32)."""
    x = struct.unpack("<f", struct.pack("<I", bits))[0]
    if x != x:
        return "NaN"
    sign = "-" if bits >> 31 else ""
    if x in (float("inf"), -float("inf")):
        return sign + "Inf" if sign else "+Inf"
    if x == 0:
        return sign + "0"
    digits, point = digits_of(abs(x))
    exponent = point - 1
    if exponent < -4 or exponent >= 6:
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"
    if point <= 0:
        return sign + "0." + "0" * -point + digits
    if len(digits) <= point:
        return sign + digits + "0" * (point - len(digits))
    return sign + digits[:point] + "." + digits[point:]


def numbers_text(floats):
    return "[" + ",".join(number_text(b) for (b,) in struct.iter_unpack("<I", floats)) + "]"


def text_of(vectors, text):
    if not vectors:
        return None
    return "{" + ",".join(f'"{n}":{text(vectors[n])}' for n in sorted(vectors, key=str.encode)) + "}"


# ---- directory ---------------------------------------------------------------------------------
def read_bucket(folder):
    """{uuid text: Object}, the newest version of each object that is not deleted."""
    newest = {}
    for is_log, path in sources(folder):
        try:
            newest.update((read_log if is_log else read_segment)(path.read_bytes()))
        except Damaged as error:
            raise Damaged(f"{path}: {error}") from error
    objects = {}
    for key, value in newest.items():
        if value is not None:
            one = Object(value)
            need(uuid.UUID(one.uuid).bytes == key, "key and object differ")
            objects[one.uuid] = one
    return objects


def read_directory(path):
    found = {}
    for folder in sorted(pathlib.Path(path).glob("*/*/lsm/objects")):
        class_folder, shard = folder.relative_to(path).parts[:2]
        if "." not in class_folder and "." not in shard:
            found[class_folder, shard] = read_bucket(folder)
    return found
