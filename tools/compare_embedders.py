#!/usr/bin/env python3
"""Texts a second of `longspan embed` and of sentence-transformers, on the same cores, in turns.

  compare_embedders.py MODEL BOOK [--program build/longspan] [--texts 256] [--rounds 5] [--threads 2]

MODEL is a directory that both read; BOOK a text from which passages are drawn (seed 5): short ones of 12 to 40 words and
long ones of 150. In each round both programs are started anew, sentence-transformers with batches of 32, as it chooses
itself, and of 128; it embeds a batch before its time is taken. Tokenising is part of both times, loading is not. Texts a
CPU second count the time of all threads: they are what to look at when other programs run (with --threads 1, so that
no thread spins while it waits). Prints the medians and the largest difference of the vectors. Needs torch,
sentence-transformers.
"""
import argparse
import json
import os
import pathlib
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
THEIRS = """
import json, sys, time, torch
model, file, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
from sentence_transformers import SentenceTransformer
m = SentenceTransformer(model, device="cpu")
texts = open(file).read().splitlines()
out = {}
for batch in (32, 128):
    m.encode(texts[:batch], batch_size=batch)
    start, cpu = time.perf_counter(), time.process_time()
    vectors = m.encode(texts, batch_size=batch, normalize_embeddings=True)
    out[batch] = len(texts) / (time.perf_counter() - start), len(texts) / (time.process_time() - cpu)
print(json.dumps({"speed": out, "vectors": vectors.tolist()}))
"""


def passages(book, count, fewest, most):
    words = pathlib.Path(book).read_text().split()
    draw = random.Random(5)

    def one():
        length = draw.randint(fewest, most)
        at = draw.randrange(len(words) - length)
        return " ".join(words[at:at + length])
    return [one() for _ in range(count)]


def run(o, file, compute):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([o.program, "embed", o.model, "--lines", "--file", file, "--threads", str(o.threads), "--compute", compute, "--json"],
                         check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def ours(o, file, first, compute):
    """(texts/s, texts/CPU second), vectors; a run with one text says what loading takes."""
    loading = run(o, first, compute)[1]
    out, cpu = run(o, file, compute)
    vectors = [json.loads(line)["embedding"] for line in out.stdout.splitlines()]
    return (float(re.search(r"([\d.]+) texts/s", out.stderr).group(1)), len(vectors) / (cpu - loading)), vectors


def theirs(o, file):
    out = subprocess.run([sys.executable, "-c", THEIRS, o.model, file, str(o.threads)], check=True, capture_output=True, text=True).stdout
    got = json.loads(out.splitlines()[-1])
    return got["speed"], got["vectors"]


def written(folder, name, texts):
    path = folder / name
    path.write_text("\n".join(texts) + "\n")
    return str(path)


def compare(o, name, texts, folder):
    speeds = {"ours": [], "ours, bf16": [], "batches of 32": [], "batches of 128": []}
    worst = 0.0
    file, first = written(folder, "all.txt", texts), written(folder, "first.txt", texts[:1])
    for _ in range(o.rounds):
        speed, mine = ours(o, file, first, "f32")
        speeds["ours"].append(speed)
        speeds["ours, bf16"].append(ours(o, file, first, "bf16")[0])
        speed, other = theirs(o, file)
        for batch in (32, 128):
            speeds[f"batches of {batch}"].append(speed[str(batch)])
        worst = max(worst, max(abs(a - b) for x, y in zip(mine, other) for a, b in zip(x, y)))
    print(f"{name}: {len(texts)} texts, {o.threads} threads, largest difference {worst:.1e}")
    medians = {key: [statistics.median(column) for column in zip(*values)] for key, values in speeds.items()}
    for key, values in speeds.items():
        print(f"  {key:15} {medians[key][0]:7.1f} texts/s {medians[key][1]:7.1f} texts/CPU s  ", *(f"{w:.1f}/{c:.1f}" for w, c in values))
    for i, what in enumerate(("texts/s", "texts/CPU s")):
        best = max(medians["batches of 32"][i], medians["batches of 128"][i])
        print(f"  {medians['ours'][i] / best:.2f} times sentence-transformers' better one in {what}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("book")
    parser.add_argument("--program", default=str(ROOT / "build" / "longspan"))
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(o, "short", passages(o.book, o.texts, 12, 40), pathlib.Path(folder))
        compare(o, "long", passages(o.book, o.texts, 150, 150), pathlib.Path(folder))


if __name__ == "__main__":
    main()
