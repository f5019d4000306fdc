#!/usr/bin/env python3
"""Makes golden files of the suites that come from files, and of the metrics that tests/golden/metrics lacks.

usage: make_suites_golden.py DATA CLONES OUT [--all]
DATA: the folder of evaluation data. CLONES: a folder with clones, by name, of LEval, InfiniteBench, LongBench,
lost-in-the-middle, NoLiMa, BAMBOO, RULER and opencompass (with history). OUT: tests/golden/suites.
  templates.json   the prompts of LongBench, L-Eval, LongBench v2 and InfiniteBench as published, to which the rows of
                   resources/suites must be equal byte by byte
  scores.jsonl.xz  predictions, references and scores that the originals' functions give; of InfiniteBench published
                   predictions, of the others predictions made here
  nolima.json      a book, and the texts that NoLiMa's own code makes from it at 26 depths
--all: published predictions without a choice (all of InfiniteBench, L-Eval's codeU), for LONGSPAN_SUITES_GOLDEN.
The originals' functions are taken out of their files and run as they are; nothing of them comes into OUT. Needs numpy;
rouge_score and python-Levenshtein with fuzzywuzzy for rouge_score_lsum and code_sim_levenshtein.
"""
import ast
import collections
import difflib
import json
import lzma
import pathlib
import random
import re
import string
import subprocess
import sys
import typing

ALL = "--all" in sys.argv
DATA, CLONES, OUT = (pathlib.Path(a) for a in sys.argv[1:4])
KEEP = 240
OPENCOMPASS = "59586a8b"  # the commit that the report of Index-1.9B-32K used
rng = random.Random(6)


def load(name):
    return json.loads((DATA / name).read_text())


def functions(clone, path, names, revision="HEAD", **given):
    """The named functions and classes of a file, without what the file imports."""
    text = subprocess.run(["git", "-C", CLONES / clone, "show", f"{revision}:{path}"], check=True, capture_output=True, text=True).stdout
    space = dict(re=re, string=string, json=json, Counter=collections.Counter, List=typing.List, regex=re, print=lambda *a, **k: None,
                 BaseEvaluator=object, **given)
    body = [n for n in ast.parse(text).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name in names]
    for node in body:
        node.decorator_list = []
    exec(compile(ast.Module(body=body, type_ignores=[]), path, "exec"), space)
    return [space[name] for name in names]


def templates():
    opencompass = {suite: {task: {key: t[key] for key in ("human", "system", "max_out_len") if key in t}
                           for task, t in load(f"{suite}/opencompass_templates.json").items()}
                   for suite in ("longbench", "leval")}
    infinitebench = load("infinitebench/templates.json")
    return {
        "longbench": {"official": load("longbench/dataset2prompt.json"), "tokens": load("longbench/dataset2maxlen.json"),
                      "opencompass": opencompass["longbench"]},
        "leval": {"official": load("leval/official_templates.json"), "opencompass": opencompass["leval"]},
        "longbench2": load("longbench_v2/templates.json"),
        "infinitebench": {key: infinitebench[key]
                          for key in ("max_new_tokens", "gpt4_templates", "yarn_mistral_templates")},
    }


def row(metric, prediction, references, score, fields=None):
    return dict(metric=metric, prediction=prediction, references=references, score=float(score), **({"fields": fields} if fields else {}))


# ---- predictions made here

WORDS = ("the a an of and river mountain Paris fire captain old letter number answer question red blue seven house garden "
         "walked found said because True False Option option correct final output line Question").split()


def sentence(least=3, most=12):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def around(truth, others):
    """Texts in which the truth, something near it or something else stands, as models write."""
    said = rng.choice([truth, truth, truth.upper(), truth.lower(), rng.choice(others), f"{truth} {rng.choice(others)}",
                       f"{rng.choice(others)} {truth}", truth[:-1], truth + "s", ""])
    said = rng.choice([said, said, f'"{said}"', f"'{said}'.", f"**{said}**", f"({said})", f"{said}.", f"{said},"])
    before = rng.choice(["", "", "\n", "\n\n", "The answer is ", "The answer is: ", "Answer: ", "It is ", f"{sentence()}. ",
                         f"{sentence()}\n", " "])
    after = rng.choice(["", "", ".", "\n", f"\n{sentence()}", f". {sentence()}", f" {sentence()}", f"\n\n{sentence()} {rng.choice(others)}"])
    return before + said + after


