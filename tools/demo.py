#!/usr/bin/env python3
"""make demo: a model trained for 8,192 tokens reads a text of twice that: untouched, stretched without training, and trained.

Shows the perplexity of the part beyond the window, whether eight facts are found that this script places in the text (in forms
that no template of `corpus synth` has), and the answers to eight reading questions, with time and memory. The trained column is
that of the model smollm2-256k, or of SmolLM2 with the adapter that ADAPTER=directory names; without either there is none.
MODEL=path adds another model, with the window that its own config states; POSITION=... chooses another method for the second
column. Nothing is left out: wrong answers are shown as wrong.

make demo-long (demo.py long): the same with 64,000 tokens of the novel and what stands at their beginning, by the trained model,
or else in two zones without training.
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
LONG_TEXT = ROOT / "examples" / "mayor-of-casterbridge-64k.txt.zst"
QUESTIONS = ROOT / "examples" / "questions.tsv"
PLACED = ROOT / "examples" / "placed-facts.tsv"
ZONES = "rerope:window=2048,log_n=1"  # what the adapter is trained under
ANSWER_TOKENS = 32
ROOM = 400  # tokens for the placed facts, a question and its answer
COLUMN = 34


def longspan(*arguments):
    """The JSON objects that a command prints; its progress goes to our stderr."""
    done = subprocess.run([PROGRAM, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def trained_column(insist):
    """The trained model, or nothing where there is none."""
    adapter = os.environ.get("ADAPTER")
    if adapter:
        # PEFT's files of other programs do not say under which positions they were trained.
        position = [] if (Path(adapter) / "longspan.json").exists() else ["--position", ZONES]
        return [("trained", "smollm2", ["--adapter", adapter, *position, *insist])]
    fetched = subprocess.run([PROGRAM, "fetch", "smollm2-256k", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [("trained", "smollm2-256k", insist)] if fetched.returncode == 0 else []


def contenders(tokens, window):
    """(name, model, options) of each column. The untouched model must be told to go where it was not trained."""
    # The least stretch that covers text, question and answer: every bit more costs precision nearby.
    position = os.environ.get("POSITION") or f"yarn:factor={math.ceil((tokens + ROOM) / window * 10) / 10}"
    insist = ["--context", tokens + ROOM]
    columns = [("untouched", "smollm2", ["--position", "rope", *insist]),
               (position, "smollm2", ["--position", position, *insist]), *trained_column(insist)]
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


def rows_of(file):
    """The rows of a table of ours; the last column holds the accepted words."""
    rows = [line.split("\t") for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [(*cells[:-1], cells[-1].split("|")) for cells in rows]


def with_facts(text, facts):
    """The text with each fact as a paragraph of its own, at the paragraph's end nearest behind its depth."""
    size = len(text)
    for depth, fact, _, _ in sorted(facts, key=lambda row: -float(row[0])):
        at = text.find("\n\n", int(float(depth) * size))
        text = text[:at] + "\n\n" + fact + text[at:]
    target = ROOT / "build" / "demo-text.txt"
    target.write_text(text)
    return target


def ask_columns(columns, file, questions):
    """Of each column, whether each answer is right and what it is, and the answers with their times."""
    answers = [longspan("ask", "--no-cache", model, "--file", file, *[q for q, _ in questions], "-n", ANSWER_TOKENS, *options)
               for _, model, options in columns]
    said = [[" ".join(a["answer"].split()) for a in column] for column in answers]
    right = [[any(word.lower() in text.lower() for word in accepted) for text, (_, accepted) in zip(column, questions)]
             for column in said]
    return right, said, answers


def show_cells(cells):
    for row in range(max(map(len, cells))):
        print("  " + "".join(f"{cell[row] if row < len(cell) else '':<{COLUMN}}" for cell in cells).rstrip())


def show_answers(columns):
    facts, reading = rows_of(PLACED), rows_of(QUESTIONS)
    file = with_facts(TEXT.read_text(), facts)
    questions = [(q, accepted) for _, _, q, accepted in facts] + [(q, accepted) for _, q, accepted in reading]
    notes = [f"placed at {float(depth):.0%}" for depth, *_ in facts] + [f"{where} of the text" for where, *_ in reading]
    right, said, answers = ask_columns(columns, file, questions)
    heads = {0: f"2. Does it find {len(facts)} facts that were placed in the text?",
             len(facts): f"3. What does it answer to {len(reading)} questions about the text itself?"}
    for i, (question, accepted) in enumerate(questions):
        if i in heads:
            print(f"\n{heads[i]}\n")
            print("  " + "".join(f"{name:<{COLUMN}}" for name, _, _ in columns))
        print(f"\n  {question} ({notes[i]}; expected: {' or '.join(accepted)})")
        show_cells([textwrap.wrap(("[right] " if right[c][i] else "[wrong] ") + said[c][i], COLUMN - 2, break_on_hyphens=False)[:4]
                    for c in range(len(columns))])
    print()
    for c, (name, _, _) in enumerate(columns):
        first = answers[c][0]
        print(f"  {name:<22}found {sum(right[c][:len(facts)])} of {len(facts)}; {sum(right[c][len(facts):])} of {len(reading)} right; "
              f"read {first['prompt_tokens']:,} tokens in {first['prefill_s']:.1f} s, "
              f"then {sum(a['decode_s'] for a in answers[c]) / len(questions):.1f} s an answer; "
              f"{answers[c][-1]['peak_bytes'] / 2**20:.0f} MiB at most")


def show_long():
    text = subprocess.run(["zstd", "-dcq", LONG_TEXT], check=True, stdout=subprocess.PIPE, text=True).stdout
    facts = [row for row in rows_of(PLACED) if float(row[0]) < 0.2]
    file = with_facts(text, [("0.001" if i == 0 else "0.01", *row[1:]) for i, row in enumerate(facts)])
    tokens = len(longspan("tokenize", "smollm2", "--file", file)[0]["ids"])
    insist = ["--context", tokens + ROOM]
    columns = trained_column(insist) or [("two zones, untrained", "smollm2", ["--position", ZONES, *insist])]
    print(f"SmolLM2-135M-Instruct, trained for 8,192 tokens, reads {tokens:,} tokens of a novel ({columns[0][0]}).", flush=True)
    questions = [(q, accepted) for _, _, q, accepted in facts]
    questions += [(q, accepted) for where, q, accepted in rows_of(QUESTIONS) if where == "beginning"]
    right, said, answers = ask_columns(columns, file, questions)
    for i, (question, accepted) in enumerate(questions):
        print(f"\n  {question} (at the beginning; expected: {' or '.join(accepted)})")
        show_cells([textwrap.wrap(("[right] " if right[0][i] else "[wrong] ") + said[0][i], 3 * COLUMN)[:4]])
    first = answers[0][0]
    print(f"\n  found {sum(right[0][:len(facts)])} of {len(facts)} placed facts, {sum(right[0][len(facts):])} of "
          f"{len(questions) - len(facts)} right; read in {first['prefill_s']:.1f} s, then "
          f"{sum(a['decode_s'] for a in answers[0]) / len(questions):.1f} s an answer; {answers[0][-1]['peak_bytes'] / 2**20:.0f} MiB at most")


def main():
    start = time.monotonic()
    if sys.argv[1:] == ["long"]:
        return show_long()
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
