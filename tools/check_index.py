#!/usr/bin/env python3
"""Kills `longspan index` at 50 random moments (SIGKILL) and goes on each time: what was committed stays, every
table agrees with the others, and the finished index holds the same passages and vectors as one that was never
killed.

    tools/check_index.py [--program build/longspan] [--kills 50] [--documents 40]
"""
import argparse
import pathlib
import random
import sqlite3
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--program", default="build/longspan")
parser.add_argument("--embedder", default="minilm")
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--documents", type=int, default=40)
o = parser.parse_args()

random.seed(20261129)
words = "river mill stone bridge winter letter garden captain silver harbour engine forest candle window road".split()


def write_documents(folder):
    files = []
    for i in range(o.documents):
        sentences = [" ".join(random.choices(words, k=9)).capitalize() + f" {i}-{j}." for j in range(60)]
        files.append(folder / f"{i:03}.txt")
        files[-1].write_text("\n\n".join(" ".join(sentences[at:at + 6]) for at in range(0, 60, 6)))
    return files


def command(index, files):
    return [o.program, "index", str(index), *map(str, files), "--embedder", o.embedder, "-q"]


def contents(index):
    """Every passage by place and text, with its vector; the tables have to agree."""
    db = sqlite3.connect(f"file:{index}/index.sqlite?mode=ro", uri=True)
    if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return {}, 0
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    rows = db.execute("SELECT d.path, p.first, p.text, v.vector FROM passages p JOIN documents d ON d.id = p.document "
                      "JOIN vectors v ON v.passage = p.id").fetchall()
    counts = {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("passages", "vectors")}
    words_count = db.execute("SELECT count(*) FROM words WHERE words MATCH 'river OR mill OR stone OR winter'").fetchone()[0]
    assert counts["passages"] == counts["vectors"] == len(rows), counts
    assert words_count <= len(rows)
    return {(path, first): (text, vector) for path, first, text, vector in rows}, \
        db.execute("SELECT count(*) FROM documents").fetchone()[0]


def check_kept(before, after):
    for key, value in before.items():
        assert after.get(key) == value, f"{key} was lost or changed"


def same(a, b):
    """Texts to the byte, vectors to rounding: batches differ with what was killed."""
    import array
    assert a.keys() == b.keys(), "other passages"
    for key in a:
        assert a[key][0] == b[key][0]
        x, y = array.array("f", a[key][1]), array.array("f", b[key][1])
        assert max(abs(p - q) for p, q in zip(x, y)) < 1e-4, key


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    files = write_documents(folder)
    start = time.monotonic()
    subprocess.run(command(folder / "whole", files), check=True, stdout=subprocess.DEVNULL)
    whole_seconds = time.monotonic() - start
    whole, _ = contents(folder / "whole")
    kills = rounds = 0
    documents_at_kills = []
    while kills < o.kills:
        index = folder / f"killed{rounds}"
        kept = {}
        while True:
            run = subprocess.Popen(command(index, files), stdout=subprocess.DEVNULL)
            try:
                run.wait(random.uniform(0, whole_seconds / 2))
            except subprocess.TimeoutExpired:
                run.kill()
            if run.wait() == 0:
                break
            assert run.returncode == -9, run.returncode
            kills += 1
            if (index / "index.sqlite").exists():
                now, documents = contents(index)
                check_kept(kept, now)
                kept = now
                documents_at_kills.append(documents)
        now, _ = contents(index)
        check_kept(kept, now)
        same(now, whole)
        rounds += 1
    print(f"{kills} kills in {rounds} indexes of {o.documents} documents ({len(whole)} passages, {whole_seconds:.1f} s "
          f"without a kill): nothing committed was lost, and each index ended with the same passages and vectors; "
          f"documents at the kills: {min(documents_at_kills)} to {max(documents_at_kills)}")
