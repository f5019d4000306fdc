#!/usr/bin/env python3
"""Execution accuracy of what `longspan sql --json` wrote: a question counts when its statement gives the rows of the gold
statement, in the same order where that one says ORDER BY.

    longspan sql smollm2 --db library.db --questions library.jsonl --json >library.out
    tools/score_sql.py library.db library.jsonl library.out [shop.db shop.jsonl shop.out ...] [--wrong]

Both statements are run here, by Python's sqlite3, read-only; what longspan says about the result does not count.
Intervals are Wilson's, 95 %."""
import argparse
import collections
import json
import math
import sqlite3
import time


def rows_of(db, statement, seconds=5.0):
    end = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > end, 10000)
    try:
        return [tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in db.execute(statement)]
    finally:
        db.set_progress_handler(None, 0)


def outermost_order(statement):
    """Whether ORDER BY stands outside of brackets."""
    depth, plain = 0, ""
    for c in statement.upper():
        depth += (c == "(") - (c == ")")
        plain += c if depth == 0 else " "
    return "ORDER BY" in plain


def equal(gold, got, ordered):
    same = lambda a, b: len(a) == len(b) and all(
        math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-6) if isinstance(x, (int, float)) and isinstance(y, (int, float)) else x == y
        for x, y in zip(a, b))
    if len(gold) != len(got):
        return False
    if ordered:
        return all(same(a, b) for a, b in zip(gold, got))
    return collections.Counter(gold) == collections.Counter(got)


def wilson(hits, n, z=1.959964):
    p, d = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return middle - half, middle + half


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="DB GOLD PREDICTIONS")
    parser.add_argument("--wrong", action="store_true", help="print the questions that were answered wrongly")
    o = parser.parse_args()
    if len(o.files) % 3:
        parser.error("give three files for each database: its file, its questions, and what longspan wrote")
    hits = valid = count = tries = tokens = 0
    seconds = 0.0
    for path, gold_file, predicted_file in zip(o.files[::3], o.files[1::3], o.files[2::3]):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        golds = [json.loads(line) for line in open(gold_file)]
        answers = [json.loads(line) for line in open(predicted_file)]
        if len(golds) != len(answers):
            raise SystemExit(f"{predicted_file}: {len(answers)} answers, expected {len(golds)}")
        for gold, answer in zip(golds, answers):
            assert gold["question"] == answer["question"], (gold["question"], answer["question"])
            got = None
            if answer["statement"]:
                try:
                    got = rows_of(db, answer["statement"])
                except sqlite3.Error:
                    pass
            right = got is not None and equal(rows_of(db, gold["sql"]), got, outermost_order(gold["sql"]))
            hits, valid, count = hits + right, valid + (got is not None), count + 1
            tries += len(answer["refused"]) + (answer["statement"] is not None)
            tokens, seconds = tokens + answer["answer_tokens"], seconds + answer["prefill_s"] + answer["decode_s"]
            if o.wrong and not right:
                print(f"{gold['question']}\n  gold {gold['sql']}\n  got  {answer['statement']}"
                      + "".join(f"\n  refused {r['statement']}: {r['error']}" for r in answer["refused"]))
    low, high = wilson(hits, count)
    print(f"{hits} of {count} right: {100 * hits / count:.0f} % [{100 * low:.0f}, {100 * high:.0f}]; {valid} run; "
          f"{tries / count:.2f} statements, {tokens / count:.0f} tokens and {seconds / count:.2f} s a question")


if __name__ == "__main__":
    main()
