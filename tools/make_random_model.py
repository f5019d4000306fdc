#!/usr/bin/env python3
"""Writes a Llama model of random weights, for measurements at true sizes where real weights cannot be had.

The tokenizer splits texts into single bytes; ids above 255 stand for nothing that it would ever write.
usage: make_random_model.py SHAPE OUT [q8_0|q4_0|q4_k]   (SHAPE: a row of SHAPES)
OUT is a Hugging Face folder of BF16 weights or, with a type, a GGUF file, whose blocks repeat after 64 MiB.
"""
import json
import os
import struct
import sys

import numpy as np

SHAPES = {
    # hidden, feed-forward, layers, heads, KV heads, vocabulary, base, window, tied
    "smollm2-135m": (576, 1536, 30, 9, 3, 49152, 100000.0, 8192, True),
    "index-1.9b": (2048, 5888, 36, 16, 16, 65029, 320000.0, 32768, False),
    "llama-8b": (4096, 14336, 32, 32, 8, 128256, 500000.0, 8192, False),
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


def byte_letters():
    visible = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    chars, extra = {b: chr(b) for b in visible}, 0
    for b in range(256):
        if b not in chars:
            chars[b], extra = chr(256 + extra), extra + 1
    return chars


GGUF_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
              "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
              "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "post_attention_layernorm": "ffn_norm",
              "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        _, _, layer, rest = stem.split(".", 3)
        return f"blk.{layer}.{GGUF_NAMES[rest]}.weight"
    return GGUF_NAMES[stem] + ".weight"


def write_gguf(shape, out, kind):
    hidden, ffn, layers, heads, kv_heads, vocab, base, window, _ = shape
    number, elements, block = {"q8_0": (8, 32, 34), "q4_0": (2, 32, 18), "q4_k": (12, 256, 144)}[kind]
    text = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
    u32 = lambda key, x: text(key) + struct.pack("<II", 4, x)
    f32 = lambda key, x: text(key) + struct.pack("<If", 6, x)
    string = lambda key, x: text(key) + struct.pack("<I", 8) + text(x)
    strings = lambda key, xs: text(key) + struct.pack("<IIQ", 9, 8, len(xs)) + b"".join(map(text, xs))
    chars = byte_letters()
    keys = [string("general.architecture", "llama"), u32("llama.embedding_length", hidden),
            u32("llama.feed_forward_length", ffn), u32("llama.block_count", layers),
            u32("llama.attention.head_count", heads), u32("llama.attention.head_count_kv", kv_heads),
            u32("llama.context_length", window), u32("llama.vocab_size", vocab), f32("llama.rope.freq_base", base),
            f32("llama.attention.layer_norm_rms_epsilon", 1e-5), string("tokenizer.ggml.model", "gpt2"),
            string("tokenizer.ggml.pre", "gpt-2"), strings("tokenizer.ggml.tokens", [chars[b] for b in range(256)] + [f"<{i}>" for i in range(256, vocab)]),
            strings("tokenizer.ggml.merges", []), u32("tokenizer.ggml.bos_token_id", 0),
            u32("tokenizer.ggml.eos_token_id", 0)]
    infos, at, sizes = [], 0, []
    for name, size in tensors(shape):
        vector = len(size) == 1
        n = int(np.prod(size)) * 4 if vector else int(np.prod(size)) // elements * block
        infos.append(text(gguf_name(name)) + struct.pack("<I", len(size)) + struct.pack(f"<{len(size)}Q", *reversed(size))
                     + struct.pack("<IQ", 0 if vector else number, at))
        sizes.append((vector, size, n))
        at += n + -n % 32
    header = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (2**26 // block, block), dtype=np.uint8)
    # A standard deviation of 0.02: codes are uniform, -128 .. 127, -8 .. 7 or 0 .. 15.
    f16 = lambda *x: np.frombuffer(np.float16(x).tobytes(), dtype=np.uint8)
    if kind == "q4_k":  # d (32 q) - d_min 30, all groups alike: 32 d (q - 7.5)
        blocks[:, :4] = f16(0.02 / (32 * 4.6), 0.02 / 4.6 / 4)
        blocks[:, 4:16] = [0xA0] * 4 + [0x5E] * 4 + [0xE0] * 4
    else:
        blocks[:, :2] = f16(0.02 / (74 if kind == "q8_0" else 4.6))
    ring = blocks.tobytes()
    with open(out, "wb") as f:
        f.write(header + b"\0" * (-len(header) % 32))
        for vector, size, n in sizes:
            data = np.ones(size, dtype=np.float32).tobytes() if vector else b""
            f.write(data)
            for begin in range(len(data), n, len(ring)):
                f.write(ring[:min(len(ring), n - begin)])
            f.write(b"\0" * (-n % 32))
    print(f"{out}: {at / 2**30:.2f} GiB")


def write_tokenizer(out):
    """tokenizer.json of single bytes."""
    chars = byte_letters()
    json.dump({"version": "1.0", "added_tokens": [], "normalizer": None,
               "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
               "post_processor": None, "decoder": {"type": "ByteLevel"},
               "model": {"type": "BPE", "vocab": {chars[b]: b for b in range(256)}, "merges": []}},
              open(f"{out}/tokenizer.json", "w"))


def main():
    shape, out = SHAPES[sys.argv[1]], sys.argv[2]
    if len(sys.argv) > 3:
        return write_gguf(shape, out, sys.argv[3])
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
