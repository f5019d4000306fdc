#!/usr/bin/env python3
"""Writes tests/golden/generate/smollm2_greedy.json: SmolLM2's first 64 greedy tokens after three prompts.

Independent implementation: transformers in F32 on the dequantised GGUF (needs torch, transformers, gguf, accelerate).
usage: make_smollm2_greedy.py DIRECTORY_OF_THE_GGUF > tests/golden/generate/smollm2_greedy.json
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS = ["The capital of France is", "Once upon a time, in a small village by the sea,", "def fibonacci(n):\n"]

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], gguf_file=GGUF)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], gguf_file=GGUF, dtype=torch.float32).eval()
cases = []
for prompt in PROMPTS:
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
    with torch.no_grad():
        out = model.generate(ids, max_new_tokens=64, do_sample=False, repetition_penalty=1.0)[0, ids.shape[1]:].tolist()
    cases.append(dict(prompt=prompt, prompt_ids=ids[0].tolist(), ids=[i for i in out if i != model.config.eos_token_id]))
print(json.dumps(cases))
