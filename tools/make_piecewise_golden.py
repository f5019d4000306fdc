"""Writes tests/golden/piecewise/cases.bin: piecewise attention by its definition, in torch and in double.

Each case: int32 M, N, H, D, threshold, causal; F32 scale; then F32 arrays q1 [M,H,D], k1 [N,H,D], q2, k2, v, out [M,H,D],
log_sum [M,H]. Run from the source root with torch installed (made with torch 2.15):  python tools/make_piecewise_golden.py
"""
import struct
from pathlib import Path

import torch

# M, N, H, D, scale: fewer, as many and more queries than keys; the threshold is M // 2 if M < N else M - N // 2.
SHAPES = [(19, 31, 2, 16, 1.0), (30, 30, 1, 32, 0.5), (33, 12, 2, 16, 2.0), (5, 40, 1, 48, 0.125), (1, 23, 2, 16, 1.0)]


def piecewise(q1, k1, q2, k2, v, threshold, causal, scale):
    m, n = q1.shape[0], k1.shape[0]
    distance = torch.arange(m)[:, None] + (n - m) - torch.arange(n)[None, :]
    near, far = (torch.einsum("mhd,nhd->hmn", q, k) * scale for q, k in ((q1, k1), (q2, k2)))
    scores = torch.where(distance >= threshold, far, near)
    if causal:
        scores = scores.masked_fill(distance < 0, float("-inf"))
    log_sum = torch.logsumexp(scores, -1)
    weights = torch.exp(scores - log_sum[..., None]).nan_to_num(0.0)  # no visible key: -inf - -inf
    return torch.einsum("hmn,nhd->mhd", weights, v), log_sum.T


torch.manual_seed(11)
out = Path("tests/golden/piecewise")
out.mkdir(parents=True, exist_ok=True)
with open(out / "cases.bin", "wb") as file:
    for m, n, h, d, scale in SHAPES:
        for causal in (False, True):
            threshold = m // 2 if m < n else m - n // 2
            given = [torch.randn(rows, h, d) for rows in (m, n, m, n, n)]
            results = piecewise(*(x.double() for x in given), threshold, causal, scale)
            file.write(struct.pack("<6if", m, n, h, d, threshold, causal, scale))
            for x in [*given, *results]:
                file.write(x.float().contiguous().numpy().tobytes())
