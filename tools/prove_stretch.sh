#!/bin/sh
# Trains and measures a stretch on a machine with an NVIDIA GPU, in slots: every call ends by itself and the next one goes on.
#   tools/prove_stretch.sh data CORPUS            data/ by tools/make_stretch_data.sh
#   tools/prove_stretch.sh train RECIPE SEED SECONDS
#                                                 trains for at most SECONDS, or goes on with what the last call left
#   tools/prove_stretch.sh eval ADAPTER SECONDS   needles at 8K to 256K, six classes of short text, hand-written forms
#   tools/prove_stretch.sh untrained SECONDS      the same of the model as it is, and in two zones without training
# RUNS (default runs) holds a folder for each run: its recipe's output, logs with times, and the results. LONGSPAN (default
# build/longspan) is the program. Exit status 0: the run or the evaluation is complete; 75: call again.
set -eu
cd "$(dirname "$0")/.."
runs=${RUNS:-runs}
longspan=${LONGSPAN:-build/longspan}
device=${DEVICE:-cuda}
lengths=${LENGTHS:-8192,16384,32768,65536,131072,262144}
depths=${DEPTHS:-9}
mkdir -p "$runs"

# within SECONDS LOG COMMAND...: 75 when time ends it. SIGINT lets the program write its snapshot or its last result.
within() {
  seconds=$1 log=$2
  shift 2
  echo "== $(date -u +%FT%TZ) $*" >> "$log"
  begin=$(date +%s) status=0
  timeout -s INT -k 60 "$seconds" "$@" >> "$log" 2>&1 || status=$?
  echo "== status $status after $(($(date +%s) - begin)) s" >> "$log"
  case $status in
    0) return 0 ;;
    124 | 130 | 137) return 75 ;;
    *) tail -n 5 "$log" >&2; return "$status" ;;
  esac
}

train() {
  recipe=$1 seed=$2 seconds=$3
  output=$runs/$(basename "$recipe" .toml)-seed$seed
  [ -f "$output/adapter/adapter_model.safetensors" ] && { echo "$output/adapter is complete"; return 0; }
  mkdir -p "$output"
  resume=
  ls "$output"/snapshots/*.snapshot > /dev/null 2>&1 && resume=--resume
  # The output of a recipe is relative to the recipe.
  within "$seconds" "$output/train.log" "$longspan" train "$recipe" --device "$device" \
    --set "seed=$seed" --set "output=$(cd "$output" && pwd)" $resume || { status=$?; tail -n 2 "$output/train.log"; return $status; }
  tail -n 3 "$output/train.log"
}

# measure NAME SECONDS OPTIONS...: what is complete is not run again, so that a later call goes on.
measure() {
  folder=$runs/$1 end=$(($(date +%s) + $2)) status=0
  shift 2
  mkdir -p "$folder"
  for suite in needle short examples/needle-forms.toml; do
    left=$((end - $(date +%s)))
    [ "$left" -gt 5 ] || return 75
    out=$folder/$(basename "$suite" .toml)
    set -- "$@"
    case $suite in
      short) within "$left" "$folder/eval.log" "$longspan" eval short smollm2 --device "$device" -q -o "$out" "$@" || status=$? ;;
      *) within "$left" "$folder/eval.log" "$longspan" eval "$suite" smollm2 --lengths "$lengths" --depths "$depths" \
           --device "$device" -q -o "$out" "$@" || status=$? ;;
    esac
    [ "$status" -eq 0 ] || return "$status"
  done
  grep -a -v '^ *$' "$folder/eval.log" | tail -n 40
}

case "${1:-}" in
  data) tools/make_stretch_data.sh "$2" data "${3:-1}" ;;
  train) train "$2" "$3" "$4" ;;
  eval) measure "eval-$(basename "$(dirname "$2")")" "$3" --adapter "$2" ;;
  untrained)
    measure eval-zones "$2" --position rerope:window=2048,log_n=1
    measure eval-untouched "$2" --position rope --context 262144 ;;
  *) sed -n '2,9s/^# //p' "$0"; exit 2 ;;
esac
