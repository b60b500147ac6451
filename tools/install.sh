#!/bin/sh
# Install this checkout for the user who runs this, or take the installation away:
#   install.sh install PYTHON [EXTRA ...]
#   install.sh uninstall
# Symphony gets an environment of its own in the user's data folder and a link in the user's bin folder, so
# that the checkout may be moved or deleted. A second `install` brings both up to date; extras and models that
# were added stay. What another program made is never replaced or removed.
set -eu

fail() { echo "error: $*" >&2; exit 1; }

[ -n "${HOME:-}" ] || fail "HOME is not set"
# Folders that are not absolute are ignored, as the XDG Base Directory Specification asks.
case ${XDG_DATA_HOME:-} in /*) data=$XDG_DATA_HOME ;; *) data=$HOME/.local/share ;; esac
case ${XDG_BIN_HOME:-} in /*) bin=$XDG_BIN_HOME ;; *) bin=$HOME/.local/bin ;; esac
folder=$data/symphony-workflows
record=$folder/link  # the path of the link: this file also says that the folder is ours
venv=$folder/venv
program=$venv/bin/symphony

exists() { [ -e "$1" ] || [ -L "$1" ]; }
is_ours() { [ -L "$1" ] && [ "$(readlink "$1")" = "$program" ]; }

drop_link() {
  [ -f "$record" ] || return 0
  link=$(cat "$record")
  ! is_ours "$link" || { rm -f "$link"; removed="$link and "; }
}

check_places() {
  if exists "$bin/symphony" && ! is_ours "$bin/symphony"; then
    fail "$bin/symphony belongs to another program and stays as it is; move it, or name another folder:" \
      "make install XDG_BIN_HOME=/path/to/a/bin"
  fi
  if [ -d "$folder" ] && [ ! -f "$record" ] && [ -n "$(ls -A "$folder")" ]; then
    fail "$folder holds something else and stays as it is; move it"
  fi
}

make_environment() {
  if ! "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    "$1" -m venv --clear "$venv"
  fi
}

pip_install() {
  "$venv/bin/python" -P -m pip install -qq --disable-pip-version-check --no-input --no-warn-script-location "$@"
}

say_where() {
  echo "$("$bin/symphony" --version) is installed: $bin/symphony"
  case ":$PATH:" in
    *":$bin:"*)
      found=$(command -v symphony || true)
      [ "$found" = "$bin/symphony" ] || echo "note: in this shell, symphony is $found, which comes first on your PATH"
      ;;
    *)
      echo "note: $bin is not on your PATH. Add it in the file that your shell reads at its start, such as ~/.profile:"
      echo "  export PATH=\"$bin:\$PATH\""
      ;;
  esac
}

install() {
  python=$1
  shift
  check_places
  wheels=$(mktemp -d)
  trap 'rm -rf "$wheels"' EXIT
  trap 'exit 1' HUP INT TERM
  echo "Installing into $folder ..." >&2
  "$python" -P -m pip wheel -qq --disable-pip-version-check --no-deps --no-build-isolation --no-index \
    --wheel-dir "$wheels" .
  mkdir -p "$folder" "$bin"
  drop_link
  printf '%s\n' "$bin/symphony" > "$record"
  make_environment "$python"
  for name in runtime "$@"; do
    pip_install --require-hashes --only-binary :all: -r "requirements/$name.txt"
  done
  pip_install --no-deps --no-index --force-reinstall "$wheels"/*.whl
  "$venv/bin/python" -P -m symphony.kit.instruments.fetch \
    --from-dir "$(dirname "$python")/../share/symphony/models/minilm" > "$wheels/said"
  is_ours "$bin/symphony" || ln -s "$program" "$bin/symphony"
  say_where
}

uninstall() {
  [ -f "$record" ] || { echo "nothing to remove: there is no $record"; return; }
  removed=
  drop_link
  rm -rf "$folder"
  echo "removed $removed$folder"
  [ ! -d "$data/symphony" ] || echo "$data/symphony stays: it holds runs, artifacts and settings"
}

"$@"
