"""Makes tests/losses/tiny.json: the losses of ten training steps of a tiny checkpoint, full and with adapters, by
PyTorch in float64 with an AdamW, a schedule and a divergence written from their papers. The rows, and the matrices A
with which adapters begin, come from the same random numbers as in tests/train/fixture.h and src/model/training.cc.
Run it as: python tools/make_loss_golden.py        Needs torch, transformers.
"""

import copy
import json
import math
import pathlib

import torch
from transformers import AutoModelForCausalLM

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
VOCABULARY, STEPS, WARMUP, FINAL = 64, 10, 2, 0.1
BETA1, BETA2, EPS, DECAY, CLIP = 0.9, 0.95, 1e-8, 0.1, 1.0
ROLES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORD = (1 << 64) - 1


class Random:
    """xoshiro256** seeded by splitmix64 (Blackman and Vigna, arXiv 1805.01407)."""

    def __init__(self, seed):
        self.state = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & WORD
            z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & WORD
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
            self.state.append(z ^ (z >> 31))

    def next(self):
        def rotl(x, k):
            return ((x << k) | (x >> (64 - k))) & WORD

        s = self.state
        result = rotl(s[1] * 5 & WORD, 7) * 9 & WORD
        t = s[1] << 17 & WORD
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return result

    def uniform(self):
        return (self.next() >> 11) * 2.0**-53

    def below(self, n):
        product = self.next() * n
        while product & WORD < (1 << 64) % n:
            product = self.next() * n
        return product >> 64


def document(k, d, length):
    """Tokens and targets, -1 for the last."""
    random = Random(1000 * k + d)
    token, ids = random.below(VOCABULARY), []
    for _ in range(length):
        ids.append(token)
        token = (7 * token + 3) % VOCABULARY if random.uniform() < 0.8 else random.below(VOCABULARY)
    return ids, ids[1:] + [-1]


def log_probabilities(model, documents):
    """[tokens with a target, vocabulary], and the targets. Documents do not see each other: a batch holds them apart."""
    ids = torch.tensor([d[0] for d in documents])
    targets = torch.tensor([d[1] for d in documents]).flatten()
    logits = model(input_ids=ids, use_cache=False).logits.flatten(0, 1)
    return torch.log_softmax(logits, -1)[targets >= 0], targets[targets >= 0]


def cross_entropy(model, documents):
    log_p, targets = log_probabilities(model, documents)
    return -log_p[torch.arange(len(targets)), targets].mean()


def divergence(model, original, documents):
    log_p, _ = log_probabilities(model, documents)
    with torch.no_grad():
        wanted, _ = log_probabilities(original, documents)
    return (wanted.exp() * (wanted - log_p)).sum(-1).mean()


class Adapted(torch.nn.Module):
    """A projection with a low-rank product beside it (LoRA, Hu 2021, arXiv 2106.09685)."""

    def __init__(self, base, rank, alpha, random):
        super().__init__()
        bound = base.in_features**-0.5
        a = [[bound * (2 * random.uniform() - 1) for _ in range(base.in_features)] for _ in range(rank)]
        self.base, self.scale = base, alpha / rank
        self.a = torch.nn.Parameter(torch.tensor(a, dtype=torch.float64).float().double())  # kept in F32 there
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, rank, dtype=torch.float64))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.a.T @ self.b.T)


def adapt(model, projections, rank, alpha, seed=1):
    """What trains afterwards: adapters and norms."""
    trained = []
    for parameter in model.parameters():
        parameter.requires_grad = False
    for number, layer in enumerate(model.model.layers):
        for role, name in enumerate(ROLES):
            if name not in projections:
                continue
            parent = layer.self_attn if hasattr(layer.self_attn, name) else layer.mlp
            random = Random(seed * 1_000_003 + number * len(ROLES) + role)
            adapted = Adapted(getattr(parent, name), rank, alpha, random)
            setattr(parent, name, adapted)
            trained += [(adapted.a, True), (adapted.b, True)]
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.requires_grad = True
            trained.append((parameter, False))
    return trained


def learning_rate(peak, step):
    if step <= WARMUP:
        return peak * step / WARMUP
    done = (step - WARMUP) / (STEPS - WARMUP)
    return peak * (FINAL + (1 - FINAL) * 0.5 * (1 + math.cos(math.pi * done)))


def train(model, trained, peak, extra=lambda step: 0, same_rows=False):
    """The loss of each step. `trained`: parameters, and whether they decay (AdamW, Loshchilov 2019, arXiv 1711.05101).
    `same_rows`: every step reads those of the first."""
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in trained]
    losses = []
    for step in range(1, STEPS + 1):
        first = 0 if same_rows else 2 * step - 2
        rows = [document(k, d, 16) for k in (first, first + 1) for d in (0, 1)]
        loss = cross_entropy(model, rows)
        gradients = torch.autograd.grad(loss + extra(step), [p for p, _ in trained])
        losses.append(loss.item())
        norm = math.sqrt(sum((g * g).sum().item() for g in gradients))
        lr = learning_rate(peak, step)
        with torch.no_grad():
            for (p, decays), g, (m, v) in zip(trained, gradients, moments):
                g = g * min(1, CLIP / norm)
                m.mul_(BETA1).add_((1 - BETA1) * g)
                v.mul_(BETA2).add_((1 - BETA2) * g * g)
                move = m / (1 - BETA1**step) / ((v / (1 - BETA2**step)).sqrt() + EPS)
                p -= lr * (move + (DECAY * p if decays else 0))
    return losses


def main():
    original = AutoModelForCausalLM.from_pretrained(TESTS / "golden" / "model" / "gqa",
                                                    attn_implementation="eager").double()
    losses = {}
    for name in ("full", "full_same_rows"):
        model = copy.deepcopy(original)
        trained = [(p, "proj" in parameter) for parameter, p in model.named_parameters()]
        losses[name] = train(model, trained, 2e-3, same_rows=name == "full_same_rows")
    for name in ("lora", "lora_short_rows"):
        model = copy.deepcopy(original)
        trained = adapt(model, ["q_proj", "o_proj", "down_proj"], rank=4, alpha=8)

        def short(step):
            rows = [document(k, 0, 12) for k in (2 * step - 2, 2 * step - 1)]
            return 0.5 * cross_entropy(model, rows) + 2 * divergence(model, original, rows)

        losses[name] = train(model, trained, 1e-2, short if name == "lora_short_rows" else lambda step: 0)
    (TESTS / "losses" / "tiny.json").write_text(json.dumps(losses, indent=1) + "\n")


main()
