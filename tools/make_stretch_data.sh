#!/bin/sh
# Makes the data of recipes/stretch-smollm2-*.toml from a corpus:
#   tools/make_stretch_data.sh CORPUS DATA [SEED]
# CORPUS holds CLASS.train.jsonl.zst (books_en, technical, code, qa_short, qa_long, instruct); held-out files beside them
# are never opened, but for the books that the validation of other recipes reads, which become DATA/books.heldout.jsonl.zst.
# SCALE divides the number of records (SCALE=20 makes a small set to try things with), LENGTHS names the sets of
# conversations. One seed gives the same files on every machine. Needs build/longspan and its model, and the program zstd.
set -eu
[ $# -ge 2 ] || { sed -n '2,8s/^# //p' "$0"; exit 2; }
corpus=$1 data=$2 seed=${3:-1}
scale=${SCALE:-1}
lengths=${LENGTHS:-4k 32k 64k 128k 256k}
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$data"

# English books for the haystacks; what is copied keeps its compression.
for pair in books_en:books technical:technical code:code; do
  cp -f "$corpus/${pair%%:*}.train.jsonl.zst" "$data/${pair##*:}.jsonl.zst"
done
cp -f "$corpus/books_en.heldout.jsonl.zst" "$data/books.heldout.jsonl.zst"
cp -f "$corpus/instruct.train.jsonl.zst" "$data/instructions.jsonl.zst"
# Short questions as one reads them: the text, then each question with its answer.
zstd -dcq --long=27 "$corpus/qa_short.train.jsonl.zst" | python3 -c '
import json, sys
for line in sys.stdin:
    record = json.loads(line)
    asked = ["Question: %s\nAnswer: %s" % (q["question"], q["answers"][0]) for q in record["qas"] if q["answers"]]
    if asked:
        text = record["text"].strip() + "\n\n" + "\n".join(asked)
        print(json.dumps({"id": record["id"], "lang": record["lang"], "text": text}, ensure_ascii=False))
' | zstd -q -f -o "$data/qa-short.jsonl.zst"

# synth LENGTH TOKENS RECORDS MIX TURNS...
synth() {
  name=$1 tokens=$2 records=$(((($3 + scale - 1) / scale))) mix=$4
  shift 4
  case " $lengths " in *" $name "*) ;; *) return 0 ;; esac
  "$here/build/longspan" corpus synth --model smollm2 --language en --seed "$seed" \
    --documents "$data/books.jsonl.zst" \
    --questions "$corpus/qa_short.train.jsonl.zst" "$corpus/qa_long.train.jsonl.zst" \
    --tokens "$tokens" --records "$records" --mix "$mix" "$@" \
    --front-share 0.35 --sister-share 0.25 --natural-share 0.6 --sentence-share 0.1 \
    -o "$data/synth-$name.jsonl.zst"
}
# A frozen context comes with its longest question: what is made is a little shorter than the recipe's length. Answers are
# bare but where a sentence is asked for: with more sentences the model repeats the question and leaves the answer out
# (bench/results/2026-11-29-stretch.md).
synth 4k 4000 120 facts=0.9,reading=0.1 --turns 4 --most-turns 16
synth 32k 32700 450 facts=0.70,reading=0.08,multi_document_qa=0.07,quote=0.05 --turns 8 --most-turns 48
synth 64k 65000 60 facts=0.9,reading=0.1 --turns 192
synth 128k 130000 100 facts=0.9,reading=0.1 --turns 192
synth 256k 261000 55 facts=0.9,reading=0.1 --turns 192
