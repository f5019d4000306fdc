#!/usr/bin/env python3
"""make demo: a model trained for 8,192 tokens reads a text of twice that, untouched and stretched.

Shows the perplexity of the part beyond the window and answers to questions about the end and the beginning of the text, with
time and memory. MODEL=path adds another model, with the window that its own config states; POSITION=... chooses another
method for SmolLM2. Nothing is left out: wrong answers are shown as wrong.
"""
import json
import math
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "longspan"
TEXT = ROOT / "examples" / "mayor-of-casterbridge.txt"
QUESTIONS = ROOT / "examples" / "questions.tsv"
ANSWER_TOKENS = 32
COLUMN = 34


def longspan(*arguments):
    """The JSON objects that a command prints; its progress goes to our stderr."""
    done = subprocess.run([PROGRAM, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def contenders(tokens, window):
    """(name, model, options) of each column. The untouched model must be told to go where it was not trained."""
    # The least stretch that covers text, question and answer: every bit more costs precision nearby.
    position = os.environ.get("POSITION") or f"yarn:factor={math.ceil((tokens + 256) / window * 10) / 10}"
    insist = ["--context", tokens + 256]
    columns = [("untouched", "smollm2", ["--position", "rope", *insist]),
               (position, "smollm2", ["--position", position, *insist])]
    if os.environ.get("MODEL"):
        columns.append(("yours", os.environ["MODEL"], insist))
    return columns


def mean_perplexity(logprobs):
    return math.exp(-sum(logprobs) / len(logprobs)) if logprobs else math.nan


def show_perplexity(columns, window):
    print(f"\n1. How well is the text predicted? (perplexity, lower is better; {window:,} tokens is what it was trained for)\n")
    print(f"  {'':<22}{'inside the window':>20}{'beyond it':>12}{'seconds':>10}{'memory':>11}")
    for name, model, options in columns:
        score = longspan("score", model, "--file", TEXT, *options)[0]
        inside, beyond = score["logprobs"][:window - 1], score["logprobs"][window - 1:]
        print(f"  {name:<22}{mean_perplexity(inside):>20.1f}{mean_perplexity(beyond):>12.1f}"
              f"{score['seconds']:>10.1f}{score['peak_bytes'] / 2**20:>7.0f} MiB", flush=True)


def read_questions():
    rows = [line.split("\t") for line in QUESTIONS.read_text().splitlines() if line and not line.startswith("#")]
    return [(where, question, accepted.split("|")) for where, question, accepted in rows]


def show_answers(columns):
    print("\n2. What does it answer about the text?\n", flush=True)
    questions = read_questions()
    answers = [longspan("ask", model, "--file", TEXT, *[q for _, q, _ in questions], "-n", ANSWER_TOKENS, *options)
               for _, model, options in columns]
    right = [0] * len(columns)
    print("  " + "".join(f"{name:<{COLUMN}}" for name, _, _ in columns))
    for i, (where, question, accepted) in enumerate(questions):
        print(f"\n  {question} ({where} of the text; expected: {' or '.join(accepted)})")
        cells = []
        for c in range(len(columns)):
            answer = " ".join(answers[c][i]["answer"].split())
            good = any(word.lower() in answer.lower() for word in accepted)
            right[c] += good
            cells.append(textwrap.wrap(("[right] " if good else "[wrong] ") + answer, COLUMN - 2, break_on_hyphens=False)[:4])
        for row in range(max(map(len, cells))):
            print("  " + "".join(f"{cell[row] if row < len(cell) else '':<{COLUMN}}" for cell in cells).rstrip())
    print()
    for c, (name, _, _) in enumerate(columns):
        first = answers[c][0]
        print(f"  {name:<22}{right[c]} of {len(questions)} right; read {first['prompt_tokens']:,} tokens in {first['prefill_s']:.1f} s, "
              f"then {sum(a['decode_s'] for a in answers[c]) / len(questions):.1f} s an answer; {answers[c][-1]['peak_bytes'] / 2**20:.0f} MiB at most")


def main():
    start = time.monotonic()
    tokens = len(longspan("tokenize", "smollm2", "--file", TEXT)[0]["ids"])
    info = longspan("info", "smollm2", "--context", tokens)[0]
    print(f"SmolLM2-135M-Instruct ({info['parameters'] / 1e6:.0f}M parameters, trained for {info['native_context']:,} tokens) reads\n"
          f"{TEXT.relative_to(ROOT)}: {tokens:,} tokens.", flush=True)
    columns = contenders(tokens, info["native_context"])
    show_perplexity(columns, info["native_context"])
    show_answers(columns)
    print(f"\nThe demo took {time.monotonic() - start:.0f} s. Your own text: build/longspan ask smollm2 --file TEXT \"QUESTION\" "
          f"--position {columns[1][0]}")


if __name__ == "__main__":
    main()
