#!/usr/bin/env python3
"""The same model file in longspan and llama.cpp: greedy answers and perplexity side by side.

Greedy: 64 tokens after each of three prompts. Where the texts part, the log-probabilities that longspan (F32) gives to the two
continuations are printed: a near tie explains the difference (llama.cpp rounds activations to 8 bits).
Perplexity: second half of the first 4,096 tokens of a text, as llama-perplexity counts it (targets 2,049 to 4,095).

usage: compare_with_llama.py --llama-bin DIR [--longspan build/longspan] [--model smollm2] [--model-file FILE] [--text FILE]
"""
import argparse
import json
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


def perplexity(a):
    out = subprocess.run([f"{a.llama_bin}/llama-perplexity", "-m", a.model_file, "-f", a.text, "-c", "4096", "-t", "2",
                          "--chunks", "1"], capture_output=True, text=True)
    theirs = float(re.search(r"\[1\]([0-9.]+)", out.stdout + out.stderr).group(1))
    for compute in ("f32", "bf16"):
        ours = longspan(a, "score", a.model, "--file", a.text, "--length", "4096", "--from", "2049", "--compute", compute)["perplexity"]
        print(f"perplexity of tokens 2,049 to 4,095: longspan {compute} {ours:.4f}, llama.cpp {theirs:.4f}, "
              f"difference {100 * (ours / theirs - 1):+.2f} %")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama-bin", required=True)
    p.add_argument("--longspan", default="build/longspan")
    p.add_argument("--model", default="smollm2")
    p.add_argument("--model-file", default=os.path.expanduser("~/.cache/longspan/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    p.add_argument("--text", default="examples/mayor-of-casterbridge.txt")
    a = p.parse_args()
    greedy(a)
    perplexity(a)


if __name__ == "__main__":
    main()
