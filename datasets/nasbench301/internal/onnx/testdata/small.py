"""Writes small.onnx, a graph with every operator of the package, and prints what ONNX
Runtime computes with it.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    python small.py
"""
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def random(*shape):
    return (rng.integers(-8, 9, shape) / 4).astype(np.float32)


def tensor(name, array):
    return numpy_helper.from_array(array, name)


def constant(name, value, dtype=np.int64):
    return helper.make_node("Constant", [], [name], value=tensor(name, np.array(value, dtype)))


node = helper.make_node
weights = [tensor("table", random(3, 2)), tensor("w", random(4, 3)), tensor("b", random(4)), tensor("scale", random(4)),
           tensor("shift", random(4)), tensor("mean", random(4)), tensor("var", np.abs(random(4)) + np.float32(0.25))]
nodes = [
    constant("zero", 0), constant("one", [1]), constant("half", 2.0, np.float32), constant("minus", [-1]), constant("start", [0]),
    constant("two", [2]), constant("onev", [1]), constant("low", [-0.5], np.float32), constant("high", [3.0], np.float32),
    node("Gather", ["x_cat", "zero"], ["code"], axis=1), node("Gather", ["table", "code"], ["row"]),
    node("Gather", ["x_cont", "zero"], ["c"], axis=1), node("Sub", ["c", "half"], ["c1"]), node("Div", ["c1", "half"], ["c2"]),
    node("Cast", ["c2"], ["c3"], to=1), node("Unsqueeze", ["c3", "one"], ["c4"]), node("Concat", ["row", "c4"], ["in"], axis=1),
    node("Gemm", ["in", "w", "b"], ["g"], transB=1),
    node("BatchNormalization", ["g", "scale", "shift", "mean", "var"], ["n"], epsilon=1e-3),
    node("Shape", ["n"], ["s"]), node("Gather", ["s", "minus"], ["last"], axis=0), node("Add", ["last", "onev"], ["p"]),
    node("Div", ["p", "two"], ["mid"]), node("Mul", ["mid", "onev"], ["stop"]), node("Slice", ["n", "start", "stop", "minus"], ["left"]),
    node("Mul", ["mid", "two"], ["end"]), node("Slice", ["n", "stop", "end", "minus"], ["right"]),
    node("Relu", ["right"], ["r"]), node("Mul", ["left", "r"], ["m"]), node("Max", ["m", "low"], ["m1"]), node("Min", ["m1", "high"], ["m2"]),
    node("Exp", ["m2"], ["e"]), node("Sigmoid", ["m2"], ["sg"]), node("Add", ["e", "sg"], ["sum"]), node("Concat", ["sum", "m2"], ["out"], axis=1),
]
graph = helper.make_graph(
    nodes, "small",
    [helper.make_tensor_value_info("x_cat", TensorProto.INT32, ["n", 1]), helper.make_tensor_value_info("x_cont", TensorProto.FLOAT, ["n", 1])],
    [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 4])], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
onnx.checker.check_model(model)
onnx.save(model, "small.onnx")
inputs = {"x_cat": np.array([[0], [1], [2]], np.int32), "x_cont": np.array([[1], [-2], [5]], np.float32)}
print(onnxruntime.InferenceSession("small.onnx").run(None, inputs)[0].tolist())
