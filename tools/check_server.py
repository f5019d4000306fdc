#!/usr/bin/env python3
"""Runs the clients that people use against `longspan serve` with a real model: curl, openai, LangChain, lm-eval and
schemathesis (pip install openai langchain-openai schemathesis "lm-eval[api]"; what is not installed is skipped and said so). Prints a line
for each check; exit status 1 when one failed.

    tools/check_server.py [--program build/longspan] [--model smollm2] [--embedder minilm]
                          [--only curl,openai,langchain,embeddings,lm-eval,lm-eval-chat,leaving,schemathesis] [--examples 200]
"""
import argparse
import concurrent.futures
import http.client
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
FAILED = []


def check(name, well, what=""):
    print(f"{'ok  ' if well else 'FAIL'} {name}{': ' + str(what) if what != '' else ''}", flush=True)
    if not well:
        FAILED.append(name)


class Server:
    def __init__(self, program, model, *more):
        self.process = subprocess.Popen([program, "serve", model, "--port", "0", "--json", *more], stdout=subprocess.PIPE,
                                        text=True)
        self.facts = json.loads(self.process.stdout.readline())
        self.url = self.facts["url"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        check("SIGTERM ends it with status 0", self.process.wait(60) == 0)

    def get(self, path):
        with urllib.request.urlopen(self.url + path) as reply:
            return reply.read().decode()

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())

    def metric(self, name):
        return float(re.search(rf"^longspan_{name} (\S+)$", self.get("/metrics"), re.M)[1])

    def figure(self, name, label):
        return float(re.search(rf"^longspan_{name}{{{label}}} (\S+)$", self.get("/metrics"), re.M)[1])

    def resident(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def flat(self, name):
        deadline = time.time() + 10
        while time.time() < deadline and self.metric("answers_running"):
            time.sleep(0.1)
        check(f"{name}: pages in use at the end", self.metric("kv_pages_in_use") == 0)


def with_curl(server):
    def curl(*arguments):
        return subprocess.run(["curl", "-sS", "--max-time", "120", *arguments], capture_output=True, text=True).stdout
    # A body without a content type, as many people type it, larger than a form may be.
    text = json.dumps({"prompt": "word " * 3000, "max_tokens": 1, "temperature": 0})
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        reply = json.loads(curl(f"{server.url}/v1/completions", "-d", "@" + file.name))
    check("curl -d of 15 KB", reply.get("usage", {}).get("completion_tokens") == 1, reply.get("error", ""))
    events = curl("-N", f"{server.url}/v1/completions", "--json",
                  json.dumps({"prompt": "One, two,", "max_tokens": 5, "temperature": 0, "stream": True}))
    check("curl -N streams", events.endswith("data: [DONE]\n\n") and events.count("data: ") >= 6)
    upload = json.loads(curl(f"{server.url}/documents", "-F", f"file=@{ROOT / 'README.md'}"))
    check("curl -F sends a document", "longspan" in upload.get("text", ""), f"{upload.get('tokens')} tokens")


def with_openai(server):
    import openai
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none")
    model = client.models.list().data[0].id
    check("openai models", model == server.facts["model"], model)
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    whole = client.chat.completions.create(model=model, messages=messages, temperature=0, max_completion_tokens=24)
    text = whole.choices[0].message.content
    check("openai chat", "Paris" in text, text)
    stream = client.chat.completions.create(model=model, messages=messages, temperature=0, max_completion_tokens=24, stream=True,
                                            stream_options={"include_usage": True}, logprobs=True, top_logprobs=2)
    streamed, tokens, usage = "", 0, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            streamed += choice.delta.content or ""
            tokens += len(choice.logprobs.content) if choice.logprobs and choice.logprobs.content else 0
    check("openai stream equals the whole", streamed == text, streamed)
    check("openai usage in the stream", usage and usage.completion_tokens == whole.usage.completion_tokens)
    check("openai logprobs in the stream", tokens == usage.completion_tokens, tokens)
    several = client.chat.completions.create(model=model, messages=messages, n=3, seed=3, max_completion_tokens=16)
    check("openai n=3", len({c.message.content for c in several.choices}) > 1)
    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "And of Spain?"}]
    second = client.chat.completions.create(model=model, messages=messages, temperature=0, max_completion_tokens=16)
    check("openai second turn reads the new tokens only",
          second.usage.prompt_tokens - second.usage.prompt_tokens_details.cached_tokens <= 32, second.usage)
    echo = client.completions.create(model=model, prompt="The sky is blue", echo=True, logprobs=2, max_tokens=0)
    values = echo.choices[0].logprobs.token_logprobs
    check("openai echo with logprobs", values[0] is None and all(v <= 0 for v in values[1:]), values)
    stopped = client.completions.create(model=model, prompt="1, 2, 3, 4,", stop=["7"], max_tokens=40, temperature=0)
    check("openai stop", "7" not in stopped.choices[0].text and stopped.choices[0].finish_reason == "stop")
    tool = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
    tools = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Weather in Paris?"}], tools=[tool],
                                           temperature=0, max_completion_tokens=40)
    check("openai tools", tools.choices[0].finish_reason in ("stop", "length", "tool_calls"), tools.choices[0].finish_reason)
    forced = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Weather in Paris?"}], tools=[tool],
                                            temperature=0, max_completion_tokens=60, tool_choice="required")
    calls = forced.choices[0].message.tool_calls or []
    check("openai tool_choice=required", forced.choices[0].finish_reason == "tool_calls" and len(calls) == 1
          and "city" in json.loads(calls[0].function.arguments), calls)
    for name, error, arguments in [
            ("too long", openai.BadRequestError, {"model": model, "prompt": "word " * 200000, "max_tokens": 1}),
            ("unknown model", openai.NotFoundError, {"model": "gpt-9", "prompt": "a"}),
            ("wrong type", openai.BadRequestError, {"model": model, "prompt": "a", "temperature": "hot"})]:
        try:
            client.completions.create(**arguments)
            check(f"openai {name}", False, "no error")
        except error as e:
            check(f"openai {name}", True, str(e)[:200])

    def one(i):
        return client.completions.create(model=model, prompt=f"Story number {i}: once upon a time", temperature=0,
                                         max_tokens=32).choices[0].text
    alone = [one(i) for i in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        check("openai greedy texts in company equal those alone", list(pool.map(one, range(6))) == alone)


def with_embeddings(server, o):
    """OpenAI's client and its forms; and how much a stream is slowed by somebody's thousand texts."""
    import base64
    import struct
    import openai
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none")
    model = Path(o.embedder).name
    check("openai lists the embedder", model in [m.id for m in client.models.list().data])
    texts = ["A cat sits on the mat.", "Felines rest on a rug.", "Stock prices fell sharply."]
    # The client asks for base64 and decodes it, unless told otherwise.
    packed = client.embeddings.create(model=model, input=texts)
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    vectors = [d.embedding for d in plain.data]
    check("openai embeddings", len(vectors) == 3 and all(abs(sum(x * x for x in v) - 1) < 1e-4 for v in vectors), plain.usage)
    check("openai base64 equals float", max(abs(a - b) for p, v in zip(packed.data, vectors) for a, b in zip(p.embedding, v)) < 1e-6)
    near = [sum(a * b for a, b in zip(vectors[0], v)) for v in vectors]
    check("openai near and far", near[1] > 0.3 > near[2], near)
    raw = server.post("/v1/embeddings", {"model": model, "input": texts[0], "encoding_format": "base64"})[1]
    unpacked = struct.unpack(f"<{len(vectors[0])}f", base64.b64decode(raw["data"][0]["embedding"]))
    check("base64 is little-endian F32", max(abs(a - b) for a, b in zip(unpacked, vectors[0])) < 1e-6)
    out = subprocess.run([o.program, "embed", o.embedder, *texts, "--json", "-q"], check=True, capture_output=True, text=True).stdout
    same = [json.loads(line)["embedding"] for line in out.splitlines()]
    check("`longspan embed` gives the same", max(abs(a - b) for x, y in zip(same, vectors) for a, b in zip(x, y)) < 1e-5)
    if importlib.util.find_spec("langchain_openai"):
        from langchain_openai import OpenAIEmbeddings
        chain = OpenAIEmbeddings(model=model, base_url=server.url + "/v1", api_key="none", check_embedding_ctx_length=False)
        both = [*chain.embed_documents(texts), chain.embed_query(texts[0])]
        check("langchain embeddings", max(abs(a - b) for x, y in zip(both, [*vectors, vectors[0]]) for a, b in zip(x, y)) < 1e-5)
    for name, error, arguments in [("wrong dimensions", openai.BadRequestError, {"model": model, "input": "a", "dimensions": 7}),
                                   ("empty text", openai.BadRequestError, {"model": model, "input": ""}),
                                   ("too long", openai.BadRequestError, {"model": model, "input": "word " * 20000}),
                                   ("unknown model", openai.NotFoundError, {"model": "ada", "input": "a"})]:
        try:
            client.embeddings.create(**arguments)
            check(f"openai embeddings, {name}", False, "no error")
        except error as e:
            check(f"openai embeddings, {name}", True, str(e)[:160])

    def stream_seconds():
        begun = time.time()
        for _ in client.completions.create(model=server.facts["model"], prompt="One, two,", max_tokens=48, temperature=0, stream=True,
                                           extra_body={"ignore_eos": True}):
            pass
        return time.time() - begun
    alone = min(stream_seconds() for _ in range(3))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        many = pool.submit(client.embeddings.create, model=model, input=[f"{i} " + "some words " * 60 for i in range(1000)])
        beside = min(stream_seconds() for _ in range(3)) if not many.done() else 0
        running = not many.done()
        many.result()
    check("a stream goes on beside a thousand texts", running and beside < 4 * alone, f"{alone:.2f} s alone, {beside:.2f} s beside them")


LM_EVAL_TASK = """task: seam
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
target_delimiter: ""
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc}}]
"""


def lm_eval_rows():
    """Sentences of our documents; the choice that is right is how they go on."""
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if 60 < len(line) < 140 and "|" not in line]
    rows = []
    for i, line in enumerate(lines[:16]):
        cut = line.rfind(" ", 0, len(line) // 2)
        others = [lines[(i + k) % len(lines)] for k in (1, 2, 3)]
        rows.append({"question": line[:cut], "choices": [line[cut:]] + [o[o.rfind(" ", 0, len(o) // 2):] for o in others], "answer": 0})
    return rows


LM_EVAL_CHAT_TASK = """task: seam_chat
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], do_sample: false, temperature: 0, max_gen_toks: 24}}
metric_list: [{{metric: exact_match}}]
"""


def with_lm_eval_chat(server):
    """`local-chat-completions`: its answers are those that curl would get."""
    rows = [{"question": f"What is the capital of {c}?", "answer": "-"} for c in ("France", "Spain", "Japan", "Egypt", "Peru")]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "seam_chat.yaml").write_text(LM_EVAL_CHAT_TASK.format(file=folder / "rows.jsonl"))
        run = subprocess.run([sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args",
                              f"model={server.facts['model']},base_url={server.url}/v1/chat/completions,num_concurrent=2",
                              "--tasks", "seam_chat", "--include_path", str(folder), "--output_path", str(folder / "out"),
                              "--log_samples", "--apply_chat_template"], capture_output=True, text=True)
        samples = list((folder / "out").rglob("samples_*.jsonl"))
        check("lm-eval local-chat-completions runs", run.returncode == 0 and len(samples) == 1,
              run.stderr[-600:] if run.returncode else "")
        if run.returncode or not samples:
            return
        read = [json.loads(line) for line in samples[0].read_text().splitlines()]

    def answer(question):
        body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 24, "stop": ["\n"]}
        return server.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    same = [sample["resps"][0][0].strip() == answer(sample["doc"]["question"]).strip() for sample in read]
    check("lm-eval's chat answers are the server's", len(same) == len(rows) and all(same), same)


def with_langchain(server):
    """Chat, stream, tools and structured output through langchain-openai, with the server's address and nothing else."""
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel
    model = ChatOpenAI(model=server.facts["model"], base_url=server.url + "/v1", api_key="none", temperature=0, max_tokens=32)
    messages = [("system", "You answer in one sentence."), ("human", "What is the capital of France?")]
    whole = model.invoke(messages)
    check("langchain invoke", "Paris" in whole.content and whole.usage_metadata["output_tokens"] > 0, whole.content)
    check("langchain stream equals invoke", "".join(c.content for c in model.stream(messages)) == whole.content)
    check("langchain batch equals invoke", [a.content for a in model.batch([messages] * 3)] == [whole.content] * 3)

    class City(BaseModel):
        name: str
        country: str
    city = model.with_structured_output(City, method="json_schema").invoke("Which city is the capital of France?")
    check("langchain structured output", isinstance(city, City), city)

    def get_weather(city: str) -> str:
        """Weather of a city."""
        return city
    caller = ChatOpenAI(model=server.facts["model"], base_url=server.url + "/v1", api_key="none", temperature=0, max_tokens=64)
    called = caller.bind_tools([get_weather], tool_choice="required").invoke("Weather in Paris?")
    check("langchain tools", [c["name"] for c in called.tool_calls] == ["get_weather"], called.tool_calls)


def scores_of_program(o, text, context):
    """Sum of log p of the text behind the context, by `longspan score`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        out = json.loads(subprocess.run([o.program, "score", o.model, "--file", file.name, "--json", "-q"], check=True,
                                        capture_output=True, text=True).stdout)
    return sum(out["logprobs"][context - 1:])


def with_lm_eval(server, o):
    rows = lm_eval_rows()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "seam.yaml").write_text(LM_EVAL_TASK.format(file=folder / "rows.jsonl"))
        command = [sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args",
                   f"model={server.facts['model']},base_url={server.url}/v1/completions,tokenizer_backend=remote,"
                   "num_concurrent=4,max_length=2048", "--tasks", "seam", "--include_path", str(folder), "--output_path",
                   str(folder / "out"), "--log_samples"]
        run = subprocess.run(command, capture_output=True, text=True)
        samples = list((folder / "out").rglob("samples_*.jsonl"))
        check("lm-eval runs", run.returncode == 0 and len(samples) == 1, run.stderr[-600:] if run.returncode else "")
        if run.returncode or not samples:
            return
        print("\n".join(line for line in run.stdout.splitlines() if "|" in line))
        read = [json.loads(line) for line in samples[0].read_text().splitlines()]
    # lm-eval moves the blank at the end of the context to the choice; token ids join to those of the whole text here.
    worst, compared = 0, 0
    for sample in read[:6]:
        row = sample["doc"]
        for choice, reply in list(zip(row["choices"], sample["filtered_resps"]))[:2]:
            context = len(server.post("/tokenize", {"prompt": row["question"], "add_special_tokens": False})[1]["tokens"])
            whole = server.post("/tokenize", {"prompt": row["question"] + choice, "add_special_tokens": False})[1]["tokens"]
            if server.post("/detokenize", {"tokens": whole[:context]})[1]["content"] != row["question"]:
                continue
            worst = max(worst, abs(float(reply[0]) - scores_of_program(o, row["question"] + choice, context)))
            compared += 1
    check(f"lm-eval's log-likelihoods are those of `longspan score` ({compared} compared)", compared > 0 and worst < 0.01,
          f"largest difference {worst:.6f}")


def with_schemathesis(server, o):
    before = server.resident()
    program = shutil.which("schemathesis") or str(Path(sys.executable).parent / "schemathesis")
    run = subprocess.run([program, "run", server.url + "/openapi.json", "--max-examples", str(o.examples), "--workers", "4",
                          # The phase `coverage` dies in the generator itself (CPython 3.11: AST recursion depth mismatch).
                          "--phases", "fuzzing,stateful",
                          "--request-timeout", "120", "--checks",
                          "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                          "--suppress-health-check", "all", "--no-color"], capture_output=True, text=True, cwd=tempfile.gettempdir())
    print(run.stdout[-12000:])
    check("schemathesis", run.returncode == 0)
    requests = sum(float(n) for n in re.findall(r"^longspan_requests_total\{.*\} (\S+)$", server.get("/metrics"), re.M))
    after = server.resident()
    check("resident memory", True, f"{before >> 20} MiB before, {after >> 20} MiB after {requests:.0f} requests")
    server.flat("schemathesis")


def with_leaving(server, o):
    """Mixed requests, streamed and whole, of which every third client leaves at a random moment."""
    def client(seed):
        random = Random(seed)
        for _ in range(o.examples // 2):
            body = {"prompt": f"{random.random()} " + "some words " * random.choice([1, 20, 200, 900]), "stream": random.random() < 0.6,
                    "max_tokens": random.choice([1, 8, 40]), "n": random.choice([1, 1, 2]), "ignore_eos": True}
            leaves = random.random() < 0.33
            connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=0.05 + random.random() if leaves else 300)
            try:
                connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
                reply = connection.getresponse()
                text = reply.read()
                assert reply.status in (200, 429), text
            except (TimeoutError, OSError):
                assert leaves
            finally:
                connection.close()

    def load(first):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(client, range(first, first + 8)))
        server.flat("leaving clients")
        return server.resident()
    load(0)  # fills the pool
    before, after = load(100), load(200)
    check("leaving clients: resident memory within 2 %", abs(after - before) < 0.02 * before,
          f"{before / 2**20:.1f} MiB, then {after / 2**20:.1f} MiB after {8 * (o.examples // 2)} more requests; "
          f"{server.figure('answers_total', 'finish=.cancelled.'):.0f} answers were left")


def with_kills(o):
    """kill -9 under load and a new start, `--kills` times with one folder of readings: answers are those of a server that
    never kept anything, and what was kept is used."""
    sentences = [s for f in sorted(ROOT.glob("docs/*.md")) for s in f.read_text().split("\n\n") if len(s) > 200]
    documents = ["\n\n".join(sentences[7 * i:7 * i + 12])[:6000] for i in range(6)]

    def ask(server, i, timeout=300):
        body = {"prompt": documents[i] + "\n\nIn short:", "max_tokens": 12, "temperature": 0, "ignore_eos": True}
        request = urllib.request.Request(server.url + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return json.loads(reply.read())["choices"][0]["text"]
    with Server(o.program, o.model, "-q") as server:
        right = [ask(server, i) for i in range(len(documents))]
    random, wrong, answered, used = Random(0), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for kill in range(o.kills):
            server = Server(o.program, o.model, "-q", "--cache-dir", folder, "--pool-tokens", "8192")

            def client(seed):
                order = Random(seed).sample(range(len(documents)), len(documents))
                got = []
                for i in order:
                    try:
                        got.append(ask(server, i) == right[i])
                    except OSError:  # it was killed
                        break
                return got
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                clients = [pool.submit(client, 3 * kill + c) for c in range(3)]
                time.sleep(random.uniform(0.2, o.kill_within))
                try:
                    used += server.metric("prompt_tokens_restored_total")
                except OSError:
                    pass
                server.process.kill()
                server.process.wait()
                for c in clients:
                    answered += len(c.result())
                    wrong += c.result().count(False)
        leftovers = [f.name for f in Path(folder).iterdir() if f.suffix != ".reading"]
        with Server(o.program, o.model, "-q", "--cache-dir", folder) as server:
            wrong += sum(ask(server, i) != right[i] for i in range(len(documents)))
            last = server.metric("prompt_tokens_restored_total")
    check(f"{o.kills} kills: no answer differs", wrong == 0 and answered > 0, f"{answered} answers before kills, {wrong} differ")
    check("kills: what was kept on disk is used", used > 0 and last > 0,
          f"{used:.0f} tokens before kills, {last:.0f} at the end; other files in the folder: {leftovers[:8]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build" / "longspan"))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--only", default="curl,openai,langchain,embeddings,lm-eval,lm-eval-chat,leaving,schemathesis")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--kills", type=int, default=0, help="how often `kills` kills; 0: not")
    parser.add_argument("--kill-within", type=float, default=6, help="seconds after the start")
    o = parser.parse_args()
    needs = {"curl": None, "leaving": None, "openai": "openai", "langchain": "langchain_openai", "embeddings": "openai", "lm-eval": "lm_eval",
             "lm-eval-chat": "lm_eval", "schemathesis": "schemathesis"}
    only = o.only.split(",")
    embedder = ["--embedder", o.embedder] if "embeddings" in only else []
    with Server(o.program, o.model, "--max-answer", "64", "--pool-tokens", "12288", *embedder) as server:
        for name in only:
            if needs[name] and not importlib.util.find_spec(needs[name]):
                print(f"skip {name}: not installed")
                continue
            {"curl": lambda: with_curl(server), "leaving": lambda: with_leaving(server, o), "openai": lambda: with_openai(server),
             "langchain": lambda: with_langchain(server), "embeddings": lambda: with_embeddings(server, o), "lm-eval": lambda: with_lm_eval(server, o),
             "lm-eval-chat": lambda: with_lm_eval_chat(server), "schemathesis": lambda: with_schemathesis(server, o)}[name]()
        server.flat("all")
    if o.kills:
        with_kills(o)
    print(f"{len(FAILED)} failed" if FAILED else "all well")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
