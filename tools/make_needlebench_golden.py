#!/usr/bin/env python3
"""Texts of NeedleBench for tests/golden/suites/needlebench.

Usage: make_needlebench_golden.py FOLDER

FOLDER holds what OpenCompass's program made with a stand-in tokenizer: samples.jsonl.xz and inputs/ (essays and
classics in the public domain under the names that the program looks for). Kept are single needles and several
needles; questions over several facts are not, for those are Wikipedia's text under a share-alike licence.
"""
import json
import lzma
import pathlib
import shutil
import sys

KINDS = {"v1_single", "v2_single", "v1_multi_retrieval", "v2_multi_retrieval"}

source = pathlib.Path(sys.argv[1])
target = pathlib.Path(__file__).parents[1] / "tests/golden/suites/needlebench"
target.mkdir(parents=True, exist_ok=True)
for file in sorted((source / "inputs").glob("*.jsonl.xz")):
    shutil.copyfile(file, target / file.name)
with lzma.open(source / "samples.jsonl.xz", "rt") as lines, \
        lzma.open(target / "samples.jsonl.xz", "wt", preset=9) as out:
    for line in lines:
        if json.loads(line)["kind"] in KINDS:
            out.write(line)
