"""Fills tests/golden/position/written.json with what transformers makes of the configs in it.

The configs are written by the tests themselves:
  LONGSPAN_UPDATE_GOLDEN=1 build/tests/position_tests --gtest_filter=WritePosition.TransformersReadsTheSame
  python tools/make_written_position_golden.py
For each config: inv_freq and attention factor at three lengths. Needs torch and transformers 5.
"""

import json
import pathlib

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "position" / "written.json"


def frequencies(config, length):
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        return LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    return ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=length)


rows = json.loads(FILE.read_text())
for row in rows:
    config = LlamaConfig.from_dict(json.loads(json.dumps(row["config"])))
    row["lengths"] = []
    for length in (100, 8192, 60000):
        inv_freq, scale = frequencies(config, length)
        row["lengths"].append({"length": length, "attention_scale": scale,
                               "inv_freq": [float(f"{x:.8g}") for x in inv_freq.tolist()]})
FILE.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")