def many(truths, score, n=KEEP, make=around):
    """(prediction, truth, score) with at least a quarter of each half of the scores where that is to be had."""
    rows = []
    for _ in range(n):
        truth = rng.choice(truths)
        prediction = make(truth, truths)
        rows.append((prediction, truth, score(prediction, truth)))
    return rows


def simple(metric, truths, score, make=around):
    return [row(metric, p, [t], s) for p, t, s in many(truths, score, make=make)]


NAMES = ["red fox", "the old mill", "Paris", "St. John's", "42", "True", "an apple-tree", "Wilhelm Conrad Röntgen", "New  York", "A"]
NUMBERS = [str(n) for n in (0, 7, 12, 42, 100, 360, 1234, 1964, 24169, 50000)]


# ---- families

def infinitebench():
    path = "src/compute_scores.py"
    names = [n.name for n in ast.parse(subprocess.run(["git", "-C", CLONES / "InfiniteBench", "show", f"HEAD:{path}"], check=True,
             capture_output=True, text=True).stdout).body if isinstance(n, ast.FunctionDef)]
    space = dict(zip(names, functions("InfiniteBench", path, names)))
    score_one = space["get_score_one"]
    metric = dict(passkey="infinitebench_number", number_string="infinitebench_number", kv_retrieval="infinitebench_kv",
                  longbook_choice_eng="infinitebench_choice", longbook_qa_eng="qa_f1", longbook_qa_chn="char_f1_zh",
                  longdialogue_qa_eng="infinitebench_dialogue", math_find="infinitebench_find", code_run="infinitebench_run",
                  code_debug="infinitebench_debug")
    rows = []
    for task, name in metric.items():
        found = []
        for file in sorted((DATA / "infinitebench/predictions").glob(f"*/preds_{task}.jsonl.xz")):
            for r in map(json.loads, lzma.open(file, "rt")):
                prediction, label = r.get("prediction", r.get("pred")), r.get("ground_truth", r.get("label"))
                try:
                    score = score_one(prediction, label, task, "")
                except ValueError:
                    score = 0  # int() of a number with a point
                labels, fields = label if isinstance(label, list) else [label], None
                if task in ("longbook_choice_eng", "code_debug"):
                    options = ["(other)"] * 4
                    options["ABCD".index(label[1])] = label[0]
                    labels, fields = label[:1], {"options": options}
                elif task == "longdialogue_qa_eng":
                    labels = label[:1]
                found.append(row(name, prediction, [x if isinstance(x, str) else json.dumps(x) for x in labels], score, fields))
        if not ALL:
            found = [r for r in found if len(r["prediction"]) < 400]
            right = [r for r in found if r["score"] > 0]
            most = KEEP // (2 if name == "infinitebench_number" else 1)
            found = [g[i * len(g) // k] for g, k in ((right, min(len(right), most // 2)), ([r for r in found if r["score"] == 0], most - min(len(right), most // 2)))
                     if g for i in range(min(k, len(g)))]
        rows += found
    for _ in range(KEEP):  # no outputs of math_calc were published
        truth = [rng.randint(-20, 99) for _ in range(rng.randint(1, 30))]
        said = truth[:rng.randint(0, len(truth))] + [rng.randint(0, 99) for _ in range(rng.randint(0, 5))]
        prediction = rng.choice(["", "[", "Values: [", "1. "]) + rng.choice([", ", " ", ",", "\n"]).join(map(str, said)) + "]"
        rows.append(row("infinitebench_calc", prediction, [" ".join(map(str, truth))], space["get_score_one_math_calc"](prediction, truth, "")))
    return rows


def leval():
    (process_mc, process_gt, math, out_code, gt_code, gt_judge, out_judge) = functions(
        "LEval", "Evaluation/auto_eval.py", ["process_output_mc", "process_gt_mc", "process_math", "process_output_code", "process_gt_code",
                                             "process_gt_judge", "process_output_judge"])
    exact, _ = functions("LEval", "Evaluation/em.py", ["exact_match_score", "normalize_answer"])
    process_mc.__globals__["args"] = arguments = type("Arguments", (), {})()
    out_judge.__globals__.setdefault("process_gt_judge", gt_judge)
    letters = ["A", "B", "C", "D", "AB", "ACD", "(C) With the jets", "(B)", "D) no", "BCD", "none"]
    rows = []
    for metric, file in (("leval_choice", "quality"), ("leval_choices", "coursera")):
        arguments.pred_file = file
        rows += simple(metric, letters, lambda p, t: exact(process_mc(p), process_gt(t)))
    rows += simple("leval_gsm", NUMBERS + ["18.00", "$1,200", "3.5 miles"], lambda p, t: exact(math(p), math(t)))
    rows += simple("leval_topic", NAMES, exact)
    code = ["[1, 2, 3]", "12", "[[1, 2], [3]]", "{'a': 1}", "3.0", "True", "hello world", "[ [1.0, 2.5] ]", "(1, 'x')"]
    def program(truth, others):
        return rng.choice(["", f"{sentence()}. "]) + rng.choice(["", "the final output is ", "So the final output will be ",
                           "the value of the code is ", "The result of it would be "]) + around(truth, others)
    judged = lambda p, t: exact(out_code(p, t), gt_code(t))
    rows += simple("leval_code", code, judged, program)
    if ALL:
        for r in map(json.loads, lzma.open(DATA / "golden/leval/exact_match.jsonl.xz", "rt")):
            if r["task"] == "codeU":
                rows.append(row("leval_code", r["pred"], [r["gt"]], r["score"]))
    verdicts = [f"{a} [fact: {b}]" for a in ("True", "False") for b in ("True", "False")]
    for part, metric in enumerate(("leval_loyalty", "leval_fact")):
        def score(prediction, truth):
            joined = f"{prediction} [fact: {prediction}]"
            return exact(out_judge(joined)[part], gt_judge(truth)[part])
        rows += simple(metric, verdicts, score, lambda t, o: around(rng.choice(["True", "False", "untrue", "neither"]), ["true", "FALSE"]))
    return rows


def opencompass():
    post = "opencompass/utils/text_postprocessors.py"
    general, capital, capitals = functions("opencompass", post, ["general_postprocess", "first_capital_postprocess",
                                                                 "first_capital_postprocess_multi"], OPENCOMPASS)
    gsm, gsm_gold = functions("opencompass", "opencompass/datasets/leval/leval_gsm100.py", ["gsm100_postprocess", "gsm100_dataset_postprocess"], OPENCOMPASS)
    (exact,) = functions("opencompass", "opencompass/datasets/leval/evaluators.py", ["LEvalEMEvaluator"], OPENCOMPASS, general_postprocess=general)
    (single,) = functions("opencompass", "opencompass/datasets/needlebench/origin.py", ["NeedleBenchOriginEvaluator"], OPENCOMPASS)
    (several,) = functions("opencompass", "opencompass/datasets/needlebench/parallel.py", ["NeedleBenchParallelEvaluator"], OPENCOMPASS)
    (reasoning,) = functions("opencompass", "opencompass/datasets/needlebench/multi.py", ["NeedleBenchMultiEvaluator"], OPENCOMPASS)
    letters = ["A", "B", "C", "D", "AB", "ACD", "BCD"]
    rows = simple("opencompass_choice", letters[:4], lambda p, t: capital(p) == t)
    rows += simple("opencompass_choices", letters, lambda p, t: capitals(p) == t)
    rows += simple("opencompass_gsm", NUMBERS, lambda p, t: gsm(p) == gsm_gold(t))
    rows += simple("opencompass_topic", NAMES + ["The role of art in society", "a day_trip"],
                   lambda p, t: exact().score([general(p)], [t])["score"] / 100)
    for p, t, s in many(NAMES + ["时空之钥", "Phantom Island Key"], lambda p, t: single().score([p], [f"\nHidden there is {t}.\n*{t}"])["score"] / 100):
        rows.append(row("needle", p, [t], s, {"needle": f"\nHidden there is {t}.\n"}))
    for _ in range(KEEP):
        truths = rng.sample(NAMES[:3] + NUMBERS[4:], rng.randint(1, 5))
        p = " ".join(around(rng.choice(truths), NAMES) for _ in range(rng.randint(1, 3)))
        gold = "*".join(truths) + "#" + "*".join(str(10 * i) for i in range(len(truths)))
        rows.append(row("needle_multi", p, truths, several().score([p], [gold])["average_score"] / 100))
    rows += simple("needle_reasoning", NAMES + ["Karate Baka Ichidai", "the the end"], lambda p, t: reasoning().score([p], [f"{t}*{t}"])["score"] / 100)
    return rows


def longbench():
    count, retrieval, retrieval_zh, normal = functions("LongBench", "LongBench/metrics.py", ["count_score", "retrieval_score", "retrieval_zh_score", "normalize_answer"])
    rows = simple("count", NUMBERS, count)
    rows += simple("retrieval", [f"Paragraph {n}" for n in range(1, 31)], retrieval)
    rows += simple("retrieval_zh", [f"段落{n}" for n in range(1, 31)], retrieval_zh)
    rows += simple("exact_match", NAMES, lambda p, t: normal(p) == normal(t), lambda t, o: rng.choice([t, t.upper(), f"the {t}.", f" {t}!", around(t, o)]))
    (answer,) = functions("LongBench", "pred.py", ["extract_answer"])
    def said(truth, others):
        letter = rng.choice([truth, rng.choice("ABCDE")])
        return rng.choice(["", sentence() + ". ", "\n"]) + rng.choice(["The correct answer is ", "The **correct answer** is ", "the correct answer is ",
               "The correct answer is: "]) + rng.choice([f"({letter})", letter, f"({letter}", f"**({letter})**", f"({letter}) {sentence()}", letter + " (A)"]) + rng.choice(["", ".", f"\nThe correct answer is ({rng.choice('ABCD')})"])
    return rows + simple("longbench2", list("ABCD"), lambda p, t: answer(p) == t, said)


def others():
    all_, part = functions("RULER", "scripts/eval/synthetic/constants.py", ["string_match_all", "string_match_part"])
    rows = []
    for _ in range(KEEP):
        truths = rng.sample(["VARABC", "XYZ", "fire", "1234567", "blue house", "Paris"], rng.choice([1, 2, 3, 4]))
        p = " ".join(around(rng.choice(truths), WORDS) for _ in range(rng.randint(1, 4)))
        rows.append(row("ruler_all", p, truths, sum(all_([p], [[t]]) for t in truths) / len(truths) / 100))
        rows.append(row("ruler_part", p, truths, part([p], [truths]) / 100))
    subspan, _ = functions("lost-in-the-middle", "src/lost_in_the_middle/metrics.py", ["best_subspan_em", "normalize_answer"])
    rows += simple("best_subspan_em", NAMES, lambda p, t: subspan(p.split("\n")[0].strip(), [t]))
    (altqa,) = functions("BAMBOO", "evaluate.py", ["altqa_accuracy"])
    rows += simple("bamboo_exact", NUMBERS + ["St. John."], altqa, lambda t, o: rng.choice([t, t + ".", f" {t} ", f"..{t}.\n", t.upper(), around(t, o)]))
    rows += simple("contains", NAMES, lambda p, t: any(gold in p for gold in [t]))  # NoLiMa's _evaluate_response
    rows += simple("presence", NAMES + [" Paris "], lambda p, t: t.strip() in p)  # the notebook of abacusai/Long-Context
    numbers = lambda p: [int(n) for n in re.findall(r"\d+", p)]  # test_lines_one_sample of LongChat, LongChat-Lines
    rows += simple("last_number", NUMBERS, lambda p, t: numbers(p)[-1:] == [int(t)])
    rows += simple("first_number", NUMBERS, lambda p, t: numbers(p)[:1] == [int(t)])
    return rows


def mrcr():
    """The grade as the data set's page gives it."""
    def grade(response, answer, start):
        if not response.startswith(start):
            return 0
        return difflib.SequenceMatcher(None, response.removeprefix(start), answer.removeprefix(start)).ratio()
    rows = [row("mrcr", r["response"], [r["answer"]], r["score"], {"random_string_to_prepend": r["random_string_to_prepend"]})
            for r in map(json.loads, lzma.open(DATA / "golden/mrcr.jsonl.xz", "rt"))]
    while len(rows) < KEEP:
        start = "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(10))
        words = [rng.choice(WORDS) for _ in range(rng.randint(20, 80))]
        changed = [w for w in words if rng.random() > 0.1]
        if rng.random() < 0.3:
            rng.shuffle(changed)
        answer, response = start + " ".join(words), rng.choice([start, start, start + " ", "", start[:-1]]) + " ".join(changed)
        rows.append(row("mrcr", response, [answer], grade(response, answer, start), {"random_string_to_prepend": start}))
    return rows


def packages():
    from fuzzywuzzy import fuzz
    from rouge_score import rouge_scorer
    (code_sim,) = functions("LongBench", "LongBench/metrics.py", ["code_sim_score"], fuzz=fuzz)
    lines = ["return self.value", "x = x + 1", "for i in range(10):", 'print("done")', "int main(void) {", "}"]
    def code(truth, others):
        near = "".join(c for c in truth if rng.random() > 0.1)
        return rng.choice(["", "\n", "```python\n", "# next line\n", "// c\n"]) + rng.choice([truth, near, near + ";", rng.choice(others)]) + rng.choice(["", "\n", "\n" + rng.choice(others)])
    rows = simple("code_sim_levenshtein", lines, code_sim, code)
    scorer = rouge_scorer.RougeScorer(["rougeLsum"])
    for _ in range(KEEP):
        truth = "\n".join(sentence(1, 10) for _ in range(rng.randint(1, 6)))
        p = "\n".join(rng.choice([sentence(1, 10), rng.choice(truth.split("\n"))]) for _ in range(rng.randint(0, 6))) + rng.choice(["", "\n", "\n\n"])
        rows.append(row("rouge_score_lsum", p, [truth], scorer.score(truth, p)["rougeLsum"].fmeasure))
    return rows


def nolima():
    """NoLiMa's placement with characters as tokens: what the tokenizer of the tests' tiny model makes."""
    import numpy
    (haystack,) = functions("NoLiMa", "data/book_haystack.py", ["BookHaystack"], np=numpy, Callable=typing.Callable,
                            Union=typing.Union, Tuple=typing.Tuple)
    book = haystack.__new__(haystack)
    book.text, book.text_encoded = "\n".join(sentence(5, 15).lower() for _ in range(60)) + "\n", None
    names, rows = ["anna", "bert", "carla", "dora"], []
    for length in (200, 350):
        numpy.random.seed(42 + 406)
        for depth in numpy.linspace(0, 100, 26) / 100:
            name = str(numpy.random.choice(names))
            placed = book._generate_w_needle_placement(f"{name} lives next to the opera.", len, list, "".join, length, depth=depth)
            rows.append({"length": length, "name": name, "text": placed["text"]})
    return {"book": book.text, "names": names, "rows": rows}


OUT.mkdir(parents=True, exist_ok=True)
(OUT / "nolima.json").write_text(json.dumps(nolima(), indent=1) + "\n")
(OUT / "templates.json").write_text(json.dumps(templates(), ensure_ascii=False, indent=1) + "\n")
scored = infinitebench() + leval() + opencompass() + longbench() + others() + mrcr() + packages()
with lzma.open(OUT / "scores.jsonl.xz", "wt", preset=9) as out:
    for r in scored:
        out.write(json.dumps(r, ensure_ascii=False) + "\n")
for name, count in sorted(collections.Counter(r["metric"] for r in scored).items()):
    print(f"{name:24} {count:6} mean {sum(r['score'] for r in scored if r['metric'] == name) / count:.3f}")
