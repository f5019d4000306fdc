#!/usr/bin/env python3
"""Makes golden files of the suites that come from files.

usage: make_suites_golden.py DATA OUT
DATA: the folder of evaluation data. OUT: tests/golden/suites. Writes templates.json: the prompts of LongBench, L-Eval,
LongBench v2 and InfiniteBench as their repositories publish them (see README.md there), to which the rows of
resources/suites must be equal byte by byte.
"""
import json
import pathlib
import sys

DATA, OUT = (pathlib.Path(a) for a in sys.argv[1:3])


def load(name):
    return json.loads((DATA / name).read_text())


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


OUT.mkdir(parents=True, exist_ok=True)
(OUT / "templates.json").write_text(json.dumps(templates(), ensure_ascii=False, indent=1) + "\n")
