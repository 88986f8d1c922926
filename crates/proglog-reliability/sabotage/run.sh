#!/usr/bin/env bash
# Applies each sabotage in this directory to a temporary copy of the workspace, and runs the test that
# must catch it. Fails if a sabotage passes, no longer applies or does not compile. With names as
# arguments, only those.
#
# A sabotage is a patch; above it stand what it breaks and the line `Caught by: <package> <test>`.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(git -C "$here" rev-parse --show-toplevel)
target=${CARGO_TARGET_DIR:-$root/target}/sabotage
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# Not the workspace's own target directory: a sabotaged crate could be taken for a sound one there.
export CARGO_TARGET_DIR=$target
export CARGO_TERM_COLOR=never
# Building takes most of the time.
export CARGO_INCREMENTAL=1
export CARGO_PROFILE_DEV_DEBUG=0
export CARGO_PROFILE_DEV_OPT_LEVEL=1

# Files get the present time, so that nothing built from an earlier copy is taken for new.
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -) |
    tar -C "$copy" -xmf -
cd "$copy"

failed=0
count=0
output=$copy/output

# try <name> <patch>: whether the test named in the patch catches it
try() {
    local package test
    read -r package test < <(sed -n 's/^Caught by: //p' "$2")
    if ! git apply "$2" 2>"$output"; then
        echo "FAILED $1: the patch no longer applies"
        cat "$output"
        return 1
    fi
    local result=0
    if ! cargo test -q -p "$package" --test crash --no-run >"$output" 2>&1; then
        echo "FAILED $1: it does not compile"
        cat "$output"
        result=1
    elif cargo test -q -p "$package" --test crash -- --exact "$test" >"$output" 2>&1; then
        echo "FAILED $1: it passes $test"
        result=1
    elif ! grep -q "^test $test .*FAILED\|^    $test\$" "$output"; then
        echo "FAILED $1: $test did not run to its end"
        cat "$output"
        result=1
    else
        echo "caught $1: by $package $test"
    fi
    git apply -R "$2"
    return "$result"
}

if [ $# -eq 0 ]; then
    mapfile -t named < <(grep -l '^Caught by: ' "$here"/*.patch)
    set -- "${named[@]}"
fi
for name in "$@"; do
    name=$(basename "$name" .patch)
    count=$((count + 1))
    try "$name" "$here/$name.patch" || failed=$((failed + 1))
done
echo "$((count - failed)) of $count sabotages were caught"
[ "$failed" -eq 0 ]
