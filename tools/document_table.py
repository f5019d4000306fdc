"""Prints the table of docs/documents.md: every document of tests/golden/documents through the program.

What was read is compared with the text that tests/golden/documents/table.json expects: the ids of `longspan tokenize`
turned back by `longspan detokenize`. The model needs a tokenizer that gives every text back (smollm2 does).
Run it as: python3 tools/document_table.py [PROGRAM [MODEL]]   Default: build/longspan smollm2.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "documents"


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr.strip()


def outcome(program, model, row):
    file = GOLDEN / row["file"]
    status, out, err = run(program, "tokenize", model, "--json", "--file", file)
    err = err.replace(f"longspan: {file}: ", "").replace(f"{file}: ", "").replace("|", "\\|")
    if status != 0:
        return f"refused: {err}"
    ids = json.loads(out)["ids"]
    text = json.loads(run(program, "detokenize", model, "--json", *ids)[1])["text"]
    same = "text" in row and text == row["text"]
    return f"{'read' if same else '**read, but not as expected**'}, {len(text)} characters" + (f"; {err}" if err else "")


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "longspan"
    model = sys.argv[2] if len(sys.argv) > 2 else "smollm2"
    print("| file | what it is | outcome |\n| --- | --- | --- |")
    for row in json.loads((GOLDEN / "table.json").read_text(encoding="utf-8")):
        print(f"| {row['file']} | {row['what']} | {outcome(program, model, row)} |")


if __name__ == "__main__":
    main()
