"""Checkpoints that somebody changed who knows the format: header, tree, and the digest that goes with them."""

import hashlib
import json
import math
import struct

NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8"}
NUMPY |= {"U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1"}
DTYPES = [*NUMPY, "BF16", "F8_E4M3", "F8_E5M2", "C64", "F4", "object", "f32", "", None, 4]
NUMBERS = [-1, 0, 1, 2**31, 2**53, 2**60, 2**63, 2**64, 2**200, -(2**63), 0.5, 1e400, math.nan, None, True, "1", [1], {}]
WORDS = ["", "__metadata__", "/", "..", "../x", "a" * 100_000, "\0", "\ud800", "\u2028", "</script>", "model", "tensor"]


def parts(content):
    """Header and data of a file."""
    (n,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def whole(text, data):
    """A file with this header, as text, and data."""
    encoded = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + data


def file(header, data, digest=True):
    """A file with this header and data, and the digest that these have, if they can have one."""
    metadata = header.get("__metadata__")
    if digest and isinstance(metadata, dict):
        header = {**header, "__metadata__": {**metadata, "digest": of(header, data)}}
    return whole(json.dumps(header), data)


def of(header, data):
    """The digest of a file."""
    try:
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        table = [(name, NUMPY[entries[name]["dtype"]], entries[name]["shape"]) for name in sorted(entries)]
        digest = hashlib.sha256(json.dumps([header["__metadata__"].get("tree", ""), table]).encode())
        for name in sorted(entries):
            start, end = entries[name]["data_offsets"]
            digest.update(data[start:end])
        return digest.hexdigest()
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return "0" * 64


def some_name(header, chance):
    return chance.choice([name for name in header if name != "__metadata__"])


def length(header, data, chance):
    content = file(header, data)
    n = struct.unpack("<Q", content[:8])[0]
    lengths = [0, 1, 2, n - 1, n + 1, len(content), 10**8, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
    return struct.pack("<Q", chance.choice(lengths)) + content[8:]


def name(header, data, chance):
    old, new = some_name(header, chance), chance.choice(WORDS)
    return file({new if key == old else key: value for key, value in header.items()}, data)


def dtype(header, data, chance):
    header[some_name(header, chance)]["dtype"] = chance.choice(DTYPES)
    return file(header, data)


def shape(header, data, chance):
    entry = header[some_name(header, chance)]
    kind = chance.randrange(4)
    if kind == 0:
        entry["shape"] = chance.choice(
            [None, 3, "3", {}, [[]], [0] * 65, [1] * 65, [1] * 100_000, [0, 2**62], [2**32, 2**32]]
        )
    elif kind == 1 and entry["shape"]:
        entry["shape"][chance.randrange(len(entry["shape"]))] = chance.choice(NUMBERS)
    elif kind == 2:
        entry["shape"] = entry["shape"][::-1]
    else:
        entry["shape"] = [math.prod(entry["shape"])]
    return file(header, data)


def offsets(header, data, chance):
    entry = header[some_name(header, chance)]
    start, end = entry["data_offsets"]
    kind = chance.randrange(3)
    if kind == 0:
        entry["data_offsets"][chance.randrange(2)] = chance.choice([*NUMBERS, start + 1, end - 1, len(data), len(data) + 8])
    elif kind == 1:
        entry["data_offsets"] = chance.choice([[end, start], [start], [], None, [start, end, end], "01", [start, start]])
    else:
        other = header[some_name(header, chance)]
        entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
    return file(header, data)


def entry(header, data, chance):
    old = some_name(header, chance)
    kind = chance.randrange(3)
    if kind == 0:
        header[old] = chance.choice([None, 5, "x", [], {}, {"dtype": "F32"}, {**header[old], "more": 1}])
    elif kind == 1:
        del header[old]
    else:
        header["another"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return file(header, data)


def huge(header, data, chance):
    """An array of no elements, or of one, that says it is vast."""
    if chance.random() < 0.5:
        header["vast"] = {
            "dtype": "F64",
            "shape": [2 ** chance.randrange(20, 63), 0],
            "data_offsets": [len(data), len(data)],
        }
        return file(header, data)
    n = 8 * 2 ** chance.randrange(20, 58)
    header["vast"] = {"dtype": "F64", "shape": [n // 8], "data_offsets": [len(data), len(data) + n]}
    return file(header, data)


def twice(header, data, chance):
    old = some_name(header, chance)
    text = json.dumps(header)
    other = {**header[old], **chance.choice([{}, {"dtype": "U8"}, {"data_offsets": [0, 0]}])}
    return whole(f"{text[:-1]}, {json.dumps(old)}: {json.dumps(other)}}}", data)


def metadata_twice(header, data, chance):
    text = file(header, data, True)
    header, data = parts(text)
    return whole(f'{json.dumps(header)[:-1]}, "__metadata__": {json.dumps({"format": "pt"})}}}', data)


def deep(header, data, chance):
    n = chance.choice([100, 1000, 100_000, 1_000_000])
    opening = chance.choice(["[", '{"a":'])
    return whole(f'{json.dumps(header)[:-1]}, "deep": {opening * n}', data)


def metadata(header, data, chance):
    key = chance.choice(list(header["__metadata__"]))
    kind = chance.randrange(4)
    if kind == 0:
        del header["__metadata__"][key]
    elif kind == 1:
        header["__metadata__"][key] = chance.choice([None, 1, [], {}, "", "0", "2", "x" * 1000])
    elif kind == 2:
        header["__metadata__"] = chance.choice([None, 1, [], {}, "", {"format": "pt"}])
    else:
        del header["__metadata__"]
    return file(header, data, digest=key != "digest")


def forged_tree(header, data, chance):
    """Another tree, with the right digest."""
    tree = json.loads(header["__metadata__"]["tree"])
    _disturb(tree, chance)
    header["__metadata__"]["tree"] = json.dumps(tree)
    return file(header, data)


def forged_text(header, data, chance):
    """Text in place of the tree, with the right digest."""
    texts = ["", "{", "null", "3", "NaN", '"x"', "[]", "{}", '{"dict": null}', '{"dict": []}', "[" * 100_000, "9" * 5000]
    texts += ['{"dict": {"model": {"dict": {}}}}', '{"dict": {}, "dict": {"a": 1}}', '{"tuple": [[1, 2]]}', "\0"]
    texts += ['{"dict": ' + '{"a": {"dict": ' * 100_000, '{"dict": {"a": {"tensor": [[], null]}}}', '{"list": []}']
    texts += ['{"dict": {"a": 1, "a": 2}}', '{"dict": {"history": {"dict": {"epochs": 3}}}}']
    header["__metadata__"]["tree"] = chance.choice(texts)
    return file(header, data)


def _disturb(tree, chance):
    """Change one place in the tree."""
    places = []
    stack = [tree]
    while stack:
        node = stack.pop()
        for key in range(len(node)) if isinstance(node, list) else list(node):
            places.append((node, key))
            if isinstance(node[key], list | dict):
                stack.append(node[key])
    node, key = chance.choice(places)
    others = [None, 0, -1, 1.5, 2**70, "x", True, [], {}, {"dict": {}}, {"tuple": []}, {"tensor": ["model/0.weight", None]}]
    others += [{"array": ["nowhere", None]}, {"tensor": ["model/0.weight", [0, 0]]}, {"tensor": ["model/0.weight", [5]]}]
    others += [
        {"tensor": ["model/0.weight", [0, 2**70]]},
        math.nan,
        [[[1]]],
        {"dict": {"a": 1}},
        {"x": 1},
        {"a": 1, "b": 2},
    ]
    if chance.random() < 0.2:
        del node[key]
    elif isinstance(node, dict) and chance.random() < 0.3:
        node[chance.choice(WORDS)] = node.pop(key)
    else:
        node[key] = chance.choice(others)


FORGERIES = {f.__name__.replace("_", " "): f for f in (length, name, dtype, shape, offsets, entry, huge, twice)}
FORGERIES |= {f.__name__.replace("_", " "): f for f in (metadata_twice, deep, metadata, forged_tree, forged_text)}


def forged(content, chance):
    """The file with a change in what it says of itself, and of which kind."""
    kind = chance.choice(list(FORGERIES))
    return kind, FORGERIES[kind](*parts(content), chance)
