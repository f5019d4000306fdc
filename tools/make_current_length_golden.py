"""Makes tests/golden/model/current_length.{json,f32}: what transformers' generate does step by step under dynamic NTK:
80 tokens at once, then one at a time with the cache, each step with the frequencies of its own length while the keys
in the cache keep theirs. The model is tests/golden/model/positions, trained for 64 tokens.
Run it as: python tools/make_current_length_golden.py        Needs torch, transformers, numpy.
"""

import json
import pathlib

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

MODEL = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
PROMPT, TOKENS = 80, 120

config = AutoConfig.from_pretrained(MODEL / "positions")
config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
model = AutoModelForCausalLM.from_pretrained(MODEL / "positions", config=config, attn_implementation="eager",
                                             dtype=torch.float32).eval()
ids = np.random.default_rng(9).integers(0, config.vocab_size, TOKENS).tolist()
kept = []
with torch.no_grad():
    out = model(input_ids=torch.tensor([ids[:PROMPT]]), use_cache=True)
    kept.append(out.logits[0, -1])
    for t in range(PROMPT, TOKENS):
        out = model(input_ids=torch.tensor([ids[t:t + 1]]), past_key_values=out.past_key_values, use_cache=True,
                    position_ids=torch.tensor([[t]]))
        kept.append(out.logits[0, -1])
    whole = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
print(f"the last logits differ from those of one pass by {(kept[-1] - whole).abs().max():.3f}")
(MODEL / "current_length.f32").write_bytes(torch.stack(kept).numpy().astype("<f4").tobytes())
(MODEL / "current_length.json").write_text(json.dumps(dict(ids=ids, prompt=PROMPT, position="dynamic_ntk:factor=2,length=current")) + "\n")
