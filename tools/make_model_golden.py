"""Makes tests/golden/model and tests/golden/position with transformers, an independent implementation.

model/: tiny random checkpoints (Hugging Face directories and GGUF twins), cases.json (checkpoint, the rotary fields of
its config, the ids fed, which rows of logits were kept) and logits.f32 (those rows, one case after another).
position/frequencies.json: inv_freq and attention factor of transformers' own functions for many option sets.
Everything is seeded; run it as: python tools/make_model_golden.py
With the directory that holds SmolLM2-135M-Instruct.Q4_1.gguf as argument it makes model/smollm2.json instead:
log-probabilities of a text by the dequantised model, plain and under yarn.
Needs torch, transformers, safetensors, numpy, gguf.
"""

import json
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config,
                          Qwen3Config)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
MODEL = GOLDEN / "model"
VOCAB = 64
SHAPE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.3, rms_norm_eps=1e-5)
cases, rows_kept = [], []


def random_model(config, seed, norms_around=1.0):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("norm.weight"):
                p.copy_(norms_around + 0.2 * torch.randn_like(p))
            elif name.endswith("bias"):
                p.copy_(0.3 * torch.randn_like(p))
    return model.eval()


def add_case(name, checkpoint, model, n, fields=None, position="", stride=8):
    """Feeds n ids at once and keeps every stride-th row of logits, the last one always."""
    ids = np.random.default_rng(len(cases)).integers(0, VOCAB, n).tolist()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()
    rows = list(range(n - 1, -1, -stride))[::-1]
    rows_kept.append(np.ascontiguousarray(logits[rows], dtype="<f4"))
    cases.append(dict(name=name, checkpoint=checkpoint, fields=fields, position=position, ids=ids, rows=rows))
    print(f"{name}: {n} tokens, largest logit {abs(logits).max():.2f}")


def save(model, name, **kwargs):
    target = MODEL / name
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target, **kwargs)
    (target / "generation_config.json").unlink(missing_ok=True)


