#!/usr/bin/env python3
"""Runs `longspan agent` in a world with many seeds and prints how often each way of choosing reaches each goal.

    tools/score_agent.py --program build/longspan --goals sticks,crown --seeds 1-20 --steps 150 \\
      --arm "plan, whole history = --policy plan" --arm "plan, 4K = --policy plan --history-tokens 4096"

An arm is NAME = OPTIONS; --model MODEL gives it one; {folder} in OPTIONS is a new folder for each run. Steps are the median of those that reached the goal; history is the
median of the most tokens that a run had in its prompt. Intervals are Wilson's, 95 %."""
import argparse
import json
import math
import shlex
import statistics
import subprocess
import tempfile


def wilson(hits, n, z=1.959964):
    p, d = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return max(0.0, middle - half), min(1.0, middle + half)


def seeds_of(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def run(o, goal, seed, options):
    with tempfile.TemporaryDirectory() as folder:
        words = [o.program, "agent", *([o.model] if o.model else []), goal, "--world", o.world, "--seed", str(seed),
                 "--steps", str(o.steps), "--json", "--quiet", *shlex.split(options.replace("{folder}", folder))]
        done = subprocess.run(words, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    end = json.loads(lines[-1]) if lines else {}
    if "end" not in end:
        raise SystemExit(f"{shlex.join(words)}: {done.stderr.strip()}")
    return end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/longspan")
    parser.add_argument("--world", default="crafting")
    parser.add_argument("--model", default="")
    parser.add_argument("--goals", default="sticks,wooden_pickaxe,stone_pickaxe,iron_pickaxe,crown")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("1-20"))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--arm", action="append", required=True, metavar="NAME = OPTIONS")
    o = parser.parse_args()
    print("| goal | arm | reached | % [95 %] | steps | history | forgotten turns |")
    print("| --- | --- | --: | --: | --: | --: | --: |")
    for goal in o.goals.split(","):
        for arm in o.arm:
            name, _, options = arm.partition("=")
            ends = [run(o, goal, seed, options) for seed in o.seeds]
            reached = [e for e in ends if e["end"] == "reached"]
            low, high = wilson(len(reached), len(ends))
            steps = statistics.median(e["steps"] for e in reached) if reached else "-"
            print(f"| {goal} | {name.strip()} | {len(reached)} of {len(ends)} | "
                  f"{100 * len(reached) / len(ends):.0f} [{100 * low:.0f}, {100 * high:.0f}] | {steps} | "
                  f"{statistics.median(e['history'] for e in ends):.0f} | "
                  f"{statistics.median(e['forgotten'] for e in ends):.0f} |", flush=True)


if __name__ == "__main__":
    main()
