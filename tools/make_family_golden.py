"""Makes tests/golden/family with transformers, an independent implementation: tiny random checkpoints of the families
whose layers differ from Llama's, cases.json and logits.f32 as in tests/golden/model (make_model_golden.py).

Each family has a Hugging Face directory and, where llama.cpp knows it, a GGUF twin, whose names and keys are those of
llama.cpp's converter. Everything is seeded; run it as: python tools/make_family_golden.py
Needs torch, transformers, safetensors, numpy, gguf.
"""

import json
import pathlib
import shutil

import gguf
import make_model_golden as golden
import numpy as np
import torch
from transformers import (AutoModelForCausalLM, Gemma2Config, Glm4Config, GraniteConfig, Olmo2Config, Phi3Config, Qwen2MoeConfig,
                          Qwen3MoeConfig, SmolLM3Config)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "family"
TOKENS, STRIDE = 75, 3
SHAPE = dict(vocab_size=golden.VOCAB, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.3, rms_norm_eps=1e-5,
             bos_token_id=None, eos_token_id=None, pad_token_id=None)
ROPE = dict(rope_type="default", rope_theta=10000.0)


def random_model(config, seed):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(1.0 + 0.2 * torch.randn_like(p))
            elif name.endswith("bias"):
                p.copy_(0.3 * torch.randn_like(p))
            elif "experts" in name or "gate.weight" in name:
                p.copy_(0.3 * torch.randn_like(p))
    return model.eval()


def add_case(checkpoint, model, n=TOKENS):
    name = checkpoint if n == TOKENS else f"{checkpoint} of {n} tokens"
    golden.add_case(name, f"../family/{checkpoint}", model, n, stride=STRIDE)


def family(name, config, arch, keys=None, lists=None, lengths=(TOKENS,), pairs=()):
    """The directory and its GGUF twin. keys: writes the family's own keys; lists: rotary factors; pairs: the q and k that
    the file keeps in adjacent pairs where the directory has halves."""
    model = random_model(config, 400 + len(golden.cases))
    target = GOLDEN / name
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    (target / "generation_config.json").unlink(missing_ok=True)
    for n in lengths:
        add_case(name, model, n)
    writer = golden.gguf_writer(GOLDEN / f"{name}.gguf", arch, config, ROPE["rope_theta"], whole_heads=False)
    if keys:
        keys(writer)
    for list_name, values in (lists or {}).items():
        writer.add_tensor(list_name, np.array(values, dtype=np.float32))
    names = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch), config.num_hidden_layers)
    for key, p in tensors(model):
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        mapped = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert mapped, key
        value = p.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
        if heads and pairs:
            value = golden.adjacent_pairs(value, heads)
        if arch == "gemma2" and "norm" in key:
            value = value + 1
        writer.add_tensor(mapped, np.ascontiguousarray(value.squeeze()))
    golden.write_gguf(writer)
    for n in lengths:
        add_case(f"{name}.gguf", model, n)


def tensors(model):
    """Names and tensors as the converter takes them: all experts of a layer in one tensor, gate apart from up."""
    for key, p in model.state_dict().items():
        if key.endswith("experts.gate_up_proj"):
            gate, up = p.chunk(2, dim=1)
            yield key.replace("gate_up_proj", "gate_proj.weight"), gate
            yield key.replace("gate_up_proj", "up_proj.weight"), up
        elif key.endswith("experts.down_proj"):
            yield key + ".weight", p
        else:
            yield key, p


def moe_keys(shared):
    def keys(writer):
        writer.add_expert_count(6)
        writer.add_expert_used_count(3)
        writer.add_expert_feed_forward_length(24)
        if shared:
            writer.add_expert_shared_feed_forward_length(40)
        else:
            writer.add_key_length(12)
            writer.add_value_length(12)
    return keys


def gemma2_keys(writer):
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_sliding_window(20)
    writer.add_attn_logit_softcapping(4.0)
    writer.add_final_logit_softcapping(15.0)


def granite_keys(writer):
    writer.add_attention_scale(0.2)
    writer.add_embedding_scale(6.0)
    writer.add_residual_scale(0.4)
    writer.add_logit_scale(3.0)
    writer.add_rope_dimension_count(8)


def phi3_keys(window):
    def keys(writer):
        writer.add_rope_dimension_count(6)
        writer.add_rope_scaling_orig_ctx_len(32)
        writer.add_sliding_window(window)
        writer.add_rope_scaling_attn_factors((1 + np.log(64 / 32) / np.log(32)) ** 0.5)
    return keys


def main():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    experts = dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=24)
    family("qwen2moe", Qwen2MoeConfig(**SHAPE, **experts, shared_expert_intermediate_size=40, norm_topk_prob=False,
                                      rope_parameters=ROPE), "qwen2moe", moe_keys(True))
    family("qwen3moe", Qwen3MoeConfig(**SHAPE, **experts, norm_topk_prob=True, head_dim=12, rope_parameters=ROPE),
           "qwen3moe", moe_keys(False))
    short, long = [1.0, 1.05, 1.1], [1.2, 1.9, 3.5]
    # Heads of 8 of which 6 dimensions turn; beyond 32 tokens the long factors hold.
    family("phi3", Phi3Config(**dict(SHAPE, original_max_position_embeddings=32),
                              rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, short_factor=short, long_factor=long,
                                                   original_max_position_embeddings=32, partial_rotary_factor=0.75)),
           "phi3", phi3_keys(0), {"rope_factors_short.weight": short, "rope_factors_long.weight": long}, lengths=(30, TOKENS))
    family("smollm3", SmolLM3Config(**dict(SHAPE, num_hidden_layers=4), rope_parameters=ROPE), "smollm3",
           lambda writer: writer.add_rope_dimension_count(8), pairs=True)
    family("olmo2", Olmo2Config(**SHAPE, rope_parameters=ROPE), "olmo2")
    family("glm4", Glm4Config(**SHAPE, head_dim=8, attention_bias=True,
                              rope_parameters=dict(ROPE, partial_rotary_factor=0.5)), "glm4",
           lambda writer: writer.add_rope_dimension_count(4))
    family("granite", GraniteConfig(**SHAPE, attention_multiplier=0.2, embedding_multiplier=6.0, residual_multiplier=0.4,
                                    logits_scaling=3.0, rope_parameters=ROPE), "granite", granite_keys, pairs=True)
    # Caps so small that scores and logits meet them; a window that 75 tokens leave.
    family("gemma2", Gemma2Config(**dict(SHAPE, num_hidden_layers=4, tie_word_embeddings=True), head_dim=16,
                                  query_pre_attn_scalar=16, sliding_window=20, attn_logit_softcapping=4.0,
                                  final_logit_softcapping=15.0, rope_parameters=ROPE), "gemma2", gemma2_keys)
    (GOLDEN / "cases.json").write_text(json.dumps(golden.cases) + "\n")
    (GOLDEN / "logits.f32").write_bytes(b"".join(rows.tobytes() for rows in golden.rows_kept))


if __name__ == "__main__":
    main()
