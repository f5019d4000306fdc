"""A full training step of SmolLM2-135M's shape (forward, backward, clipping, AdamW; recompute, the loss in pieces, all
weights and the embeddings) by longspan and by PyTorch with transformers, on the same cores, one after the other.
Run it as: python tools/bench_training_against_torch.py build/longspan TEXT [--tokens 2048,4096] [--dtypes bf16,f32]
           [--rounds 2] [--threads 2]
TEXT is any text of more tokens than a few rows; its content does not matter, only the work counts. Needs torch and
transformers, and the model smollm2 fetched. Prints one JSON object a measurement, then a table of medians.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SHAPE = dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
             num_key_value_heads=3, vocab_size=49152, rope_theta=100000.0, tie_word_embeddings=True)
RECIPE = """name = "bench"
model = "smollm2"
output = "{folder}/run"
compute = "{dtype}"
[trained]
all = true
embeddings = true
[plan]
recompute = true
[snapshots]
minutes = 1000000
[[stage]]
length = {tokens}
steps = {steps}
lr = 1e-6
[[stage.text]]
files = ["{text}"]
"""


def longspan(program, text, tokens, dtype, threads, steps=4):
    with tempfile.TemporaryDirectory() as folder:
        recipe = pathlib.Path(folder) / "bench.toml"
        recipe.write_text(RECIPE.format(folder=folder, dtype=dtype, tokens=tokens, steps=steps, text=text))
        out = subprocess.run([program, "train", str(recipe), "--json", "--threads", str(threads)],
                             capture_output=True, text=True, check=True).stdout
    rates = [json.loads(line)["tokens_per_s"] for line in out.splitlines() if '"step"' in line]
    return rates[1:]  # the first packs weights and touches memory


def torch_steps(tokens, dtype, threads, steps=2):
    import torch
    import torch.nn.functional as F
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if dtype == "bf16" else torch.float32)
    model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=tokens, attn_implementation="sdpa", **SHAPE))
    torch.set_default_dtype(torch.float32)
    model.train()
    model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def step(length):
        ids = torch.randint(0, SHAPE["vocab_size"], (1, length))
        hidden = model.model(ids, use_cache=False).last_hidden_state[0]

        def piece(x, y):
            return F.cross_entropy(model.lm_head(x).float(), y, reduction="sum")

        loss = 0
        for s in range(0, length - 1, 256):
            e = min(s + 256, length - 1)
            loss = loss + torch.utils.checkpoint.checkpoint(piece, hidden[s:e], ids[0, s + 1:e + 1],
                                                            use_reentrant=False)
        (loss / (length - 1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step(256)
    rates = []
    for _ in range(steps):
        start = time.time()
        step(tokens)
        rates.append(tokens / (time.time() - start))
    return rates


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("text", nargs="?")
    parser.add_argument("--tokens", default="2048,4096")
    parser.add_argument("--dtypes", default="bf16,f32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch-steps", type=int, default=1)
    o = parser.parse_args()
    if o.program == "torch":  # a fresh process for each measurement
        tokens, dtype = o.text.split(",")
        print(json.dumps(torch_steps(int(tokens), dtype, o.threads, o.torch_steps)))
        return
    seen = {}
    text = str(pathlib.Path(o.text).resolve())
    for _ in range(o.rounds):
        for tokens in map(int, o.tokens.split(",")):
            for dtype in o.dtypes.split(","):
                ours = longspan(o.program, text, tokens, dtype, o.threads)
                theirs = json.loads(subprocess.run(
                    [sys.executable, __file__, "torch", f"{tokens},{dtype}", "--threads", str(o.threads),
                     "--torch-steps", str(o.torch_steps)],
                    capture_output=True, text=True, check=True).stdout.splitlines()[-1])
                for who, rates in (("longspan", ours), ("torch", theirs)):
                    seen.setdefault((tokens, dtype), {}).setdefault(who, []).extend(rates)
                    print(json.dumps(dict(who=who, tokens=tokens, dtype=dtype, tokens_per_s=rates)), flush=True)
    print(f"{'tokens':>7} {'dtype':>6} {'longspan':>9} {'torch':>7} {'ratio':>6}   tokens/s, medians")
    for (tokens, dtype), who in seen.items():
        ours, theirs = (statistics.median(who[name]) for name in ("longspan", "torch"))
        print(f"{tokens:>7} {dtype:>6} {ours:>9.1f} {theirs:>7.1f} {ours / theirs:>6.2f}")


main()
