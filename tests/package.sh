#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# package.sh [ROOT] - builds the Debian packages, has lintian look at them, and installs, upgrades,
# removes and purges them in a throw-away Debian: a copy of ROOT, or one that debootstrap makes.
# Where systemd can be started in it (systemd-nspawn) the service is started there too.
#
# Exit codes: 0 good, 1 not, 2 usage, 77 something is missing here, and that is said. Needs root.
set -eu

top=$(dirname "$(dirname "$(readlink -f "$0")")")
made=$top/build/package
skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
bad() {
    printf 'NOT GOOD: %s\n' "$*" >&2
    exit 1
}
say() { printf '%-34s %s\n' "$1" "$2"; }

[ $# -le 1 ] || { echo "usage: tests/package.sh [ROOT]" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || skip "needs root"
for tool in cmake cpack lintian debootstrap dpkg-deb; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done

work=$(mktemp -d)
root=$work/root
leave() {
    code=$?
    trap - EXIT
    umount "$root/proc" 2>/dev/null || true
    rm -rf --one-file-system "$work"
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM

# --- built, and looked at ------------------------------------------------------------------------

(cd "$top" && rm -f build/package/*.deb && cmake --preset package && cmake --build --preset package &&
    cpack --preset package) >"$work/build.log" 2>&1 || { tail "$work/build.log"; bad "not built"; }
for package in "$made"/*.deb; do say "${package##*/}" "$(stat -c %s "$package") bytes"; done
# Not a hint, but an error, ends here.
lintian --allow-root --fail-on error "$made"/*.deb >"$work/lintian" || { cat "$work/lintian"; bad lintian; }
cat "$work/lintian"
say "lintian" "$(grep -c ^E: "$work/lintian" || true) errors, $(grep -c ^W: "$work/lintian" || true) warnings"

# --- in a Debian of its own ----------------------------------------------------------------------

if [ $# -eq 1 ]; then
    cp -a "$1" "$root"
else
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)' |
        awk '$2 == "bookworm" && $3 == "main" && $4 == "Debian" { print $1; exit }')
    [ -n "$mirror" ] || skip "apt knows no archive of Debian 12 here"
    debootstrap --variant=minbase --include=systemd-sysv,gcc,libc6-dev,pkg-config bookworm "$root" \
        "$mirror" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; bad "no Debian"; }
fi
mount -t proc proc "$root/proc"
mkdir "$root/packages"
cp "$made"/*.deb "$root/packages"
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside() { chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive "$@"; }
inside sh -c 'apt-get update -q; apt-get install -qy --no-install-recommends /packages/*.deb' \
    >"$work/install.log" 2>&1 || { tail -n 20 "$work/install.log"; bad "not installed"; }
say "installed, with" "$(inside farpaged --version)"
inside getent passwd farpage >/dev/null || bad "there is no user farpage"
[ "$(inside stat -c '%U %a' /run/farpage)" = "farpage 750" ] || bad "/run/farpage is another's"
[ -L "$root/etc/systemd/system/multi-user.target.wants/farpaged.service" ] || bad "not enabled"
[ ! -e "$root/etc/systemd/system/sockets.target.wants/farpaged.socket" ] || bad "the socket is enabled"
inside farpaged --config /etc/farpage/farpaged.yaml --check >/dev/null || bad "its file has errors"
for page in man1/farpage.1 man8/farpaged.8 man5/farpaged.yaml.5 man7/farpage-protocol.7 \
    man3/libfarpage.3; do
    [ -e "$root/usr/share/man/$page.gz" ] || bad "no manual $page"
done
inside sh -ec 'cc -o /tmp/blocking /usr/share/doc/libfarpage-dev/examples/blocking.c \
    $(pkg-config --cflags --libs farpage)
    farpaged --config /etc/farpage/farpaged.yaml 2>/tmp/log & server=$!
    until farpage ping >/dev/null 2>&1; do kill -0 $server; sleep 0.1; done
    /tmp/blocking 127.0.0.1:11211; kill $server; wait $server' >"$work/example.log" 2>&1 ||
    { cat "$work/example.log"; bad "an example does not build or run"; }
say "an example, built and run" "$(tail -n 1 "$work/example.log")"

# --- served by systemd ---------------------------------------------------------------------------

served() {
    cat >"$root/usr/local/sbin/look" <<'TEXT'
#!/bin/sh
exec >/look.log 2>&1
set -ex
systemctl is-active farpaged.service
systemctl show -p StatusText -p NRestarts farpaged.service
farpage ping
farpage areas create a --size 64MiB
head -c 4194304 /dev/urandom >/tmp/f && farpage store a /tmp/f && farpage verify a /tmp/f
sed -i 's/level: info/level: debug/' /etc/farpage/farpaged.yaml
systemctl reload farpaged.service
journalctl --no-pager -u farpaged | grep -q 'configuration reloaded'
dpkg -i /packages/farpage_*.deb && farpage verify a /tmp/f
echo 'serevr: {}' >>/etc/farpage/farpaged.yaml
! systemctl restart farpaged.service
sleep 5
systemctl show -p ActiveState -p NRestarts -p ExecMainStatus farpaged.service
[ "$(systemctl show -p NRestarts --value farpaged.service)" = 0 ]
sed -i '/serevr/d' /etc/farpage/farpaged.yaml
systemctl start farpaged.service
systemctl kill -s STOP --kill-who=main farpaged.service
sleep 40
[ "$(systemctl show -p NRestarts --value farpaged.service)" = 1 ] && farpage ping
apt-get purge -y farpage
! systemctl is-active farpaged.service
echo GOOD
TEXT
    chmod 755 "$root/usr/local/sbin/look"
    cat >"$root/etc/systemd/system/look.service" <<'TEXT'
[Unit]
After=farpaged.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/look
ExecStopPost=/bin/systemctl --no-block poweroff
TEXT
    ln -s ../look.service "$root/etc/systemd/system/multi-user.target.wants/look.service"
    timeout 240 systemd-nspawn --quiet --register=no --keep-unit --as-pid2 --directory "$root" true \
        >"$work/nspawn.log" 2>&1 || return 77
    timeout 240 systemd-nspawn --quiet --register=no --keep-unit --boot --directory "$root" \
        </dev/null >"$work/nspawn.log" 2>&1 || return 77
    [ -e "$root/look.log" ] || return 77
    grep -q '^GOOD' "$root/look.log"
}
cp -a "$root/etc/farpage" "$work/etc"
if command -v systemd-nspawn >/dev/null; then
    umount "$root/proc"
    code=0
    served || code=$?
    mount -t proc proc "$root/proc"
    case $code in
    0) say "systemd started it" "$(sed -n 's/^StatusText=//p' "$root/look.log" | head -n 1)" ;;
    77) say "systemd started it" "not tried: $(tail -n 1 "$work/nspawn.log")" ;;
    *) cat "$root/look.log"; bad "not as a service" ;;
    esac
fi

# --- removed, and gone ---------------------------------------------------------------------------

inside sh -c 'apt-get install -qy --no-install-recommends /packages/farpage_*.deb &&
    apt-get remove -qy farpage libfarpage0 libfarpage-dev' >"$work/remove.log" 2>&1 ||
    { tail "$work/remove.log"; bad "not removed"; }
[ -e "$root/etc/farpage/farpaged.yaml" ] || bad "its configuration went with it"
[ ! -e "$root/usr/sbin/farpaged" ] || bad "it is still there"
inside sh -c 'touch /var/lib/farpage/x 2>/dev/null; apt-get purge -qy farpage' >"$work/remove.log" 2>&1 ||
    { tail "$work/remove.log"; bad "not purged"; }
left=$(find "$root/etc" "$root/usr" "$root/var/lib/farpage" "$root/run" -name '*farpage*' 2>/dev/null || true)
[ -z "$left" ] || bad "left behind: $left"
say "removed and purged" "nothing is left"
echo "good"
