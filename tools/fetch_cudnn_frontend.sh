#!/bin/sh
# Puts the headers of cuDNN's front end (PyPI: nvidia-cudnn-frontend, MIT licence) below FOLDER/include. They are
# needed to build the GPU back end with cuDNN; nothing of them is linked or installed.
set -eu
version=1.32.0
folder=$1
[ -f "$folder/include/cudnn_frontend.h" ] && exit 0
mkdir -p "$folder"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$folder" \
  "nvidia-cudnn-frontend==$version"
python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    z.extractall(sys.argv[2], [n for n in z.namelist() if n.startswith("include/")])' \
  "$folder"/nvidia_cudnn_frontend-$version-*.whl "$folder"
rm -f "$folder"/*.whl
