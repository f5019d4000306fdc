"""Checks that transformers loads what `longspan extend` writes: the same ids and logits, and that longspan itself reads it
as the source was read.

python tools/check_extend.py LONGSPAN MODEL [SPEC ...]
LONGSPAN is the built program, MODEL what it calls a model (a GGUF file, a directory, smollm2); each SPEC is a --position, by
default one for each method that transformers has a name for. A directory is written for each, in F32, and deleted.
Prints a line for each; the exit status is 1 if any logit differs by more than 1e-3 of the largest, or any id differs.
Needs torch, transformers.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

# original=256: the text is longer than that, so that what depends on its length shows.
SPECS = ["linear:factor=2", "dynamic_ntk:factor=4,original=256", "yarn:factor=4", "llama3:factor=8", "abf:base=500000",
         "ntk:factor=4"]
TEXTS = ["Hello world", " leading and  double   spaces\n\n\ttabs 1234567 3.14", "na\u00efve caf\u00e9 \u65e5\u672c\u8a9e \U0001f600 \u0440\u0443\u0441\u0441\u043a\u0438\u0439",
         "def f(x):\n    return x**2  # it's \"quoted\"\r\n", "<|im_start|>user\nhi<|im_end|>\n", "", " ", "\n"]
TEXT = pathlib.Path(__file__).resolve().parent.parent.joinpath("README.md").read_text()[:3000]


def longspan(program, *arguments):
    out = subprocess.run([program, *arguments, "--json", "-q"], capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"longspan {' '.join(arguments)}: {out.stderr}")
    return json.loads(out.stdout)


def logprobs_of_transformers(directory, ids):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        logprobs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, :-1], -1)
    return logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist()


def check(program, model, spec, directory, text_file):
    exact = ["--compute", "f32", "--cache-type", "f32"]
    longspan(program, "extend", model, "--position", spec, "--to", "32768", "--type", "f32", "-o", directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    wrong = [t for t in TEXTS + [TEXT] if t and tokenizer(t)["input_ids"] != longspan(program, "tokenize", model, t)["ids"]]
    wrong += [t for t in TEXTS + [TEXT] if t and longspan(program, "tokenize", directory, t) != longspan(program, "tokenize", model, t)]
    source = longspan(program, "score", model, "--file", text_file, "--position", spec, *exact)["logprobs"]
    written = longspan(program, "score", directory, "--file", text_file, *exact)["logprobs"]
    theirs = logprobs_of_transformers(directory, tokenizer(TEXT)["input_ids"])
    largest = max(map(abs, theirs))
    apart = [max(abs(a - b) for a, b in zip(x, y, strict=True)) / largest for x, y in ((source, written), (source, theirs))]
    good = not wrong and max(apart) < 1e-3
    print(f"{spec}: ids {'differ for ' + repr(wrong) if wrong else 'equal'}; log-probabilities, of the largest {largest:.2f}: "
          f"longspan on both {apart[0]:.1e} apart, transformers {apart[1]:.1e}", "" if good else "WRONG", flush=True)
    return good


if __name__ == "__main__":
    program, model, *specs = sys.argv[1:]
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as place:
        text_file = os.path.join(place, "text")
        pathlib.Path(text_file).write_text(TEXT)
        results = [check(program, model, spec, os.path.join(place, f"model{i}"), text_file)
                   for i, spec in enumerate(specs or SPECS)]
    sys.exit(0 if all(results) else 1)
