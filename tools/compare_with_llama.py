#!/usr/bin/env python3
"""The same model file in longspan and llama.cpp: greedy answers and perplexity side by side.

Greedy: 64 tokens after each of three prompts. Where the texts part, the log-probabilities that longspan (F32) gives to the two
continuations are printed: a near tie explains the difference (llama.cpp rounds activations to 8 bits).
Perplexity: second half of the first 4,096 tokens of a text, as llama-perplexity counts it (targets 2,049 to 4,095), or of
several windows spread over the text.

usage: compare_with_llama.py --llama-bin DIR [--longspan build/longspan] [--model smollm2] [--model-file FILE] [--text FILE]
                             [--length 4096] [--windows 1] [--only-perplexity]
"""
import argparse
import json
import math
import os
import re
import subprocess
import tempfile

PROMPTS = ["The capital of France is", "Once upon a time, in a small village by the sea,", "def fibonacci(n):\n"]


def longspan(a, *arguments):
    out = subprocess.run([a.longspan, *arguments, "--json", "--quiet"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def ids(a, text):
    return longspan(a, "tokenize", a.model, text)["ids"]


def token_logprob(a, text, index):
    """Log-probability of token number `index` of `text`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write(text)
        f.flush()
        logprobs = longspan(a, "score", a.model, "--file", f.name, "--compute", "f32", "--cache-type", "f32")["logprobs"]
    return logprobs[index - 1]


def greedy(a):
    for prompt in PROMPTS:
        theirs = subprocess.run([f"{a.llama_bin}/llama-completion", "-m", a.model_file, "-p", prompt, "-n", "64", "--temp", "0",
                                 "-no-cnv", "--no-display-prompt", "-t", "2"], capture_output=True, text=True,
                                stdin=subprocess.DEVNULL).stdout
        theirs = theirs.replace(" [end of text]", "").rstrip("\n")
        for compute in ("f32", "bf16"):
            ours = longspan(a, "generate", a.model, "--prompt", prompt, "-n", "64", "--compute", compute)["text"].rstrip("\n")
            x, y = ids(a, prompt + ours), ids(a, prompt + theirs)
            same = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
            start = len(ids(a, prompt))
            if same == len(x) == len(y):
                print(f"{prompt!r} ({compute}): all {same - start} tokens equal")
                continue
            detail = ""
            if same < min(len(x), len(y)):
                detok = lambda seq: longspan(a, "detokenize", a.model, *map(str, seq))["text"]
                p, q = token_logprob(a, detok(x[:same + 1]), same), token_logprob(a, detok(y[:same + 1]), same)
                detail = f": log p of ours {p:.3f} ({detok([x[same]])!r}), of llama.cpp's {q:.3f} ({detok([y[same]])!r})"
            print(f"{prompt!r} ({compute}): equal for {same - start} tokens, then they part{detail}")


def parts(a, folder):
    """Files with parts of the text, evenly spread over it, that begin with a paragraph; both programs read their first tokens."""
    text = open(a.text).read()
    if a.windows > 1 and len(text) < 16 * a.length * a.windows // 2:
        raise SystemExit(f"{a.text}: too short for {a.windows} windows; give a longer --text")
    for w in range(a.windows):
        start = 0 if w == 0 else text.index("\n\n", w * len(text) // a.windows) + 2
        path = os.path.join(folder, f"part{w}.txt")
        with open(path, "w") as f:
            f.write(text[start:start + 16 * a.length])  # llama-perplexity wants two windows, of which it reads one
        yield path


def perplexity(a):
    """Of the second halves of all windows."""
    nll = {"llama.cpp": [], "f32": [], "bf16": []}
    with tempfile.TemporaryDirectory() as folder:
        for part in parts(a, folder):
            out = subprocess.run([f"{a.llama_bin}/llama-perplexity", "-m", a.model_file, "-f", part, "-c", str(a.length), "-t", "2",
                                  "--chunks", "1"], capture_output=True, text=True)
            nll["llama.cpp"].append(math.log(float(re.search(r"\[1\]([0-9.]+)", out.stdout + out.stderr).group(1))))
            for compute in ("f32", "bf16"):
                nll[compute].append(longspan(a, "score", a.model_file, "--file", part, "--length", str(a.length), "--from",
                                             str(a.length // 2 + 1), "--compute", compute)["nll"])
    of = {who: math.exp(sum(values) / len(values)) for who, values in nll.items()}
    for compute in ("f32", "bf16"):
        apart = [abs(x - y) for x, y in zip(nll[compute], nll["llama.cpp"])]
        print(f"perplexity of tokens {a.length // 2 + 1:,} to {a.length - 1:,} of {a.windows} windows: longspan {compute} "
              f"{of[compute]:.4f}, llama.cpp {of['llama.cpp']:.4f}, difference {100 * (of[compute] / of['llama.cpp'] - 1):+.2f} %, "
              f"of one window {100 * max(apart):.2f} % at most")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama-bin", required=True)
    p.add_argument("--longspan", default="build/longspan")
    p.add_argument("--model", default="smollm2")
    p.add_argument("--model-file", default=os.path.expanduser("~/.cache/longspan/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    p.add_argument("--text", default="examples/mayor-of-casterbridge.txt")
    p.add_argument("--length", type=int, default=4096)
    p.add_argument("--windows", type=int, default=1)
    p.add_argument("--only-perplexity", action="store_true")
    a = p.parse_args()
    if not a.only_perplexity:
        greedy(a)
    perplexity(a)


if __name__ == "__main__":
    main()
