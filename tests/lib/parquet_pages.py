"""Footer, indexes and page headers of a Parquet file, read by code that shares nothing with the writer."""

import struct
import zlib

from node import check, equal


class Thrift:
    """Compact protocol into dicts by field number. Integers, bytes, lists, structs, booleans."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind):
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            self.at += 1
            return self.data[self.at - 1]
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 8:
            size = self.varint()
            self.at += size
            return self.data[self.at - size:self.at]
        if kind == 9:
            head = self.data[self.at]
            self.at += 1
            count = head >> 4 if head >> 4 != 15 else self.varint()
            if head & 15 in (1, 2):
                self.at += count
                return [b == 1 for b in self.data[self.at - count:self.at]]
            return [self.value(head & 15) for _ in range(count)]
        check(kind == 12, f"thrift type {kind} at {self.at}")
        return self.struct()

    def struct(self):
        fields, last = {}, 0
        while True:
            head = self.data[self.at]
            self.at += 1
            if head == 0:
                return fields
            last = last + (head >> 4) if head >> 4 else self.zigzag()
            fields[last] = self.value(head & 15)


def walk_pages(data, meta, encoding=0):
    """Pages of a chunk: (offset, stored size with header, entries, payload offset, raw size)."""
    at, end, raw = meta[9], meta[9] + meta[7], 0
    while at < end:
        thrift = Thrift(data, at)
        head = thrift.struct()
        equal(sorted(head), [1, 2, 3, 4, 5], "page header: no statistics")
        equal((head[1], head[5][2], head[5][3], head[5][4]), (0, encoding, 3, 3), "v1 data page, its encoding, RLE")
        payload = data[thrift.at:thrift.at + head[3]]
        equal(head[4] & 0xFFFFFFFF, zlib.crc32(payload), "page checksum")
        check(-2**31 <= head[4] < 2**31, "the checksum is a signed 32-bit number")
        raw += thrift.at - at + head[2]
        yield at, thrift.at - at + head[3], head[5][1], thrift.at, head[2]
        at = thrift.at + head[3]
    equal(at, end, "pages end where the chunk ends")
    equal(raw, meta[6], "total_uncompressed_size counts headers")


def read_footer(data):
    """FileMetaData, which ends right before its length."""
    size = struct.unpack("<I", data[-8:-4])[0]
    thrift = Thrift(data, len(data) - 8 - size)
    footer = thrift.struct()
    equal(thrift.at, len(data) - 8, "length of the footer")
    return footer
