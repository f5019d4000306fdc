#!/usr/bin/env python3
"""Random streams, sentences and RULER samples for tests/golden/suites.

usage: make_ruler_golden.py FOLDER RULER
FOLDER holds what the originals made: random_streams.json, punkt_sentences.jsonl.xz, ruler/samples.jsonl.xz and
ruler/inputs (essays in the public domain under the name that the program looks for). RULER is a checkout of
NVIDIA/RULER at c3f5e3b. Its recorded questions are left out, for their paragraphs are Wikipedia's under a
share-alike licence: its own program is run again on questions about paragraphs of the essays. Needs zstd and numpy.
"""
import contextlib
import json
import lzma
import pathlib
import runpy
import shutil
import subprocess
import sys
import tempfile
import types

FOLDER, RULER = (pathlib.Path(a) for a in sys.argv[1:3])
OUT = pathlib.Path(__file__).parents[1] / "tests/golden/suites"
PARAGRAPHS, ARTICLE, CONTEXT = 300, 20, 10
RUNS = [("qa_1", "squad", 1024), ("qa_1", "squad", 4096), ("qa_2", "hotpotqa", 4096)]


def write(name, text):
    subprocess.run(["zstd", "-q", "--ultra", "-22", "-f", "-o", OUT / name], input=text.encode(), check=True)


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def ask(paragraph):
    words = paragraph.split()
    return f'Which words follow "{" ".join(words[:5])}"?', " ".join(words[5:8])


def squad(paragraphs):
    """Articles of twenty paragraphs, two questions each, every seventh without an answer; one paragraph comes twice."""
    articles = [paragraphs[i:i + ARTICLE] for i in range(0, len(paragraphs), ARTICLE)]
    articles[0][3] = articles[0][1]
    asked = 0
    out = []
    for article in articles:
        rows = []
        for text in article:
            question, answer = ask(text)
            qas = []
            for _ in range(2):
                asked += 1
                qas.append(dict(question=f"{question} ({asked})", is_impossible=asked % 7 == 0,
                                answers=[dict(text=answer), dict(text=answer.upper())]))
            rows.append(dict(context=text, qas=qas))
        out.append(dict(paragraphs=rows))
    return dict(data=out)


def hotpotqa(paragraphs):
    out = []
    for i in range(0, len(paragraphs), CONTEXT):
        group = paragraphs[i:i + CONTEXT]
        question, answer = ask(group[4])
        context = [[f"Paragraph {i + k}", [s + ". " for s in text.split(". ")]] for k, text in enumerate(group)]
        out.append(dict(question=question, answer=answer, context=context))
    return out


def run_original(task, data_set, length, data):
    """Three samples by RULER's qa.py, a token being a run of \\S+."""
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        shutil.copytree(RULER / "scripts/data", base, dirs_exist_ok=True)
        (base / "synthetic/json" / f"{data_set}.json").write_text(json.dumps(data))
        samples = []
        counter = types.SimpleNamespace(text_to_tokens=str.split)
        stubs = dict(tokenizer=dict(select_tokenizer=lambda *_: counter), tqdm=dict(tqdm=lambda rows: rows),
                     manifest_utils=dict(write_manifest=lambda _, rows: samples.extend(rows)))
        for name, content in stubs.items():
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(content)
        sys.path.insert(0, str(base / "synthetic"))
        import constants
        row = constants.TASKS["qa"]
        given = dict(save_dir=folder, save_name=task, tokenizer_path="-", max_seq_length=length, num_samples=3,
                     tokens_to_generate=row["tokens_to_generate"], dataset=data_set,
                     template=row["template"] + row["answer_prefix"])
        sys.argv = ["qa.py"] + [str(part) for key, value in given.items() for part in ("--" + key, value)]
        with contextlib.redirect_stderr(None):
            runpy.run_path(str(base / "synthetic/qa.py"), run_name="__main__")
        sys.path.pop(0)
        return [dict(task=task, length=length, index=i, input=s["input"], answer_prefix=s["answer_prefix"],
                     outputs=s["outputs"]) for i, s in enumerate(samples)]


(OUT / "ruler").mkdir(parents=True, exist_ok=True)
shutil.copyfile(FOLDER / "random_streams.json", OUT / "random_streams.json")
write("punkt_sentences.jsonl.zst", lzma.open(FOLDER / "punkt_sentences.jsonl.xz", "rt").read())

essays = json.load(lzma.open(FOLDER / "ruler/inputs/PaulGrahamEssays.json.xz"))["text"]
write("ruler/essays.json.zst", dump(dict(text=essays[:75000])))  # more than the samples use

recorded = [json.loads(line) for line in lzma.open(FOLDER / "ruler/samples.jsonl.xz", "rt")]
rows = [dict(task=r["_task"], length=r["_max_seq_length"], index=r["_sample"], input=r["input"],
             answer_prefix=r["answer_prefix"], outputs=r["outputs"]) for r in recorded if r["_task"][:2] != "qa"]

paragraphs = [" ".join(p.split()) for p in essays.split("\n\n")]
paragraphs = list(dict.fromkeys(p for p in paragraphs if 30 <= len(p.split()) <= 90))[:PARAGRAPHS]
data = dict(squad=squad(list(paragraphs)), hotpotqa=hotpotqa(paragraphs))
for name, value in data.items():
    write(f"ruler/{name}.json.zst", dump(value))
for task, data_set, length in RUNS:
    rows += run_original(task, data_set, length, data[data_set])
write("ruler/samples.jsonl.zst", "".join(dump(r) + "\n" for r in rows))
print(len(rows), "samples")
