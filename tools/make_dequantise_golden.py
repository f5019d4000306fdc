"""Writes tests/golden/dequantise/TYPE.bin: random blocks of a GGUF type, then their values as F32 by the gguf package.

Run from the source root with numpy and gguf installed (made with gguf 0.19):  python tools/make_dequantise_golden.py
"""
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Byte offsets of the F16 scales in a block; all other bytes may be anything.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208]}
VALUES = 1024

out = Path("tests/golden/dequantise")
out.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(7)
for name in ["F16", "BF16", *SCALES]:
    elements, size = GGML_QUANT_SIZES[Type[name]]
    blocks = random.integers(0, 256, (VALUES // elements, size), dtype=np.uint8)
    if name in SCALES:
        for at in SCALES[name]:
            d = (random.standard_normal(len(blocks)) * 0.05).astype(np.float16)
            d[:2] = [6e-8, -65504.0]  # the smallest subnormal and the largest half
            blocks[:, at:at + 2] = d.view(np.uint8).reshape(-1, 2)
    else:  # the two 16-bit types: finite numbers only
        h = blocks.view(np.uint16)
        h[(h & (0x7C00 if name == "F16" else 0x7F80)) == (0x7C00 if name == "F16" else 0x7F80)] = 0x3C00
    values = dequantize(blocks.reshape(-1), Type[name]).astype(np.float32)
    assert values.size == VALUES and np.isfinite(values).all()
    (out / f"{name}.bin").write_bytes(blocks.tobytes() + values.tobytes())