def checkpoints():
    one = dict(SHAPE, num_hidden_layers=1)
    variants = {
        "mha": LlamaConfig(**dict(one, num_key_value_heads=4)),
        "gqa": LlamaConfig(**SHAPE),
        "mqa": LlamaConfig(**dict(one, num_key_value_heads=1)),
        "tied": LlamaConfig(**dict(one, tie_word_embeddings=True)),
        "biased": LlamaConfig(**dict(one, attention_bias=True, mlp_bias=True)),
        "qwen2": Qwen2Config(**dict(one, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
        "headsize": LlamaConfig(**dict(SHAPE, num_attention_heads=2, num_key_value_heads=1, head_dim=24)),
        "window": MistralConfig(**dict(SHAPE, sliding_window=20)),
    }
    for seed, (name, config) in enumerate(variants.items()):
        model = random_model(config, seed)
        save(model, name, **(dict(max_shard_size="20KB") if name == "headsize" else {}))
        add_case(name, name, model, 75, stride=3)
        if name == "gqa":
            gguf_twins(model)
    model = random_model(LlamaConfig(**one), 100).to(torch.bfloat16)
    save(model, "bf16")
    # Loaded again: converting the model in place would round its rotary frequencies too.
    add_case("bf16", "bf16", AutoModelForCausalLM.from_pretrained(MODEL / "bf16", dtype=torch.float32,
                                                                  attn_implementation="eager"), 75, stride=3)


def position_cases():
    """One set of weights, many rotary settings, each read far beyond the trained window of 64 tokens."""
    shape = dict(SHAPE, num_attention_heads=2, num_key_value_heads=1)  # head size 16
    base = random_model(LlamaConfig(**shape), 200)
    save(base, "positions")
    d, factor = 16, 4.0
    settings = [
        ("rope", dict(rope_theta=10000.0), ""),
        ("linear", dict(rope_theta=10000.0, rope_scaling=dict(type="linear", factor=factor)), "linear:factor=4"),
        ("abf", dict(rope_theta=500000.0), "abf:base=500000"),
        ("ntk", dict(rope_theta=10000.0 * factor ** (d / (d - 2))), "ntk:factor=4"),
        ("dynamic", dict(rope_theta=10000.0, rope_scaling=dict(rope_type="dynamic", factor=2.0)), "dynamic_ntk:factor=2"),
        ("yarn", dict(rope_theta=10000.0, rope_scaling=dict(rope_type="yarn", factor=factor)), "yarn:factor=4"),
        ("yarn_options",
         dict(rope_theta=10000.0, rope_scaling=dict(rope_type="yarn", factor=3.0, beta_fast=8.0, beta_slow=0.5, mscale=1.5,
                                                    mscale_all_dim=0.7, truncate=False, original_max_position_embeddings=48)),
         "yarn:factor=3,beta_fast=8,beta_slow=0.5,mscale=1.5,mscale_all_dim=0.7,truncate=false,original=48"),
        ("llama3",
         dict(rope_theta=500.0, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                  original_max_position_embeddings=32)),
         "llama3:factor=8,low_freq_factor=1,high_freq_factor=4,original=32,base=500"),
        ("longrope",
         dict(rope_theta=10000.0, original_max_position_embeddings=32,
              rope_scaling=dict(rope_type="longrope", short_factor=[1.0 + 0.05 * i for i in range(8)],
                                long_factor=[1.0 + 0.6 * i for i in range(8)])), ""),
    ]
    for name, fields, position in settings:
        config = LlamaConfig(**shape, **json.loads(json.dumps(fields)))
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
        model.load_state_dict(base.state_dict())
        add_case(name, "positions", model, 160, fields, position, stride=10)


# GGUF twins: q and k rows of Llama are stored in adjacent pairs, as llama.cpp's converter writes them; those of Gemma
# stay, and its norms are stored with the 1 added.

GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
GEMMA_GGUF_NAMES = dict(GGUF_NAMES, **{
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
})


def gguf_name(name, names):
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        layer, _, role = stem.removeprefix("model.layers.").partition(".")
        return f"blk.{layer}.{names[role]}.weight"
    return names[stem] + ".weight"


def adjacent_pairs(weight, heads):
    """Rotate-half rows i and i + D/2 of each head become rows 2i and 2i + 1."""
    per_head = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(per_head.transpose(0, 2, 1, 3)).reshape(weight.shape)


def gguf_writer(path, arch, config, base, whole_heads=True):
    """whole_heads: all of a head rotates, and the file says so."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(base)
    if whole_heads:
        writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(VOCAB)
    return writer


def write_gguf(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_twins(model):
    config, kinds = model.config, gguf.GGMLQuantizationType
    for kind in (kinds.F32, kinds.Q8_0):
        name = f"gqa-{kind.name.lower()}.gguf"
        writer = gguf_writer(MODEL / name, "llama", config, 10000.0)
        stored = {}
        for key, p in model.state_dict().items():
            value = p.numpy()
            quantise = value.ndim == 2 and kind != kinds.F32
            if quantise:
                stored[key] = torch.tensor(gguf.quants.dequantize(gguf.quants.quantize(value, kind), kind).reshape(value.shape))
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
            if heads:
                value = adjacent_pairs(value, heads)
            writer.add_tensor(gguf_name(key, GGUF_NAMES), gguf.quants.quantize(value, kind) if quantise else value,
                              raw_dtype=kind if quantise else None)
        write_gguf(writer)
        twin = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
        twin.load_state_dict({**model.state_dict(), **stored})
        add_case(name, name, twin, 75, stride=3)


# Families. What transformers carries is saved by it. The others are Llama models for whom the script writes config.json
# and tensors as their authors publish them.

FAMILY = dict(SHAPE, num_hidden_layers=1, intermediate_size=32)


def families():
    qwen3 = random_model(Qwen3Config(**dict(FAMILY, num_attention_heads=2, num_key_value_heads=1, head_dim=24)), 300)
    save(qwen3, "qwen3")
    add_case("qwen3", "qwen3", qwen3, 75, stride=3)
    gemma3()
    published("xverse", dict(num_key_value_heads=4, rms_norm_eps=1e-6), xverse)
    published("aquila", {}, lambda config, state: (config, state))
    published("index", dict(num_key_value_heads=4, rms_norm_eps=1e-6), index)
    published("internlm2", dict(attention_bias=True, rope_theta=1e6), internlm2)


def gemma3():
    """Local, local, global; the global layer is stretched by a linear factor."""
    config = Gemma3TextConfig(
        **dict(FAMILY, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6),
        query_pre_attn_scalar=24, sliding_window=12, layer_types=["sliding_attention"] * 2 + ["full_attention"],
        rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=100.0),
                             full_attention=dict(rope_type="linear", factor=4.0, rope_theta=1000.0)))
    model = random_model(config, 301, norms_around=0.0)
    save(model, "gemma3")
    add_case("gemma3", "gemma3", model, 75, stride=3)
    # A GGUF file cannot say query_pre_attn_scalar: its twin divides by the square root of the head size.
    config.query_pre_attn_scalar = 16
    twin = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    twin.load_state_dict(model.state_dict())
    writer = gguf_writer(MODEL / "gemma3.gguf", "gemma3", config, 1000.0)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_sliding_window(12)
    writer.add_sliding_window_pattern([True, True, False])
    writer.add_float32("gemma3.rope.freq_base_swa", 100.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(4.0)
    for key, p in model.state_dict().items():
        if key != "lm_head.weight":
            writer.add_tensor(gguf_name(key, GEMMA_GGUF_NAMES), p.numpy() + np.float32("norm" in key))
    write_gguf(writer)
    add_case("gemma3.gguf", "gemma3.gguf", twin, 75, stride=3)


def published(name, changes, publish):
    """A random Llama model, saved as `publish` turns its config and tensors into the family's."""
    config = LlamaConfig(**dict(FAMILY, **changes))
    model = random_model(config, 310 + len(cases))
    fields = dict(FAMILY, model_type=name, rms_norm_eps=config.rms_norm_eps, hidden_act="silu", tie_word_embeddings=False,
                  torch_dtype="float32")
    fields, state = publish(fields, {key: p.clone() for key, p in model.state_dict().items()})
    target = MODEL / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (target / "config.json").write_text(json.dumps(fields, indent=2) + "\n")
    save_file({key: p.contiguous() for key, p in state.items()}, target / "model.safetensors", metadata=dict(format="pt"))
    if name == "index":
        with torch.no_grad():
            model.lm_head.weight.div_(model.lm_head.weight.norm(dim=1, keepdim=True))
    add_case(name, name, model, 75, stride=3)


def xverse(config, state):
    """No num_key_value_heads; the frequencies are stored as a buffer of each layer."""
    del config["num_key_value_heads"]
    inv_freq = 1 / 10000 ** (torch.arange(0, 8, 2) / 8)
    return config, dict(state, **{"model.layers.0.self_attn.rotary_emb.inv_freq": inv_freq})


def index(config, state):
    return dict(config, norm_head=1, num_key_value_heads=4, max_length=64), state


def internlm2(config, state):
    """q, k and v in one tensor: for each key/value head its query heads, the key head and the value head."""
    out = {"model.tok_embeddings.weight": state["model.embed_tokens.weight"], "model.norm.weight": state["model.norm.weight"],
           "output.weight": state["lm_head.weight"]}
    names = {"self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
             "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm"}
    layer, groups, size = "model.layers.0.", config["num_key_value_heads"], 8
    for kind in ("weight", "bias"):
        for theirs, ours in names.items():
            if f"{layer}{theirs}.{kind}" in state:
                out[f"{layer}{ours}.{kind}"] = state[f"{layer}{theirs}.{kind}"]
        q, k, v = (state[f"{layer}self_attn.{role}_proj.{kind}"] for role in "qkv")
        heads = [part.reshape(groups, -1, size, *part.shape[1:]) for part in (q, k, v)]
        out[f"{layer}attention.wqkv.{kind}"] = torch.cat(heads, dim=1).reshape(-1, *q.shape[1:])
    return dict(config, bias=True, rope_theta=1e6), out


def frequencies():
    out = []
    for d, base, window in ((16, 1e4, 64), (64, 1e5, 8192), (80, 1e6, 32768), (128, 5e5, 8192), (96, 1e4, 4096)):
        options = [
            dict(rope_type="linear", factor=8.0),
            dict(rope_type="dynamic", factor=2.0), dict(rope_type="dynamic", factor=1.0), dict(rope_type="dynamic", factor=4.5),
            dict(rope_type="yarn", factor=32.0),
            dict(rope_type="yarn", factor=4.0, beta_fast=16.0, beta_slow=2.0),
            dict(rope_type="yarn", factor=40.0, mscale=1.0, mscale_all_dim=0.8),
            dict(rope_type="yarn", factor=4.0, attention_factor=1.25, truncate=False),
            dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=window // 4),
            dict(rope_type="yarn", factor=0.5),
            dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                 original_max_position_embeddings=window // 8),
            dict(rope_type="longrope", factor=16.0, short_factor=[1 + 0.01 * i for i in range(d // 2)],
                 long_factor=[1 + 0.3 * i for i in range(d // 2)], original_max_position_embeddings=window // 16),
        ]
        for option in options:
            config = dict(hidden_size=2 * d, num_attention_heads=2, max_position_embeddings=window, rope_theta=base,
                          rope_scaling=option)
            for length in (window // 32, window, 5 * window) if option["rope_type"] in ("dynamic", "longrope") else (window,):
                inv_freq, scale = ROPE_INIT_FUNCTIONS[option["rope_type"]](
                    LlamaConfig(**json.loads(json.dumps(config))), "cpu", seq_len=length)
                out.append(dict(config=config, head_dim=d, length=length, attention_scale=float(scale),
                                inv_freq=[float(f"{x:.8g}") for x in inv_freq.tolist()]))
    (GOLDEN / "position").mkdir(parents=True, exist_ok=True)
    text = "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in out) + "\n]\n"
    (GOLDEN / "position" / "frequencies.json").write_text(text)


# Lewis Carroll, Alice's Adventures in Wonderland (1865), opening.
TEXT = """Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or
twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and what is the
use of a book," thought Alice, "without pictures or conversations?"

So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), whether
the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White
Rabbit with pink eyes ran close by her.

There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the Rabbit say to
itself, "Oh dear! Oh dear! I shall be late!" (when she thought it over afterwards, it occurred to her that she ought to have
wondered at this, but at the time it all seemed quite natural); but when the Rabbit actually took a watch out of its
waistcoat-pocket, and looked at it, and then hurried on, Alice started to her feet, for it flashed across her mind that she
had never before seen a rabbit with either a waistcoat-pocket, or a watch to take out of it, and burning with curiosity, she
ran across the field after it, and fortunately was just in time to see it pop down a large rabbit-hole under the hedge."""


def smollm2(directory):
    source = dict(pretrained_model_name_or_path=directory, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
    ids = AutoTokenizer.from_pretrained(**source)(TEXT.replace("\n", " "))["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    out = dict(ids=ids)
    for name in ("rope", "yarn:factor=4"):
        if name != "rope":
            config = model.config
            config.rope_parameters = dict(rope_type="yarn", factor=4.0, rope_theta=100000.0,
                                          original_max_position_embeddings=8192)
            stretched = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
            stretched.load_state_dict(model.state_dict())
            model = stretched
        with torch.no_grad():
            logprobs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, :-1], -1)
        picked = logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
        print(f"{name}: {len(ids)} tokens, loss {-picked.mean():.4f}")
        out[name] = [float(f"{x:.6f}") for x in picked.tolist()]
    (MODEL / "smollm2.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__" and len(sys.argv) > 1:
    smollm2(sys.argv[1])
elif __name__ == "__main__":
    MODEL.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    checkpoints()
    position_cases()
    families()
    frequencies()
    (MODEL / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
    (MODEL / "logits.f32").write_bytes(b"".join(r.tobytes() for r in rows_kept))
