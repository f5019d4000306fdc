#!/usr/bin/env python3
"""GGUF files that longspan writes, read by others: the gguf package and llama.cpp.

For a model (a Hugging Face directory or GGUF file) and each type: `longspan convert -o FILE.gguf --type TYPE`; then
1. the gguf package reads every tensor, and the relative error against the F32 file is printed (root mean square);
2. llama.cpp splits the text into the same tokens, and gives the same log-probabilities to them as longspan does to those
   of the same file, but for its rounding of activations to 8 bits.
--families DIR writes small random models of all families first and checks these.

usage: check_gguf.py [--longspan build/longspan] [--types f32,q8_0,...] [--text FILE] (MODEL... | --families DIR)
Needs numpy, gguf and xllamacpp (llama.cpp as a Python module); --families needs torch and transformers.
"""
import argparse
import json
import math
import os
import subprocess
import tempfile
import urllib.request

import gguf
import numpy as np
import xllamacpp

TYPES = "f32,f16,bf16,q8_0,q6_k,q5_k,q5_1,q5_0,q4_k,q4_1,q4_0"
TEXT = ("The lighthouse keeper wrote down the weather every evening: wind from the west, 12 knots, rain before "
        "midnight. In the morning he read what he had written, and it was always right.")


def longspan(a, *arguments):
    r = subprocess.run([a.longspan, *arguments], capture_output=True, text=True)
    if r.returncode != 0:
        raise SystemExit(f"longspan {' '.join(arguments)}: {r.stderr}")
    if r.stderr.strip():
        print("   ", r.stderr.strip().replace("\n", "\n    "))
    return json.loads(r.stdout)


def tensors(path):
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64).reshape(-1)
            for t in gguf.GGUFReader(path).tensors}


def errors(path, reference):
    """Relative root mean square error of all matrices."""
    differences = squares = 0.0
    for name, values in tensors(path).items():
        differences += ((values - reference[name]) ** 2).sum()
        squares += (reference[name] ** 2).sum()
    return math.sqrt(differences / squares)


class Llama:
    def __init__(self, path):
        p = xllamacpp.CommonParams()
        p.model.path = path
        p.n_ctx, p.n_parallel, p.warmup = 1024, 1, False
        p.cpuparams.n_threads = os.cpu_count()
        self.server = xllamacpp.Server(p)

    def tokens(self, text):
        request = urllib.request.Request(self.server.listening_address + "/tokenize",
                                         json.dumps({"content": text, "add_special": True}).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)["tokens"]

    def log_probs(self, ids, first):
        """Of ids[first:], each after those before it; None where it is not among the most probable."""
        out = []
        for i in range(first, len(ids)):
            r = self.server.handle_completions({"prompt": ids[:i], "n_predict": 1, "temperature": 0, "n_probs": 5000})
            given = r["choices"][0]["logprobs"]  # none where the most probable token ends the text
            top = given["content"][0]["top_logprobs"] if given else []
            out.append(next((t["logprob"] for t in top if t["id"] == ids[i]), None))
        return out


def compare(a, path, text_file):
    text = open(text_file).read()
    score = longspan(a, "score", path, "--file", text_file, "--json", "--quiet", "--compute", "f32", "--cache-type", "f32")
    ids = longspan(a, "tokenize", path, text, "--json")["ids"]
    llama = Llama(path)
    theirs = llama.tokens(text)
    if theirs != ids:
        return f"TOKENS DIFFER: {ids[:12]} ours, {theirs[:12]} llama.cpp's"
    pairs = [(x, y) for x, y in zip(score["logprobs"], llama.log_probs(ids, 1)) if y is not None]
    worst = max(abs(x - y) for x, y in pairs)
    ours, other = (math.exp(-sum(p[k] for p in pairs) / len(pairs)) for k in (0, 1))
    return (f"perplexity {ours:.4f} ours, {other:.4f} llama.cpp's ({100 * (ours / other - 1):+.2f} %), log p of {len(pairs)} "
            f"tokens apart by {sum(abs(x - y) for x, y in pairs) / len(pairs):.4f} on average, {worst:.4f} at most")


def check(a, model, text_file, folder):
    name = os.path.basename(model.rstrip("/"))
    reference = os.path.join(folder, f"{name}-reference.gguf")
    longspan(a, "convert", model, "--type", "f32", "-o", reference, "--json", "--quiet")
    values = tensors(reference)
    for kind in a.types.split(","):
        path = os.path.join(folder, f"{name}-{kind}.gguf")
        longspan(a, "convert", model, "--type", kind, "-o", path, "--json")
        size = os.path.getsize(path) / 2**20
        print(f"{name} {kind}: {size:.1f} MiB, error {errors(path, values):.5f}, {compare(a, path, text_file)}", flush=True)
        os.remove(path)
    os.remove(reference)


def families(folder):
    """Random models large enough for all types, with a tokenizer of single bytes."""
    import make_random_model
    import torch
    from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, Glm4Config, GraniteConfig, LlamaConfig,
                              Olmo2Config, Phi3Config, Qwen2Config, Qwen2MoeConfig, Qwen3Config, Qwen3MoeConfig, SmolLM3Config)
    shape = dict(vocab_size=256, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=4096, rms_norm_eps=1e-5, initializer_range=0.08,
                 bos_token_id=0, eos_token_id=0, pad_token_id=None)
    experts = dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=256)
    factors = dict(short_factor=[1.0 + 0.01 * i for i in range(32)], long_factor=[1.0 + 0.2 * i for i in range(32)])
    longrope = dict(rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=2048, **factors)
    configs = {
        "llama": LlamaConfig(**shape), "qwen2": Qwen2Config(**shape), "qwen3": Qwen3Config(**shape, head_dim=64),
        "qwen2moe": Qwen2MoeConfig(**shape, **experts, shared_expert_intermediate_size=512),
        "qwen3moe": Qwen3MoeConfig(**shape, **experts, norm_topk_prob=True, head_dim=64),
        # llama.cpp looks for Phi 3's tokens in every model with "phi3" or "phi-3" in its name.
        "phi-longrope": Phi3Config(**shape, rope_parameters=longrope, original_max_position_embeddings=2048),
        "smollm3": SmolLM3Config(**shape), "olmo2": Olmo2Config(**shape),
        "glm4": Glm4Config(**shape, head_dim=64, attention_bias=True), "granite": GraniteConfig(
            **shape, attention_multiplier=0.1, embedding_multiplier=4.0, residual_multiplier=0.5, logits_scaling=2.0),
        "gemma3": Gemma3TextConfig(**dict(shape, num_hidden_layers=6), head_dim=64, query_pre_attn_scalar=64, sliding_window=64),
        "gemma2": Gemma2Config(**shape, head_dim=64, query_pre_attn_scalar=64, sliding_window=64, attn_logit_softcapping=4.0,
                               final_logit_softcapping=6.0),
    }
    for name, config in configs.items():
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for key, p in model.named_parameters():
                p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in key else 0.08 * torch.randn_like(p))
        model.save_pretrained(os.path.join(folder, name))
        make_random_model.write_tokenizer(os.path.join(folder, name))
        yield os.path.join(folder, name)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*")
    p.add_argument("--longspan", default="build/longspan")
    p.add_argument("--types", default=TYPES)
    p.add_argument("--text")
    p.add_argument("--families")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = a.text or os.path.join(folder, "text.txt")
        if not a.text:
            open(text, "w").write(TEXT)
        for model in [*a.models, *(families(a.families) if a.families else [])]:
            check(a, model, text, folder)


if __name__ == "__main__":
    main()
