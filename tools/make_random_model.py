#!/usr/bin/env python3
"""Writes a Llama model of random BF16 weights, for measurements at true sizes where real weights cannot be had.

The tokenizer knows single bytes only; ids above 255 have no text.
usage: make_random_model.py SHAPE OUT   (SHAPE: a row of SHAPES)
"""
import json
import os
import sys

import numpy as np

SHAPES = {
    # hidden, feed-forward, layers, heads, KV heads, vocabulary, base, window, tied
    "smollm2-135m": (576, 1536, 30, 9, 3, 49152, 100000.0, 8192, True),
    "index-1.9b": (2048, 5888, 36, 16, 16, 65029, 320000.0, 32768, False),
    "xverse-13b": (5120, 13824, 40, 40, 40, 100534, 500000.0, 8192, False),
}


def tensors(shape):
    hidden, ffn, layers, heads, kv_heads, vocab, _, _, tied = shape
    d = hidden // heads
    yield "model.embed_tokens.weight", (vocab, hidden)
    for l in range(layers):
        p = f"model.layers.{l}."
        yield p + "input_layernorm.weight", (hidden,)
        yield p + "self_attn.q_proj.weight", (heads * d, hidden)
        yield p + "self_attn.k_proj.weight", (kv_heads * d, hidden)
        yield p + "self_attn.v_proj.weight", (kv_heads * d, hidden)
        yield p + "self_attn.o_proj.weight", (hidden, heads * d)
        yield p + "post_attention_layernorm.weight", (hidden,)
        yield p + "mlp.gate_proj.weight", (ffn, hidden)
        yield p + "mlp.up_proj.weight", (ffn, hidden)
        yield p + "mlp.down_proj.weight", (hidden, ffn)
    yield "model.norm.weight", (hidden,)
    if not tied:
        yield "lm_head.weight", (vocab, hidden)


def bf16(rng, size, vector):
    if vector:
        return np.full(size, 0x3F80, dtype=np.uint16)  # 1
    # Uniform in (-s, s) with the variance of 0.02: random mantissas and signs are enough for a measurement.
    x = rng.random(int(np.prod(size)), dtype=np.float32) * np.float32(0.07) - np.float32(0.035)
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def write_tokenizer(out):
    """tokenizer.json of single bytes."""
    visible = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    chars, extra = {b: chr(b) for b in visible}, 0
    for b in range(256):
        if b not in chars:
            chars[b], extra = chr(256 + extra), extra + 1
    json.dump({"version": "1.0", "added_tokens": [], "normalizer": None,
               "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
               "post_processor": None, "decoder": {"type": "ByteLevel"},
               "model": {"type": "BPE", "vocab": {chars[b]: b for b in range(256)}, "merges": []}},
              open(f"{out}/tokenizer.json", "w"))


def main():
    shape, out = SHAPES[sys.argv[1]], sys.argv[2]
    hidden, ffn, layers, heads, kv_heads, vocab, base, window, tied = shape
    os.makedirs(out, exist_ok=True)
    json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden,
               "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
               "num_key_value_heads": kv_heads, "vocab_size": vocab, "rope_theta": base, "rms_norm_eps": 1e-5,
               "max_position_embeddings": window, "tie_word_embeddings": tied, "hidden_act": "silu",
               "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "bfloat16"}, open(f"{out}/config.json", "w"))
    write_tokenizer(out)
    rng = np.random.default_rng(1)
    header, at = {}, 0
    for name, size in tensors(shape):
        n = 2 * int(np.prod(size))
        header[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    with open(f"{out}/model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, size in tensors(shape):
            f.write(bf16(rng, size, len(size) == 1).tobytes())
    print(f"{out}: {at / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
