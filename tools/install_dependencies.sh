#!/bin/sh
# Installs the Debian packages that longspan is built with, if any are missing; further names may be given.
# Asks for root (sudo) only then.
set -eu
packages="cmake ninja-build g++ pkg-config libfmt-dev libcli11-dev nlohmann-json3-dev libdnnl-dev libpcre2-dev
  libutf8proc-dev libgtest-dev libzstd-dev liblzma-dev zlib1g-dev libbz2-dev libicu-dev libxml2-dev libzip-dev
  libpoppler-cpp-dev poppler-data libxxhash-dev libtomlplusplus-dev libcpp-httplib-dev libssl-dev
  libedit-dev libsqlite3-dev libpq-dev libfaiss-dev gnuplot-nox python3 python3-pip ca-certificates $*"

if ! command -v dpkg-query >/dev/null; then
  echo "This is no Debian system: please see to the equivalents of: $(echo $packages)" >&2
  exit 0
fi
missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing Debian packages:$missing"
root=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "please run as root, or install sudo: packages are missing" >&2; exit 1; }
  root="sudo"
fi
$root apt-get update -q
$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
