#!/usr/bin/env python3
"""Measures and torments the store of readings (`ask --cache`) with a real model: what a second question about a
document costs in a new process, and that neither a kill, nor a damaged file, nor another model of the same name is ever
used wrongly. Documents are made of this repository's docs and headers. Prints Markdown; exit status 1 on a wrong use.

    tools/check_reading_store.py [--program build/longspan] [--model MODEL.gguf] [--lengths 8192,32768] [--kills 50]
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST, SECOND = "What is this text about?", "Which folder holds the tests?"


def text_of(words):
    """The repository's docs and headers, as much of them as the window takes."""
    files = sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("src/*/*.h"))
    return "".join(f.read_text() for f in files)[:words]


class Store:
    def __init__(self, options, folder):
        self.o, self.folder, self.cache = options, folder, folder / "store"
        self.environment = dict(os.environ, LONGSPAN_CACHE=str(folder / "cache"))

    def command(self, document, question, *more, model=None):
        return [self.o.program, "ask", str(model or self.o.model), "--file", str(document), "-n", str(self.o.n), "--json",
                *more, question]

    def cached(self):
        return ["--cache", str(self.cache), "--cache-size", "16G"]

    def ask(self, document, question, *more, model=None):
        begin = time.monotonic()
        run = subprocess.run(self.command(document, question, *more, model=model), capture_output=True, text=True,
                             env=self.environment)
        if run.returncode != 0:
            sys.exit(run.stderr)
        answer = json.loads(run.stdout)
        return {**answer, "wall": time.monotonic() - begin, "err": run.stderr}

    def files(self, ending=".reading"):
        return sorted(self.cache.glob("*" + ending))


def position(length, window):
    return ["--position", f"yarn:factor={length / window:g}"] if length > window else []


def fitted_document(store, length):
    """As many characters as make a prompt of at most `length` tokens with the answer."""
    document = store.folder / f"{length}.txt"
    document.write_text(text_of(4 * length))
    run = subprocess.run([store.o.program, "tokenize", str(store.o.model), "--file", str(document), "--json"],
                         capture_output=True, text=True)
    tokens = len(json.loads(run.stdout)["ids"])
    text = document.read_text()
    document.write_text(text[: int(len(text) * (length - store.o.n - 100) / tokens * 0.98)])
    return document


def measure(store, length):
    shutil.rmtree(store.cache, ignore_errors=True)
    document, more = fitted_document(store, length), position(length, store.o.window)
    first = store.ask(document, FIRST, *more, *store.cached())
    size = sum(f.stat().st_size for f in store.files())
    seconds = [store.ask(document, SECOND, *more, *store.cached()) for _ in range(3)]
    alone = store.ask(document, SECOND, *more, "--no-cache")
    second = min(seconds, key=lambda s: s["wall"])
    same = all(s["answer"] == alone["answer"] for s in seconds)
    print(f"| {alone['prompt_tokens']:,} | {size / 2**20:,.0f} MiB | {first['prefill_s']:.1f} s | "
          f"{second['prefill_s']:.2f} s | {second['wall'] - second['decode_s']:.2f} s | {'yes' if same else 'NO'} |",
          flush=True)
    return same


def kill_while_writing(store, document, more):
    """Waits for the file to be begun, lets up to 0.4 s pass, and kills."""
    alone = store.ask(document, SECOND, *more, "--no-cache")["answer"]
    kills = half = wrong = 0
    while kills < store.o.kills:
        shutil.rmtree(store.cache, ignore_errors=True)
        run = subprocess.Popen(store.command(document, FIRST, *more, *store.cached()), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=store.environment)
        while run.poll() is None and not store.files(".part"):
            time.sleep(0.001)
        time.sleep(0.4 * random.random())
        if run.poll() is not None:
            continue
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        half += bool(store.files(".part"))
        after = store.ask(document, SECOND, *more, *store.cached())
        wrong += after["answer"] != alone or "damaged" in after["err"] or bool(store.files(".part"))
    print(f"\nKilled {kills} times after the writing had begun: {half} times a part of a file was left, "
          f"{wrong} wrong uses.", flush=True)
    return wrong == 0


def damage(store, document, more):
    alone = store.ask(document, SECOND, *more, "--no-cache")["answer"]
    wrong = 0
    for _ in range(10):
        store.ask(document, SECOND, *more, *store.cached())
        file = store.files()[0]
        with open(file, "r+b") as f:
            f.seek(random.randrange(4096, file.stat().st_size))
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1 << random.randrange(8)]))
        after = store.ask(document, SECOND, *more, *store.cached())
        wrong += after["answer"] != alone or after["stored_tokens"] != 0 or str(file) not in after["err"]
    print(f"\nOne bit flipped in 10 files: {wrong} not noticed or not named.", flush=True)
    return wrong == 0


def other_model(store, document, more):
    """The same path, size and time; one bit of one block differs."""
    model = store.folder / "model.gguf"
    shutil.copyfile(store.o.model, model)
    before = model.stat()
    store.ask(document, SECOND, *more, *store.cached(), model=model)
    known = store.ask(document, SECOND, *more, *store.cached(), model=model)["stored_tokens"]
    with open(model, "r+b") as f:
        f.seek(before.st_size - 1000)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = store.ask(document, SECOND, *more, *store.cached(), model=model)["stored_tokens"]
    print(f"\nAnother model of the same name, size and time: {other} tokens taken from the store (before: {known:,}).",
          flush=True)
    return known > 0 and other == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build" / "longspan"))
    parser.add_argument("--model", default=str(Path.home() / ".cache/longspan/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--window", type=int, default=8192, help="of the model; longer texts are read under YaRN")
    parser.add_argument("--lengths", default="8192,32768")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kill-length", type=int, default=2048)
    parser.add_argument("-n", type=int, default=32)
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="longspan-readings-") as folder:
        store = Store(options, Path(folder))
        print("| prompt | on disk | first question, read in | second, a new process, read in | "
              "its start to the first token | same answer as without |\n| ---: | ---: | ---: | ---: | ---: | --- |")
        for length in map(int, options.lengths.split(",")):
            good &= measure(store, length)
        document, more = fitted_document(store, options.kill_length), position(options.kill_length, options.window)
        good &= kill_while_writing(store, document, more)
        good &= damage(store, document, more)
        good &= other_model(store, document, more)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
