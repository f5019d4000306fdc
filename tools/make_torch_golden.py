"""Makes tests/golden/checkpoint: files of torch.save and the same tensors as safetensors.

state.bin, state.safetensors: plain, half and bfloat16 tensors, a parameter, a scalar, views that share a storage, integers,
a transposed view (which .bin alone can hold) and the attributes that state_dict() carries.
legacy.bin: the format before torch 1.6. hostile.bin: a pickle that would run a command.
Run it as: python tools/make_torch_golden.py   Needs torch, safetensors.
"""

import collections
import os
import pathlib

import torch
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "checkpoint"


class Hostile:
    def __reduce__(self):
        return os.system, ("touch longspan-was-here",)


def state():
    torch.manual_seed(0)
    both = torch.randn(6, 5)
    tensors = collections.OrderedDict(
        embedding=torch.randn(4, 3), half=torch.randn(2, 3).half(), brain=torch.randn(7).bfloat16(),
        parameter=torch.nn.Parameter(torch.randn(2, 2, 2)), scalar=torch.tensor(3.5),
        first=both[:2], second=both[2:], steps=torch.arange(3), empty=torch.zeros(0, 4))
    tensors["tied"] = tensors["embedding"]
    tensors._metadata = collections.OrderedDict({"": {"version": 1}, "norm": {"version": 2}})
    return tensors


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    tensors = state()
    save_file({k: v.detach().clone() for k, v in tensors.items()}, GOLDEN / "state.safetensors")
    tensors["turned"] = torch.randn(3, 2).T
    torch.save(tensors, GOLDEN / "state.bin")
    torch.save(collections.OrderedDict(w=torch.ones(2)), GOLDEN / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(collections.OrderedDict(w=torch.ones(2), x=Hostile()), GOLDEN / "hostile.bin")
