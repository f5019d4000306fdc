#!/usr/bin/env python3
"""Converts recorded predictions, scored by the suites' own programs, into golden files of the metrics.

usage: make_metrics_golden.py DATA OUT [--all]
DATA: the folder of evaluation data (golden/*.jsonl.xz, longbench/, leval/). OUT: tests/golden/metrics.
--all writes every record, to be tested with LONGSPAN_METRICS_GOLDEN=OUT; without it only a compact selection that may
be redistributed: nothing of L-Eval (GPL-3.0) and no text of LongBench tasks whose sources are share-alike or
unclear.
"""
import json
import lzma
import pathlib
import sys

ALL = "--all" in sys.argv
DATA, OUT = (pathlib.Path(a) for a in sys.argv[1:3])
KEEP = 205  # records of each kind
UNCLEAR = ["hotpotqa", "2wikimqa", "musique", "triviaqa", "passage_count", "passage_retrieval_en", "dureader"]
LONGBENCH = dict(qa_f1_score="qa_f1", qa_f1_zh_score="qa_f1_zh", rouge_score="rouge_l", rouge_zh_score="rouge_l_zh",
                 classification_score="classification", retrieval_score="retrieval", retrieval_zh_score="retrieval_zh",
                 count_score="count", code_sim_score="code_sim")


def records(path):
    return [json.loads(line) for line in lzma.open(DATA / path, "rt") if line.strip()]


def row(prediction, references, fields=None, **scores):
    return dict(prediction=prediction, references=references, fields=fields or {}, scores=scores)


def size(value):
    return len(json.dumps(value, ensure_ascii=False).encode())


def select(rows, most=KEEP, longest=1000):
    """All of them, or `most`, evenly, of those that are not too long."""
    if ALL:
        return rows
    rows = [r for r in rows if size(r) <= longest]
    return rows if len(rows) <= most else [rows[i * len(rows) // most] for i in range(most)]


def unclear_text():
    texts = []
    for task in UNCLEAR:
        for path in (DATA / "longbench/mini").glob(f"{task}.*"):
            for r in map(json.loads, lzma.open(path, "rt")):
                texts += [r["context"], r["input"], *r["answers"]]
    for path in (DATA / "leval").rglob("*.jsonl.xz"):
        for r in map(json.loads, lzma.open(path, "rt")):
            texts += [r["input"], *map(str, r["instructions"]), *map(str, r["outputs"])]
    return "\n".join(texts)


def longbench():
    unclear = "" if ALL else unclear_text()
    fit = lambda r: ALL or not any(len(t) > 12 and t.strip() in unclear for t in (r["prediction"], r["ground_truth"]))
    found = filter(fit, records("golden/longbench_metrics.jsonl.xz"))
    kinds = {}
    for r in found:
        fields = {"all_classes": r["all_classes"]} if "all_classes" in r else {}
        kinds.setdefault(r["metric"], []).append(
            row(r["prediction"], [r["ground_truth"]], fields, **{LONGBENCH[r["metric"]]: r["score"]}))
    if not ALL:
        kinds["rouge_score"] = sorted(kinds["rouge_score"], key=size)[:60]
    kinds["classification_score"].sort(key=lambda r: json.dumps(r["fields"]))
    return [r for rows in kinds.values() for r in select(rows, longest=4000)]


def rouge():
    package = lambda r, n: r["pltrdy_rouge"][f"rouge-{n}"]["f"] if r["pltrdy_rouge"] else 0  # 0: it raised
    return select([row(r["prediction"], [r["reference"]], **{f"rouge_{n}": package(r, n) for n in "12l"},
                       **{f"rouge_score_{n.lower()}": r["google_rouge"][f"rouge{n}"]["f"] for n in "12L"})
                   for r in records("golden/rouge.jsonl.xz")], longest=1700)


def needles():
    rows = []
    for r in records("golden/needlebench/scores.jsonl.xz"):
        if r["kind"] == "single":
            needle, keyword = r["gold"].split("*")
            rows.append(row(r["pred"], [keyword], {"needle": needle}, needle=r["v1"] / 100))
        elif r["kind"] == "multi_retrieval":
            keywords = r["gold"].split("#")[0].split("*")
            rows.append(row(r["pred"], keywords, needle_multi=r["v1"]["average_score"] / 100))
        elif ALL or not r["pred"].endswith("?"):  # the questions are share-alike
            rows.append(row(r["pred"], [r["gold"].split("*")[0]], needle_reasoning=r["v1"] / 100))
    return rows


def leval():
    names = dict(quality="leval_choice", tpo="leval_choice", coursera="leval_choices", gsm100="leval_gsm",
                 topic_retrieval_longchat="leval_topic")
    rows = [row(r["pred"], [r["gt"]], **{names[r["task"]]: r["score"]})
            for r in records("golden/leval/exact_match.jsonl.xz")
            if r["task"] in names and (ALL or r["model"] == "made-up")]
    for r in records("golden/leval/f1_rouge.jsonl.xz") if ALL else []:
        references = r["gt"] if isinstance(r["gt"], list) else [r["gt"]]
        scores = {"qa_f1": r["score"]} if r["metric"] == "f1" else {
            f"rouge_score_{n.lower()}": r["score"][f"rouge{n}"] / 100 for n in "12L"}
        rows.append(row(r["pred"], references, **scores))
    return rows


def opencompass():
    rows = []
    for r in records("golden/opencompass_postprocess.jsonl.xz"):
        for gold in "ABCD":
            rows.append(row(r["text"], [gold], opencompass_choice=int(r["first_capital"] == gold),
                            opencompass_choices=int(r["first_capital_multi"] == gold)))
        for gold in sorted({"42", "3000", "1250", r["gsm100"]} - {""}):
            rows.append(row(r["text"], [gold], opencompass_gsm=int(r["gsm100"] == gold)))
    return rows


def write(name, rows):
    with open(OUT / name, "w") as out:
        for r in rows:
            out.write(json.dumps(r, ensure_ascii=False) + "\n")


OUT.mkdir(parents=True, exist_ok=True)
scored = longbench() + rouge() + needles() + leval() + opencompass()
scored += [row(r["pred"], r["outputs"], ruler_all=r["string_match_all"], ruler_part=r["string_match_part"])
           for r in records("golden/ruler/metric.jsonl.xz")]
scored += [row(r["output"], [r["ref"]], presence=r["presence"]) for r in records("golden/abacus_metrics.jsonl.xz")]
for before, now in zip(scored[-2::-1], scored[:0:-1]):
    if now["fields"] == before["fields"]:
        del now["fields"]  # as in the record before
cuts = select(records("golden/jieba_cut.jsonl.xz"), 250)
write("scores.jsonl", scored)
write("similarity.jsonl", select(records("golden/string_similarity.jsonl.xz")))
write("cuts.jsonl", [r["cut"] for r in cuts])
