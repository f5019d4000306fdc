#!/bin/sh
# Takes a built tree to a machine with an NVIDIA GPU, checks it there and measures it, in under 8 minutes.
#   tools/gpu_machine.sh pack BUNDLE.tar.xz     here: programs, tests and the libraries that they need
#   tools/gpu_machine.sh check BUNDLE.tar.xz    there, in a copy of the sources: unpacks it and runs the tests
# Then `. .gpu/env` sets what build/longspan needs to run there.
set -eu
cd "$(dirname "$0")/.."
tests=${TESTS-kernels model generate train}

pack() {
  work=$(mktemp -d)
  mkdir -p "$work/build/tests" "$work/lib"
  cp build/longspan "$work/build"
  for room in $tests; do
    [ -x "build/tests/${room}_tests" ] && cp "build/tests/${room}_tests" "$work/build/tests"
  done
  find "$work/build" -type f -exec strip {} +
  [ -x build/bench/gpu_bench ] && cp build/bench/gpu_bench "$work/build"
  # The C and C++ libraries are those of the other machine.
  for program in "$work/build/longspan" "$work"/build/tests/*; do ldd "$program"; done | awk '$3 ~ /^\// {print $3}' |
    sort -u | grep -Ev '/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so' | xargs -I FILE cp -L FILE "$work/lib"
  pwd > "$work/source"
  tar -C "$work" -c . | xz -T0 -1 > "$1"
  rm -rf "$work"
  ls -l "$1"
}

check() {
  mkdir -p .gpu/unpacked
  tar -C .gpu/unpacked -xf "$1"
  here=$(pwd)
  source=$(cat .gpu/unpacked/source)
  # Tests know their files by the path of the sources they were built from.
  [ "$source" = "$here" ] || { mkdir -p "$(dirname "$source")" && ln -sfn "$here" "$source"; }
  mkdir -p build/tests
  find .gpu/unpacked/build -maxdepth 1 -type f -exec cp {} build \;
  cp .gpu/unpacked/build/tests/* build/tests
  libraries=$here/.gpu/unpacked/lib
  # cuDNN comes with PyTorch where the toolkit has none.
  for folder in /usr/local/cuda/lib64 $(python3 -c 'import nvidia, os
print(" ".join(os.path.join(p, d, "lib") for p in nvidia.__path__ for d in ("cudnn", "cu13")))' 2>/dev/null || true); do
    [ -d "$folder" ] && libraries=$libraries:$folder
  done
  echo "export LD_LIBRARY_PATH=$libraries" > .gpu/env
  . .gpu/env
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  failed=0
  for room in $tests; do
    [ -x "build/tests/${room}_tests" ] || continue
    echo "== $room"
    OMP_WAIT_POLICY=passive timeout 200 "build/tests/${room}_tests" --gtest_brief=1 ${FILTER:+--gtest_filter=$FILTER} 2>&1 |
      tail -n "${LINES_OF_EACH:-60}" || failed=1
  done
  return $failed
}

case "${1:-}" in
  pack | check) "$1" "$2" ;;
  *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
esac
