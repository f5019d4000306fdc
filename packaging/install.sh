#!/bin/sh
# make install, make uninstall. Installing keeps a list of every file and of every folder that was not there before,
# so that uninstalling leaves nothing and takes nothing else away.
#   DESTDIR=/stage PREFIX=/usr packaging/install.sh install|uninstall
set -eu
root=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
list=build/installed$(echo "$root$prefix" | tr / -).txt

install_all() {
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  DESTDIR=$stage cmake --install build --prefix "$prefix" >/dev/null
  new=$(mktemp -p "$stage")
  (cd "$stage" && find . -mindepth 1 -type d | sed 's/^\.//' | sort) | while read -r folder; do
    [ -d "$root$folder" ] || echo "$root$folder"
  done >"$new"
  [ ! -f "$list" ] || grep '/$' "$list" | sed 's,/$,,' >>"$new" || true
  DESTDIR=$root cmake --install build --prefix "$prefix" --strip
  { sed "s,^,$root," build/install_manifest.txt; echo; sort -u "$new" | sed 's,$,/,'; } | grep . >"$list.part"
  mv "$list.part" "$list"
  echo "installed in $root$prefix; make uninstall takes it away again"
}

uninstall_all() {
  [ -f "$list" ] || { echo "nothing is installed in $root$prefix from here ($list is missing)" >&2; exit 1; }
  grep -v '/$' "$list" | while read -r file; do rm -f "$file"; done
  grep '/$' "$list" | sort -r | while read -r folder; do
    [ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder"
  done
  rm "$list"
  echo "removed from $root$prefix"
}

case ${1:-} in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *) echo "usage: $0 install|uninstall" >&2; exit 2 ;;
esac
