"""Writes the files of forms/: what torch.save, and those who pack its files again, write in each of their forms.

    python3 forms.py

PyTorch is not needed: its classes and functions are only named in a file, so empty ones under their names do. The
layout is that of torch/serialization.py. Where nothing else is said, the tensors are those of state().
"""

import argparse
import collections
import copyreg
import io
import os
import pickle
import struct
import sys
import types
import zipfile

os.chdir(os.path.dirname(os.path.abspath(__file__)))
os.makedirs("forms", exist_ok=True)


def module(name):
    m = sys.modules[name] = types.ModuleType(name)
    return m


def named(where, name):
    """A class under a name of PyTorch's."""
    c = type(name, (), {"__module__": where.__name__})
    setattr(where, name, c)
    return c


def function(where, name):
    def f(*args):
        raise AssertionError("nothing is run")

    f.__module__, f.__name__, f.__qualname__ = where.__name__, name, name
    setattr(where, name, f)
    return f


torch, utils, tensor_module, storage_module, nn = map(module, ["torch", "torch._utils", "torch._tensor", "torch.storage", "torch.nn"])
rebuild = function(utils, "_rebuild_tensor_v2")
rebuild3 = function(utils, "_rebuild_tensor_v3")
rebuild_parameter = function(utils, "_rebuild_parameter")
rebuild_qtensor = function(utils, "_rebuild_qtensor")
rebuild_sparse = function(utils, "_rebuild_sparse_tensor")
rebuild_from_type = function(tensor_module, "_rebuild_from_type_v2")
Net = named(nn, "Net")
Parameter = named(nn, "Parameter")
untyped = named(storage_module, "UntypedStorage")


class DType:  # is pickled as a name
    def __init__(self, name):
        self.name = name
        setattr(torch, name, self)

    def __reduce__(self):
        return self.name

    __module__ = "torch"


class Storage:
    def __init__(self, kind, data, size):
        self.type = kind if isinstance(kind, type) else named(torch, kind) if not hasattr(torch, kind) else getattr(torch, kind)
        self.data, self.count, self.size = data, len(data) // size, size


class Call:
    """What is pickled as a call."""

    def __init__(self, f, *args, state=None):
        self.f, self.args, self.state = f, args, state

    def __reduce__(self):
        return (self.f, self.args, self.state) if self.state else (self.f, self.args)


def tensor(storage, shape, strides=None, offset=0, f=rebuild, *more):
    if strides is None:
        strides, n = [], 1
        for d in reversed(shape):
            strides.insert(0, n)
            n *= d
    return Call(f, storage, offset, tuple(shape), tuple(strides), False, collections.OrderedDict(), *more)


def state():
    return collections.OrderedDict(
        w=tensor(Storage("FloatStorage", struct.pack("<6f", 1, 2, 3, 4, 5, 6), 4), [2, 3]),
        b=tensor(Storage("FloatStorage", struct.pack("<2f", 0.5, -0.5), 4), [2]),
        n=tensor(Storage("LongStorage", struct.pack("<q", 7), 8), []),
    )


def dump(obj, protocol, persistent=None, base=pickle.Pickler):
    f = io.BytesIO()

    class P(base):
        def persistent_id(self, o):
            return persistent(o) if persistent else None

    P(f, protocol).dump(obj)
    return f.getvalue()


def contents(obj, protocol, legacy=False, base=pickle.Pickler):
    """The pickle, and the storages by key."""
    storages = {}

    def persistent(o):
        if not isinstance(o, Storage):
            return None
        for key, known in storages.items():
            if known is o:
                break
        else:
            key = str(len(storages))
            storages[key] = o
        return ("storage", o.type, key, "cpu", o.count) + ((None,) if legacy else ())

    return dump(obj, protocol, persistent, base), storages


def write(name, data):
    with open("forms/" + name + ".pth", "wb") as f:
        f.write(data)


def zipped(name, obj, protocol=2, folder="archive/", method=zipfile.ZIP_STORED, order="little", zip64=False, before=b"", extra=()):
    data, storages = contents(obj, protocol)
    f = io.BytesIO()
    f.write(before)
    with zipfile.ZipFile(f, "w" if not before else "a", method) as z:

        def add(name, content):
            info = zipfile.ZipInfo(folder + name)
            info.compress_type = method
            with z.open(info, "w", force_zip64=zip64) as entry:
                entry.write(content)

        add("data.pkl", data)
        if order:
            add("byteorder", order.encode())
        for key, s in storages.items():
            add("data/" + key, s.data)
        add("version", b"3\n")
        for other in extra:
            add(other, b"")
    write(name, f.getvalue())


