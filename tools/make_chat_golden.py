#!/usr/bin/env python3
"""Makes tests/golden/chat: what Python's jinja2, set up as transformers sets it up, renders.

  make_chat_golden.py                               templates/*.jinja + conversations.json -> rendered.jsonl,
                                                    snippets.txt -> snippets.jsonl
  make_chat_golden.py --collect LLAMA_CPP GGUF      first collects the templates again from a llama.cpp source tree
                                                    and from SmolLM2's file (README.md there names the origins)
  make_chat_golden.py --templates DIR --out FILE    only renders another folder of templates (not committed)

Needs jinja2 and transformers; --collect needs gguf.
"""
import argparse
import ast
import datetime
import json
import re
from pathlib import Path

import jinja2
import jinja2.sandbox
from transformers.utils import chat_template_utils

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden" / "chat"
NOW = datetime.datetime(2026, 1, 5, 9, 7, 3)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

# file here -> file of llama.cpp's models/templates
FROM_FOLDER = {
    "llama-3.1": "meta-llama-Llama-3.1-8B-Instruct",
    "llama-3.2": "meta-llama-Llama-3.2-3B-Instruct",
    "qwen2.5": "Qwen-Qwen2.5-7B-Instruct",
    "qwen3": "Qwen-Qwen3-0.6B",
    "mistral-nemo": "mistralai-Mistral-Nemo-Instruct-2407",
    "hermes-3-tools": "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "deepseek-r1-distill": "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "gemma-2": "google-gemma-2-2b-it",
    "phi-3.5": "microsoft-Phi-3.5-mini-instruct",
    "granite-3.3": "ibm-granite-granite-3.3-2B-Instruct",
    "glm-4.6": "GLM-4.6",
    "kimi-k2": "Kimi-K2-Instruct",
    "gpt-oss": "openai-gpt-oss-120b",
    "seed-oss": "ByteDance-Seed-OSS",
}
# file here -> name of a case in llama.cpp's tests/test-chat-template.cpp
FROM_TEST = {
    "mistral-v0.1": "mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)",
    "mistral-v0.3": "Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)",
    "llama-2-system": "bofenghuang/vigogne-2-70b-chat",
    "llama-3": "Llama-3",
    "deepseek-v2": "DeepSeek-V2",
    "phi-4": "phi-4",
}


def environment(mutable=False):
    """transformers' own environment; its clock stands still. `mutable`: lists may be appended to."""
    env = chat_template_utils._cached_compile_jinja_template("").environment
    if mutable:
        mutable_env = jinja2.sandbox.SandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=list(type(e) for e in env.extensions.values()))
        mutable_env.filters["tojson"] = env.filters["tojson"]
        mutable_env.globals.update(env.globals)
        env = mutable_env
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(env, text, variables):
    """("expected", text) or ("error", True)."""
    try:
        out = env.from_string(text).render(**json.loads(json.dumps(variables)))
        out.encode()
        return {"expected": out}
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError,
            MemoryError, SyntaxError):
        return {"error": True}


def collect(llama_cpp, gguf_file):
    import gguf

    folder = GOLDEN / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    for name, origin in FROM_FOLDER.items():
        (folder / f"{name}.jinja").write_text((llama_cpp / f"models/templates/{origin}.jinja").read_text())
    source = (llama_cpp / "tests/test-chat-template.cpp").read_text()
    literals = re.compile(r'/\* \.name= \*/ ("(?:[^"\\]|\\.)*"),\s*/\* \.template_str=? ?\*/ (?:U8C\()?("(?:[^"\\]|\\.)*")')
    found = {ast.literal_eval(n): ast.literal_eval(t) for n, t in literals.findall(source)}
    for name, origin in FROM_TEST.items():
        (folder / f"{name}.jinja").write_text(found[origin])
    field = gguf.GGUFReader(gguf_file).fields["tokenizer.chat_template"]
    (folder / "smollm2.jinja").write_text(bytes(field.parts[field.data[0]]).decode())


def render_folder(folder, out):
    conversations = json.loads((GOLDEN / "conversations.json").read_text())
    env = environment()
    with out.open("w") as lines:
        for path in sorted(folder.glob("*.jinja")):
            with path.open(newline="") as file:
                text = file.read()
            for name, variables in conversations.items():
                for prompt in (False, True):
                    everything = {"tools": None, "documents": None, **SPECIAL, **variables, "add_generation_prompt": prompt}
                    case = {"template": path.name, "conversation": name, "add_generation_prompt": prompt}
                    case.update(render(env, text, everything))
                    lines.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


def render_snippets():
    """snippets.txt: one template a line, as a JSON text where it starts with a quote; '#!' before it: lists may grow."""
    variables = json.loads((GOLDEN / "snippet_variables.json").read_text())
    with (GOLDEN / "snippets.jsonl").open("w") as lines:
        for line in (GOLDEN / "snippets.txt").read_text().split("\n"):
            if not line or line.startswith("# "):
                continue
            mutable = line.startswith("#!")
            text = line[2:] if mutable else line
            if text.startswith('"'):
                text = json.loads(text)
            case = {"template": text, **render(environment(mutable), text, variables)}
            lines.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs=2, type=Path, metavar=("LLAMA_CPP", "GGUF"))
    parser.add_argument("--templates", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.templates:
        render_folder(arguments.templates, arguments.out)
        return
    if arguments.collect:
        collect(*arguments.collect)
    render_folder(GOLDEN / "templates", GOLDEN / "rendered.jsonl")
    render_snippets()


if __name__ == "__main__":
    main()
