#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# soak.sh [MINUTES [PRESET]] - a server, clients of all kinds, and everything that happens to them:
# 30 minutes of a release unless said otherwise. Then every byte is compared, on it, on a server that
# begins with its snapshot, and after a restart. Ends with a report, a verdict on each line, and 0 where
# all of it is good.
# What happens depends on FARPAGE_SEED, which the report names.
set -eu

top=$(dirname "$(dirname "$(readlink -f "$0")")")
minutes=${1:-30}
preset=${2:-release}
case "$minutes" in
'' | *[!0-9.]*)
    echo "usage: tests/soak.sh [MINUTES [PRESET]]" >&2
    exit 2
    ;;
esac
(cd "$top" && cmake --preset "$preset" &&
    cmake --build --preset "$preset" --target farpaged farpage farpage_agent) \
    >"$top/build/soak.log" 2>&1 || { tail -n 20 "$top/build/soak.log" >&2; exit 1; }
exec /usr/bin/python3 -B "$top/tests/soak/soak.py" "$top/build/$preset/farpaged" \
    "$top/build/$preset/farpage" "$minutes"