def legacy(name, obj, protocol=2, little=True, base=pickle.Pickler):
    data, storages = contents(obj, protocol, True, base)
    out = dump(0x1950A86A20F9469CFC6C, protocol) + dump(1001, protocol)
    out += dump({"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}, protocol)
    out += data + dump(sorted(storages), protocol)
    for key in sorted(storages):
        out += struct.pack("<q", storages[key].count) + storages[key].data
    write(name, out)


for protocol in range(6):
    zipped(f"zip_protocol{protocol}", state(), protocol)
    legacy(f"legacy_protocol{protocol}", state(), protocol)
zipped("zip_deflated", state(), method=zipfile.ZIP_DEFLATED)
zipped("zip_zip64", state(), folder="weights of epoch 3/", zip64=True)
zipped("zip_deep_folder", state(), folder="a/b/c/")
zipped("zip_no_folder", state(), folder="", order="")
zipped("zip_after_other_bytes", state(), before=b"#!/bin/sh\n")


class Python2(pickle._Pickler):
    """Writes as Python 2 did: strings as bytes, and an OrderedDict as a call with its pairs."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, s):
        data = s.encode()
        self.write(b"U" + bytes([len(data)]) + data)
        self.memoize(s)

    dispatch[str] = save_str

    def reducer_override(self, o):
        if isinstance(o, collections.OrderedDict):
            return (collections.OrderedDict, ([list(pair) for pair in o.items()],)) if o else (collections.OrderedDict, ([],))
        return NotImplemented

    def save_long(self, n):  # 0L of Python 2
        self.write(b"\x8a\x00") if n == 0 else pickle._Pickler.save_long(self, n)

    dispatch[int] = save_long


legacy("python2", state(), base=Python2)

# Entries beside the state dict: objects of classes that are not here, an optimizer, a tensor by itself.
optimizer = {"state": {0: {"step": 3, "exp_avg": tensor(Storage("FloatStorage", bytes(8), 4), [2])}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
named_state = {"state": {"w": {"exp_avg": tensor(Storage("FloatStorage", bytes(8), 4), [2])}}, "param_groups": []}
checkpoint = {
    "epoch": 3,
    "arch": "resnet",
    "args": argparse.Namespace(lr=0.1, layers=[1, 2], seed=None),
    "best": Call(function(module("numpy.core.multiarray"), "scalar"), Call(named(module("numpy"), "dtype"), "f8", False, True), b"\x00" * 8),
    "seen": {1, 2},
    "frozen": frozenset([3]),
    "raw": bytearray(b"abc"),
    "counts": collections.defaultdict(list, a=[1]),
    "complex": 1j,
    "big": 1 << 100,
    "device": Call(function(torch, "device"), "cuda:0"),
    "rng_state": tensor(Storage("ByteStorage", bytes(4), 1), [4]),
    "optimizer": optimizer,
    "optimizers": {"model": named_state},
    "callbacks": {"best": {"score": tensor(Storage("FloatStorage", bytes(4), 4), [])}},
    "state_dict": state(),
}
for protocol in range(6):
    zipped(f"checkpoint_protocol{protocol}", checkpoint, protocol)

parameter = lambda name: Call(rebuild_parameter, state()[name], True, collections.OrderedDict(), state={"note": "x"})
zipped("parameters", collections.OrderedDict(
    w=parameter("w"), b=Call(rebuild_from_type, rebuild, Parameter, tensor(Storage("FloatStorage", struct.pack("<2f", 0.5, -0.5), 4), [2]).args, {"tag": 1}), n=state()["n"]))

# All kinds of numbers; the kind of a v3 tensor is its own.
kinds = {
    "half": ("HalfStorage", "<3e", 2), "float": ("FloatStorage", "<3f", 4), "double": ("DoubleStorage", "<3d", 8),
    "char": ("CharStorage", "<3b", 1), "short": ("ShortStorage", "<3h", 2), "int": ("IntStorage", "<3i", 4), "long": ("LongStorage", "<3q", 8),
}
tensors = {name: tensor(Storage(kind, struct.pack(form, 1, -2, 3), size), [3]) for name, (kind, form, size) in kinds.items()}
tensors["bfloat16"] = tensor(Storage("BFloat16Storage", struct.pack("<3H", 0x3F80, 0xC000, 0x4040), 2), [3])
tensors["byte"] = tensor(Storage("ByteStorage", bytes([1, 254, 3]), 1), [3])
tensors["bool"] = tensor(Storage("BoolStorage", bytes([1, 0, 1]), 1), [3])
tensors["cuda"] = tensor(Storage(named(module("torch.cuda"), "FloatStorage"), struct.pack("<3f", 1, -2, 3), 4), [3])
tensors["uint16"] = tensor(Storage(untyped, struct.pack("<4H", 9, 1, 65534, 3), 1), [3], None, 1, rebuild3, DType("uint16"), {})
tensors["uint32"] = tensor(Storage(untyped, struct.pack("<3I", 1, 1 << 31, 3), 1), [3], None, 0, rebuild3, DType("uint32"), {})
tensors["uint64"] = tensor(Storage(untyped, struct.pack("<3Q", 1, 1 << 63, 3), 1), [3], None, 0, rebuild3, DType("uint64"), {})
tensors["float8"] = tensor(Storage(untyped, bytes(3), 1), [3], None, 0, rebuild3, DType("float8_e4m3fn"), {})
tensors["complex"] = tensor(Storage("ComplexFloatStorage", bytes(24), 8), [3])
tensors["quantised"] = tensor(Storage("QInt8Storage", bytes(3), 1), [3], None, 0, rebuild_qtensor)
tensors["sparse"] = Call(rebuild_sparse, "coo", (tensors["long"], tensors["float"], (3,)))
zipped("kinds", tensors, 2)
legacy("kinds_legacy", {name: t for name, t in tensors.items() if name in kinds}, 2)

shared = Storage("FloatStorage", struct.pack("<6f", 1, 2, 3, 4, 5, 6), 4)
zipped("views", {
    "whole": tensor(shared, [2, 3]), "transposed": tensor(shared, [3, 2], [1, 3]), "row": tensor(shared, [3], None, 3), "step": tensor(shared, [2], [4], 1),
    "scalar": tensor(shared, [], None, 5), "empty": tensor(Storage("FloatStorage", b"", 4), [0, 3]), "expanded": tensor(shared, [2, 2], [0, 1], 2),
})

# What is no state dict, or is none that can be read.
whole = Net()
whole.__dict__.update(training=False, _parameters=state(), _modules=collections.OrderedDict())
zipped("module", whole)
zipped("module_in_dict", {"epoch": 3, "model": whole}, 4)
zipped("script", whole, extra=["constants.pkl", "code/__torch__.py"])
zipped("big_endian", state(), order="big")
legacy("big_endian_legacy", state(), little=False)
