"""Writes zip.pth and legacy.pth with PyTorch 1.13.1: the same tensors in both formats.

    python3 make.py
"""

from collections import OrderedDict

import torch

matrix = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 8
state = OrderedDict(
    [
        ("matrix", matrix),
        ("transposed", matrix.t()),  # strides, and the same storage
        ("row", matrix[1]),  # an offset into it
        ("half", torch.tensor([1.5, -0.1, 65504.0, 6e-8], dtype=torch.float16)),
        ("double", torch.tensor([[0.1], [-1e30]], dtype=torch.float64)),
        ("count", torch.tensor(12345)),  # int64, a scalar
        ("empty", torch.zeros(0, 4)),
        ("parameter", torch.nn.Parameter(torch.tensor([2.0]))),
        ("bytes", torch.tensor([1], dtype=torch.uint8)),
        ("broadcast", torch.tensor([7.0]).expand(1000)),
    ]
)
state._metadata = {"version": 1}  # as Module.state_dict has
checkpoint = {"epoch": 3, "state_dict": state}
torch.save(checkpoint, "zip.pth")
torch.save(checkpoint, "legacy.pth", _use_new_zipfile_serialization=False)
