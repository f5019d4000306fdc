#!/usr/bin/env python3
"""Writes tests/golden/generate/sampler.jsonl: the distributions that transformers' logits processors make of random logits.

Independent implementation: transformers (RepetitionPenalty, Temperature, TopK, TopP, MinP, in generate()'s order).
usage: make_sampler_golden.py > tests/golden/generate/sampler.jsonl
"""
import json
import random

import torch
from transformers import LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

random.seed(20)
for case in range(40):
    vocab = random.choice([5, 32, 100])
    logits = [round(random.gauss(0, 3), 3) for _ in range(vocab)]
    history = [random.randrange(vocab) for _ in range(random.choice([0, 3, 10]))]
    options = dict(repetition_penalty=random.choice([1.0, 1.1, 1.5, 0.8]), temperature=random.choice([0.3, 0.7, 1.0, 1.7]),
                   top_k=random.choice([0, 3, 10, 200]), top_p=random.choice([1.0, 0.9, 0.5, 0.05]),
                   min_p=random.choice([0.0, 0.0, 0.05, 0.3]))
    chain = LogitsProcessorList()
    if options["repetition_penalty"] != 1.0 and history:
        chain.append(RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    chain.append(TemperatureLogitsWarper(options["temperature"]))
    if options["top_k"]:
        chain.append(TopKLogitsWarper(options["top_k"]))
    if options["top_p"] < 1:
        chain.append(TopPLogitsWarper(options["top_p"]))
    if options["min_p"]:
        chain.append(MinPLogitsWarper(options["min_p"]))
    ids = torch.tensor([history], dtype=torch.long)
    p = torch.softmax(chain(ids, torch.tensor([logits], dtype=torch.float32)).double(), -1)[0]
    kept = {str(i): round(float(x), 7) for i, x in enumerate(p) if x > 0}
    print(json.dumps(dict(logits=logits, history=history, options=options, kept=kept)))
