"""Makes tests/golden/model/gradients.{json,f32}: the loss and the gradient of every parameter of tiny checkpoints by
PyTorch's autograd, in float64: one row of two documents, attention and positions restarted for the second, some
targets without weight.
Run it as: python tools/make_gradient_golden.py        Needs torch, transformers, numpy.
"""

import json
import pathlib

import numpy as np
import torch
from transformers import AutoModelForCausalLM

MODEL = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
CHECKPOINTS = ["gqa", "tied", "biased", "qwen3"]
FIRST, SECOND = 23, 18


def main():
    cases, data = [], b""
    for seed, name in enumerate(CHECKPOINTS):
        model = AutoModelForCausalLM.from_pretrained(MODEL / name, attn_implementation="eager").double()
        rng = np.random.default_rng(seed)
        ids = rng.integers(0, model.config.vocab_size, FIRST + SECOND)
        document = np.repeat([0, 1], [FIRST, SECOND])
        positions = np.concatenate([np.arange(FIRST), np.arange(SECOND)])
        targets = np.append(ids[1:], -1)
        targets[FIRST - 1] = -1
        weights = np.where((targets >= 0) & (rng.random(len(ids)) > 0.2), rng.choice([0.5, 1.0], len(ids)), 0.0)
        sees = (document[:, None] == document[None]) & (np.arange(len(ids))[:, None] >= np.arange(len(ids))[None])
        mask = torch.where(torch.tensor(sees), 0.0, -torch.inf).double()[None, None]
        logits = model(input_ids=torch.tensor(ids)[None], position_ids=torch.tensor(positions)[None],
                       attention_mask=mask, use_cache=False).logits[0]
        losses = -torch.log_softmax(logits, -1)[torch.arange(len(ids)), torch.tensor(np.maximum(targets, 0))]
        loss = (losses * torch.tensor(weights)).sum()
        (loss * 0.25).backward()  # a scale, as a batch of several rows has
        names = []
        for parameter, value in model.named_parameters():
            names.append(dict(name=parameter, size=value.numel()))
            data += value.grad.float().numpy().astype("<f4").tobytes()
        cases.append(dict(checkpoint=name, ids=ids.tolist(), positions=positions.tolist(),
                          starts=np.where(document == 0, 0, FIRST).tolist(), targets=targets.tolist(),
                          weights=weights.tolist(), scale=0.25, loss=loss.item(), parameters=names))
        print(f"{name}: loss {loss.item():.4f}, {len(names)} parameters")
    (MODEL / "gradients.json").write_text(json.dumps(cases) + "\n")
    (MODEL / "gradients.f32").write_bytes(data)


main()
