#!/usr/bin/env python3
"""An OpenAI-compatible server under load: requests a second, time to the first token and between tokens; how far a long
prompt holds another stream back; what a second question about a long document costs; whether greedy texts in company are
those alone. The standard library only. Prints one JSON object; runs of two servers are to be interleaved.

    tools/bench_serving.py http://127.0.0.1:8080 --document 16000 --clients 1,4,16
"""
import argparse
import concurrent.futures
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def stream(url, prompt, tokens):
    """Times at which text came, of a greedy streamed completion; and the text."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=1800)
    body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True, "cache_prompt": True}
    start = time.perf_counter()
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    if reply.status != 200:
        raise RuntimeError(f"{reply.status}: {reply.read()[:300]}")
    times, text = [], ""
    for line in reply:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        choices = json.loads(line[6:]).get("choices") or [{}]
        if choices[0].get("text"):
            times.append(time.perf_counter() - start)
            text += choices[0]["text"]
    connection.close()
    return times, text


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(p / 100 * len(values)))] if values else None


def words(n, seed):
    """About 1.3 n tokens that differ from the first word on."""
    source = (ROOT / "DESIGN.md").read_text().split()
    return f"Text {seed}. " + " ".join(source[(seed * 37 + i) % len(source)] for i in range(n))


def load(url, clients, requests, prompts, tokens):
    """So many clients, each asking one request after the other."""
    firsts, gaps, lock = [], [], threading.Lock()

    def client(c):
        for r in range(requests):
            times, _ = stream(url, prompts(c, r), tokens)
            with lock:
                firsts.append(times[0])
                gaps.extend(b - a for a, b in zip(times, times[1:]))
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    seconds = time.perf_counter() - start
    return {"requests_per_s": clients * requests / seconds, "first_p50": percentile(firsts, 50), "first_p99": percentile(firsts, 99),
            "gap_p50": percentile(gaps, 50), "gap_p99": percentile(gaps, 99)}


def stall(url, document):
    """The longest wait for a token of one stream while a long prompt is read for another."""
    result = {}

    def writer():
        result["times"] = stream(url, words(20, 900), 400)[0]
    thread = threading.Thread(target=writer)
    start = time.perf_counter()
    thread.start()
    time.sleep(1.5)
    begun = time.perf_counter() - start
    first = stream(url, document + " What is this?", 1)[0][0]
    thread.join()
    gaps = [b - a for a, b in zip(result["times"], result["times"][1:]) if a >= begun - 0.5 and a <= begun + first]
    quiet = [b - a for a, b in zip(result["times"], result["times"][1:]) if b < begun]
    return {"longest_gap": max(gaps, default=0), "gap_p50": percentile(gaps, 50), "gap_p50_before": percentile(quiet, 50),
            "first_of_long": first}


def company(url, n=6):
    prompts = [words(40, 500 + i) for i in range(n)]
    alone = [stream(url, p, 48)[1] for p in prompts]
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        together = list(pool.map(lambda p: stream(url, p, 48)[1], prompts))
    return {"texts": n, "other_in_company": sum(a != b for a, b in zip(alone, together))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--document", type=int, default=16000, help="tokens, about")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--requests", type=int, default=3, help="of each client")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer")
    parser.add_argument("--seed", type=int, default=0, help="another one: texts that no cache knows")
    parser.add_argument("--only", default="load,shared,stall,second,company")
    o = parser.parse_args()
    base = 1000 * o.seed
    document = words(int(o.document / 2.1), base + 1)  # DESIGN.md has some 2.1 tokens a word
    other = words(int(o.document / 2.1), base + 2)
    out = {}
    stream(o.url, words(50, base), 4)
    for name in o.only.split(","):
        if name == "load":
            for c in map(int, o.clients.split(",")):
                out[f"short, {c} clients"] = load(o.url, c, o.requests, lambda i, r: words(60, base + 10 + 100 * c + 10 * i + r), o.tokens)
        elif name == "second":
            start = stream(o.url, document + "\nFirst question?", 1)[0][0]
            firsts = [stream(o.url, document + f"\nQuestion {i}?", 1)[0][0] for i in range(3)]
            out["second question"] = {"first": start, "later": statistics.median(firsts)}
        elif name == "shared":
            c = max(map(int, o.clients.split(",")))
            out[f"half share a document, {c} clients"] = load(
                o.url, c, 1, lambda i, r: (other + f"\nQuestion {i}?") if i % 2 else words(60, base + 5000 + i), o.tokens)
        elif name == "stall":
            out["a long prompt beside a stream"] = stall(o.url, words(int(o.document / 2.1), base + 3))
        elif name == "company":
            out["greedy in company"] = company(o.url)
        print(name, json.dumps(out)[-300:], file=sys.stderr, flush=True)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
