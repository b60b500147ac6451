#!/bin/sh
# Print the newest CPython from 3.11 on, on the PATH or kept by pyenv, whose minor version differs from that of
# $1 (an interpreter; where it is missing, of the first python3). Print nothing if there is none.
set -u
version='import sys; print(sys.version_info[1] if sys.implementation.name == "cpython" else 0)'
mine=$("$1" -c "$version" 2>/dev/null || python3 -c "$version" 2>/dev/null || echo 0)
newest=0 found=''
for python in python3.14 python3.13 python3.12 python3.11 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3; do
  path=$(command -v "$python" 2>/dev/null) || continue
  minor=$("$path" -c "$version" 2>/dev/null) || continue
  if [ "$minor" -ge 11 ] && [ "$minor" -ne "$mine" ] && [ "$minor" -gt "$newest" ]; then
    newest=$minor found=$path
  fi
done
[ -z "$found" ] || echo "$found"
