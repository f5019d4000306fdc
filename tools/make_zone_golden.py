"""Makes tests/golden/model/zones.{json,f32}: logits of tests/golden/model/positions under the methods that
transformers does not know, by a forward pass in float64 that looks at every pair of tokens separately: the distance of
query m and key n is what the paper says it is, and each pair of dimensions rotates by it. Nothing is rotated in advance,
no position is mapped, nothing is cached: another way to the same numbers than longspan's.
Run it as: python tools/make_zone_golden.py        Needs numpy, safetensors.
"""

import json
import math
import pathlib

import numpy as np
from safetensors.numpy import load_file

MODEL = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
CONFIG = json.loads((MODEL / "positions" / "config.json").read_text())
W = {name: x.astype(np.float64) for name, x in load_file(MODEL / "positions" / "model.safetensors").items()}
H, K, C = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["hidden_size"]
D = CONFIG.get("head_dim") or C // H
TRAINED = CONFIG["max_position_embeddings"]
THETA = 10000.0 ** (-2.0 * np.arange(D // 2) / D)
TOKENS = 160


def near_or(far, w):
    """Distances below w as they are, the others by far(m, n)."""
    return lambda m, n: float(m - n) if m - n < w else far(m, n)


def dual_chunk(size, local):
    chunk = size - local

    def distance(m, n):
        if m // chunk == n // chunk:
            return float(m - n)
        if m // chunk == n // chunk + 1:
            return float(min(m % chunk + chunk, size) - n % chunk)
        return float(min(2 * chunk - 1, size) - n % chunk)

    return distance


def plain(m, n):
    return float(m - n)


def method(spec, distance=plain, theta=THETA, slopes=None, decay=None, log_n=None):
    return dict(spec=spec, distance=distance, theta=theta, slopes=slopes,
                decay=decay, log_n=log_n)


ZETA = (2 * np.arange(D // 2) + 0.4 * D) / (1.4 * D)
METHODS = [
    method("rerope:window=32", near_or(lambda m, n: 32.0, 32)),
    method("leaky_rerope:window=24,factor=4", near_or(lambda m, n: 24 + (m - n - 24) / 4, 24)),
    method("self_extend:group=5,window=24", near_or(lambda m, n: m // 5 - n // 5 + 24 - 24 // 5, 24)),
    method("string:shift=40,local=8", near_or(lambda m, n: m - n - 40 + 8, 40)),
    method("dual_chunk:size=48,local=16", dual_chunk(48, 16)),
    method("nlpe:window=32,log_n=1", near_or(lambda m, n: 32.0, 32), log_n=TRAINED),
    method("alibi", theta=0 * THETA, slopes=[2.0 ** (-8 * (h + 1) / H) for h in range(H)]),
    method("xpos:scale_base=32", decay=np.log(ZETA) / 32),
    method("drope", theta=0 * THETA),
    method("p_rope:fraction=0.75", theta=np.where(np.arange(D // 2) < 0.75 * (D // 2), THETA, 0)),
    method("power:power=0.5", theta=THETA * (1 - 2 * np.arange(D // 2) / D) ** 0.5),
]


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + CONFIG["rms_norm_eps"]) * weight


def attention(q, k, v, how):
    """q [T, H, D], k and v [T, K, D] -> [T, H * D], pair by pair."""
    tokens, half = len(q), D // 2
    out = np.zeros((tokens, H, D))
    for m in range(tokens):
        sharp = max(1.0, math.log(m + 1) / math.log(how["log_n"])) if how["log_n"] else 1.0
        for h in range(H):
            scores = np.zeros(m + 1)
            for n in range(m + 1):
                a, b = q[m, h] * sharp, k[n, h // (H // K)]
                angle = how["distance"](m, n) * how["theta"]
                turned = ((a[:half] * b[:half] + a[half:] * b[half:]) * np.cos(angle)
                          + (a[:half] * b[half:] - a[half:] * b[:half]) * np.sin(angle))
                if how["decay"] is not None:
                    turned = turned * np.exp(how["decay"] * (m - n))
                scores[n] = turned.sum() / math.sqrt(D)
                if how["slopes"]:
                    scores[n] -= how["slopes"][h] * (m - n)
            p = np.exp(scores - scores.max())
            out[m, h] = (p / p.sum()) @ v[: m + 1, h // (H // K)]
    return out.reshape(tokens, H * D)


def logits(ids, how):
    x = W["model.embed_tokens.weight"][ids]
    for layer in range(CONFIG["num_hidden_layers"]):
        w = lambda name: W[f"model.layers.{layer}.{name}.weight"]
        a = norm(x, w("input_layernorm"))
        q, k, v = (a @ w(f"self_attn.{p}_proj").T for p in "qkv")
        attended = attention(q.reshape(-1, H, D), k.reshape(-1, K, D), v.reshape(-1, K, D), how)
        x = x + attended @ w("self_attn.o_proj").T
        a = norm(x, w("post_attention_layernorm"))
        gate = a @ w("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (a @ w("mlp.up_proj").T)) @ w("mlp.down_proj").T
    head = W.get("lm_head.weight", W["model.embed_tokens.weight"])
    return norm(x, W["model.norm.weight"]) @ head.T


def main():
    ids = np.random.default_rng(5).integers(0, CONFIG["vocab_size"], TOKENS)
    rows = list(range(TOKENS - 1, -1, -8))[::-1]
    kept = []
    for how in METHODS:
        got = logits(ids, how)[rows]
        kept.append(got.astype("<f4"))
        print(f"{how['spec']}: largest logit {abs(got).max():.2f}")
    (MODEL / "zones.f32").write_bytes(b"".join(x.tobytes() for x in kept))
    cases = dict(ids=ids.tolist(), rows=rows, positions=[how["spec"] for how in METHODS])
    (MODEL / "zones.json").write_text(json.dumps(cases) + "\n")


main()
