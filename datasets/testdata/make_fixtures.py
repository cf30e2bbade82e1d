"""Writes the fixtures of this folder, with Python's own libraries only.

    pip install numpy protobuf crc32c
    git clone https://github.com/google-research/nasbench
    python make_fixtures.py nasbench

Hashes and channels come from the official code, of which two files are used
without TensorFlow. All accuracies and times are invented.
"""
import base64
import json
import pathlib
import random
import re
import struct
import sys
import types

import crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

OFFICIAL = pathlib.Path(sys.argv[1]) / "nasbench" / "lib"
HERE = pathlib.Path(__file__).parent
OPS = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"]
IMAGES = 9984


def official(file, name):
    """One function of the official code, without the imports of its file."""
    source = (OFFICIAL / file).read_text()
    body = re.search(rf"^def {name}\(.*?(?=^def |\Z)", source, re.M | re.S).group()
    logging = types.SimpleNamespace(info=lambda *_: None)
    scope = {"np": np, "hashlib": __import__("hashlib"), "tf": types.SimpleNamespace(logging=logging)}
    exec(body, scope)
    return scope[name]


hash_module = official("graph_util.py", "hash_module")
vertex_channels = official("model_builder.py", "compute_vertex_channels")


def conv(kernel, inputs, outputs):
    return kernel * kernel * inputs * outputs + 2 * outputs


def parameters(matrix, labels):
    """Counts what model_builder.py builds."""
    total, inputs = conv(3, 3, 128), 128
    for outputs in (128, 128, 128, 256, 256, 256, 512, 512, 512):
        channels = [int(c) for c in vertex_channels(inputs, outputs, matrix)]
        for v in range(1, len(matrix)):
            if matrix[0, v]:
                total += conv(1, inputs, channels[v])
        for v, label in enumerate(labels[1:-1], 1):
            if label < 2:
                total += conv([3, 1][label], channels[v], channels[v])
        inputs = outputs
    return total + 512 * 10 + 10


def metrics_message():
    """ModelMetrics as nasbench/lib/model_metrics.proto declares it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="nasbench", syntax="proto2")
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(name="evaluation_data", number=1, label=field.LABEL_REPEATED,
                      type=field.TYPE_MESSAGE, type_name=".nasbench.EvaluationData")
    metrics.field.add(name="trainable_parameters", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_INT32)
    metrics.field.add(name="total_time", number=3, label=field.LABEL_OPTIONAL, type=field.TYPE_DOUBLE)
    data = file.message_type.add(name="EvaluationData")
    names = ["current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy"]
    for number, name in enumerate(names, 1):
        data.field.add(name=name, number=number, label=field.LABEL_OPTIONAL, type=field.TYPE_DOUBLE)
    data.field.add(name="checkpoint_path", number=6, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


ModelMetrics = metrics_message()


def accuracy(hits):
    return float(np.float32(hits / IMAGES))  # TensorFlow's metrics are float32


def frame(data):
    def masked(b):
        crc = crc32c.crc32c(b)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


# Edges by the end vertices, and the operations between.
CELLS = [
    ([(0, 1)], []),
    ([(0, 1), (1, 2)], [0]),
    ([(0, 1), (0, 2), (1, 2)], [2]),
    ([(0, 1), (0, 2), (1, 3), (2, 3)], [0, 2]),
    ([(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (0, 4)], [0, 0, 1]),
    ([(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5)], [1, 0, 2, 1]),
    ([(0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6), (5, 6)], [1, 0, 0, 0, 2]),
    ([(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6), (0, 6)], [2, 1, 0, 2, 1]),
]


def main():
    rng = random.Random(101)
    only108, full, authors, expected = b"", b"", [], []
    for k, (edges, interior) in enumerate(CELLS):
        n = len(interior) + 2
        matrix = np.zeros((n, n), dtype=np.int8)
        for i, j in edges:
            matrix[i, j] = 1
        labels = [-1] + interior + [-2]
        ops = ["input"] + [OPS[i] for i in interior] + ["output"]
        digits = "".join(str(d) for d in matrix.flatten())
        cell_hash = hash_module(matrix.astype(int), labels)
        params = parameters(matrix, labels)

        validation, test, seconds = {}, 0, 0.0
        for epochs in (4, 12, 36, 108):
            validation[epochs] = 0
            for run in range(3):
                message = ModelMetrics(trainable_parameters=params, total_time=rng.uniform(100, 5000))
                for part in (0.0, 0.5, 1.0):
                    hits = [rng.randrange(1000, 9900) for _ in range(3)]
                    time = rng.uniform(50, 90) * epochs * part
                    message.evaluation_data.add(
                        current_epoch=epochs * part, training_time=time, train_accuracy=accuracy(hits[0]),
                        validation_accuracy=accuracy(hits[1]), test_accuracy=accuracy(hits[2]),
                        checkpoint_path="invented" if part == 1 else "")
                validation[epochs] += hits[1]
                if epochs == 108:
                    test += hits[2]
                    seconds += time / 3
                # Some encoders break base64 into lines.
                encode = base64.encodebytes if run == 1 else base64.b64encode
                metrics = encode(message.SerializeToString()).decode("ascii")
                record = frame(json.dumps([cell_hash, epochs, digits, ",".join(ops), metrics]).encode())
                full += record
                if epochs == 108:
                    only108 += record
        authors.append(dict(
            matrix=matrix.tolist(), ops=ops, n_params=params, training_time=seconds, train_accuracy=1.0,
            validation_accuracy=validation[108] / (3 * IMAGES), test_accuracy=test / (3 * IMAGES), hash_=cell_hash))
        upper = "".join(str(matrix[i, j]) for i in range(n) for j in range(i + 1, n))
        expected.append(dict(cell=upper + ":" + "".join("ABM"[i] for i in interior), hash=cell_hash, params=params,
                             validation_hits=list(validation.values()), test_hits=test, seconds=seconds))

    (HERE / "nasbench_only108.tfrecord").write_bytes(only108)
    (HERE / "nasbench_full.tfrecord").write_bytes(full)
    (HERE / "nas_bench.json").write_text(json.dumps(authors))
    expected.sort(key=lambda e: e["hash"])
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
