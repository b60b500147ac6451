#!/bin/sh
# Makes vectors.json from cases.json; see README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp -R "$here/Cargo.toml" "$here/src" "$build"
mkdir "$build/.cargo"
cat > "$build/.cargo/config.toml" <<'END'
[source.crates-io]
replace-with = "debian"

[source.debian]
directory = "/usr/share/cargo/registry"
END
(cd "$build" && cargo build --quiet --offline)
"$build/target/debug/vectors" < "$here/cases.json" > "$build/vectors.json"
mv "$build/vectors.json" "$here/vectors.json"
