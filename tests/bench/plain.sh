# SPDX-License-Identifier: BSD-3-Clause
# Sourced by the run scripts: the files of pages among their arguments, compressed ones unpacked into
# $scratch, take the place of the arguments, one after the other. Needs `die`.
# shellcheck shell=sh
left=$#
while [ "$left" -gt 0 ]; do
    file=$1
    shift
    left=$((left - 1))
    [ -r "$file" ] || die "$file cannot be read"
    case $file in
    *.zst)
        command -v zstd >/dev/null || die "$file needs zstd: apt install zstd"
        plain=$scratch/$left-$(basename "$file" .zst)
        zstd -qdf "$file" -o "$plain"
        set -- "$@" "$plain" ;;
    *) set -- "$@" "$file" ;;
    esac
done
