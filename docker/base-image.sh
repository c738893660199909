#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# base-image.sh [NAME] - makes the base image (debian:bookworm-slim unless named) with debootstrap,
# from the Debian mirror that this machine installs from, for where no registry can be reached.
# Needs root, debootstrap, and a docker that answers.
set -eu

name=${1:-debian:bookworm-slim}
suite=bookworm
die() {
    printf 'base-image.sh: %s\n' "$*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || die "debootstrap needs root"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
docker info >/dev/null 2>&1 || die "docker does not answer (DOCKER_HOST names its socket)"

# "URI SUITE" of each of Debian's main archives that apt knows here.
archives=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN) $(IDENTIFIER)' |
    awk '$3 == "main" && $4 == "Debian" && $5 == "Packages" { print $1, $2 }' | sort -u)
mirror=$(printf '%s\n' "$archives" | awk -v suite="$suite" '$2 == suite { print $1; exit }')
[ -n "$mirror" ] || die "apt knows no archive of Debian's $suite here; run apt-get update once"

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$root.log" ||
    { tail -n 5 "$root.log" >&2; die "debootstrap failed; all it said is in $root.log"; }
rm -f "$root.log"
printf '%s\n' "$archives" | sed 's/^/deb /; s/$/ main/' >"$root/etc/apt/sources.list"
# As the slim images: no manuals, no translations, nothing that apt can fetch again.
printf 'path-exclude /usr/share/%s/*\n' doc man info locale lintian \
    >"$root/etc/dpkg/dpkg.cfg.d/docker"
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* \
    "$root"/usr/share/locale/* "$root"/usr/share/lintian/* "$root"/var/cache/apt/*.bin \
    "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/etc/resolv.conf
tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$name" >/dev/null
printf 'base-image.sh: %s, %s\n' "$name" "$(docker image inspect --format '{{.Size}}' "$name" |
    awk '{ printf "%.0f MB", $1 / 1e6 }')"
