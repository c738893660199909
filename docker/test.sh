#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# test.sh [--keep] [--no-build] [SCENARIO...] - starts the whole thing in containers and breaks it.
#
# Two servers as they are shipped, clients of pages, items and blocks each on a private network, one
# that is killed, and one that cuts the server off (compose.test.yaml). Ends with a verdict for each
# scenario. Works with docker-compose 1.29 and with compose v2; where no dockerd runs it starts one,
# as root, and ends it again; where no registry can be reached base-image.sh makes the base image.
#
# Exit codes: 0 all good, 1 some not, 2 usage, 77 containers cannot be run here, and it says why.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
state=${FARPAGE_DOCKER_STATE:-$here/../build/docker}
keep=no build=yes
wanted=()
SCENARIOS="health store_and_verify compressor_swap compaction killed_with_maps dashboard partition
    memory_limit paged drain restart stop"

skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
die() {
    printf 'docker/test.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=yes ;;
    --no-build) build=no ;;
    -h | --help)
        sed -n '3,11s/^# \{0,1\}//p' "$0"
        echo "Scenarios:" $SCENARIOS
        exit 0
        ;;
    *)
        case " $(echo $SCENARIOS) " in
        *" $1 "*) wanted+=("$1") ;;
        *)
            printf 'docker/test.sh: no scenario is called %s; there are:' "$1" >&2
            printf ' %s' $SCENARIOS >&2
            echo >&2
            exit 2
            ;;
        esac
        ;;
    esac
    shift
done
# shellcheck disable=SC2206 # words are meant
[ ${#wanted[@]} -gt 0 ] || wanted=($SCENARIOS)

# --- a docker ------------------------------------------------------------------------------------

mkdir -p "$state" 2>/dev/null && [ -w "$state" ] || state=$(mktemp -d)
state=$(readlink -f "$state")
daemon=
composed=no

leave() {
    code=$?
    trap - EXIT
    if [ "$composed" = yes ] && [ "$keep" = no ]; then
        compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    fi
    if [ -n "$daemon" ] && [ "$keep" = no ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
        # What it leaves behind: a name of its network, its bridge, its rules.
        umount "$state"/exec/netns/* 2>/dev/null || true
        ip link delete docker0 2>/dev/null || true
        iptables-restore <"$state/iptables" 2>/dev/null || true
    elif [ -n "$daemon" ]; then
        echo "Its docker goes on: DOCKER_HOST=$DOCKER_HOST; end it with: kill $daemon"
    fi
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_docker() {
    command -v dockerd >/dev/null || skip "no docker answers, and dockerd is not installed (docker.io)"
    [ "$(id -u)" -eq 0 ] || skip "no docker answers, and only root can start one"
    command -v iptables >/dev/null || skip "dockerd needs iptables"
    export DOCKER_HOST=unix://$state/docker.sock
    # A socket's path is short; the state may lie deep.
    [ ${#DOCKER_HOST} -lt 100 ] || DOCKER_HOST=unix:///tmp/farpage-docker-$$.sock
    iptables-save >"$state/iptables" 2>/dev/null || true
    dockerd --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/docker.pid" \
        --host "$DOCKER_HOST" >"$state/dockerd.log" 2>&1 &
    daemon=$!
    for _ in $(seq 300); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.1
    done
    skip "dockerd cannot be run here: $(grep -o 'msg=.*' "$state/dockerd.log" | tail -n 1)"
}

command -v docker >/dev/null || skip "docker is not installed (docker.io)"
docker info >/dev/null 2>&1 || start_docker
if docker compose version >/dev/null 2>&1; then
    compose_command=(docker compose)
elif command -v docker-compose >/dev/null; then
    compose_command=(docker-compose)
else
    skip "there is neither docker compose nor docker-compose"
fi
compose() { "${compose_command[@]}" -p farpage-test -f "$here/compose.test.yaml" "$@"; }
echo "docker $(docker version --format '{{.Server.Version}}'), $("${compose_command[@]}" version --short)"

# --- images --------------------------------------------------------------------------------------

image() { # NAME ARGUMENT...
    printf 'Building %s ... ' "$1"
    begun=$(date +%s)
    docker build --network=host -t "$@" >"$state/$1.log" 2>&1 ||
        { echo failed; tail -n 30 "$state/$1.log"; die "all of it is in $state/$1.log"; }
    echo "done in $(($(date +%s) - begun)) s, $(docker image inspect --format '{{.Size}}' "$1" |
        awk '{ printf "%.1f MB", $1 / 1e6 }')"
}

base=debian:bookworm-slim
if [ "$build" = yes ]; then
    docker image inspect "$base" >/dev/null 2>&1 || docker pull -q "$base" >/dev/null 2>&1 ||
        "$here/base-image.sh" "$base"
    (cd "$here/.." && image farpage-test -f docker/Dockerfile --target test .)
    (cd "$here/.." && image farpage -f docker/Dockerfile .)
    image farpage-prometheus "$here/prometheus"
    base_bytes=$(docker image inspect --format '{{.Size}}' "$base")
    docker image inspect --format '{{.Size}}' farpage | awk -v base="$base_bytes" \
        '{ printf "The image: %.1f MB, of which Debian is %.1f MB.\n", $1 / 1e6, base / 1e6 }'
fi

# --- steps ---------------------------------------------------------------------------------------

# A client's work, in its container.
work() { # SERVICE WORK...
    local service=$1
    shift
    compose exec -T "$service" /usr/bin/python3 -B /docker/test/clients.py "$@"
}
in_server() { compose exec -T server "$@"; }
stage() { compose exec -T -u 0:0 pages "$@"; }
id_of() { compose ps -q "$1"; }
state_of() { docker inspect --format "$2" "$(id_of "$1")"; }

until_true() { # SECONDS COMMAND...
    local end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || { echo "NOT GOOD: not in time: $*"; return 1; }
        sleep 0.1
    done
}
is_healthy() { [ "$(state_of "$1" '{{.State.Health.Status}}')" = healthy ]; }
is_staged() { stage test -e "/stage/$1"; }
# Until a client in the background has come to something; not longer than it lives.
came_to() { # JOB NAME
    until is_staged "$2"; do
        kill -0 "$1" 2>/dev/null || is_staged "$2" || return 1
        sleep 0.1
    done
}
answers() { compose exec -T "$1" farpage ping >/dev/null 2>&1; }

# Pages, items and blocks at once while a command runs; every one must end well. $load: what each said.
under_load() { # COMMAND...
    local jobs=() job
    stage sh -c 'rm -f /stage/*'
    for job in "pages pages one over" "pages pages two over" "items items over" "blocks blocks over"; do
        work $job >"$state/load-${#jobs[@]}" 2>&1 &
        jobs+=($!)
    done
    local code=0 at=0
    for job in pages-one pages-two items blocks; do
        came_to "${jobs[$at]}" "$job" || { tail -n 1 "$state/load-$at"; return 1; }
        at=$((at + 1))
    done
    "$@" || code=1
    stage touch /stage/over
    load=
    for job in "${!jobs[@]}"; do
        wait "${jobs[$job]}" || { code=1; tail -n 1 "$state/load-$job"; }
        load="$load${load:+, }$(tail -n 1 "$state/load-$job")"
    done
    return $code
}

# --- scenarios: the last line that one prints is its verdict's --------------------------------------

health() {
    until_true 90 is_healthy server
    until_true 90 is_healthy second
    local user
    user=$(state_of server '{{.Config.User}}')
    [ "$user" = 11211:11211 ] || { echo "NOT GOOD: it runs as $user"; return 1; }
    echo "both are healthy, as $user, with a file system that is read only; $(in_server farpage health)"
}

store_and_verify() {
    under_load sleep 5
    echo "$load"
}

compressor_swap() {
    said=$(under_load work pages swaps && echo "$load") || { echo "$said"; return 1; }
    echo "$said" | tr '\n' ';'
    echo
}

compaction() {
    said=$(under_load work pages holes holes && echo "$load") || { echo "$said"; return 1; }
    echo "$said" | tr '\n' ';'
    echo
}

killed_with_maps() {
    work mapper hold >/dev/null 2>&1 &
    local job=$!
    came_to "$job" held
    in_server farpage stats zpool | grep -q 'pinned  *20' || { echo "NOT GOOD: nothing is pinned"; return 1; }
    docker kill -s KILL "$(id_of mapper)" >/dev/null
    wait "$job" || true
    work pages let_go
}

dashboard() {
    said=$(under_load work watcher dashboard) || { echo "$said"; return 1; }
    echo "$said" | tail -n 1
}

chaos() { compose exec -T chaos "$@"; }

partition() {
    stage sh -c 'rm -f /stage/*'
    compose up -d --no-deps --force-recreate chaos # into the network that the server is in now
    work pages partition >"$state/partition" 2>&1 &
    local job=$!
    came_to "$job" stored || { cat "$state/partition"; return 1; }
    chaos sh -ec 'iptables -I INPUT -p tcp --dport 11211 -j DROP
        iptables -I OUTPUT -p tcp --sport 11211 -j DROP'
    stage touch /stage/cut
    came_to "$job" told || { cat "$state/partition"; return 1; }
    chaos sh -ec 'iptables -D INPUT -p tcp --dport 11211 -j DROP
        iptables -D OUTPUT -p tcp --sport 11211 -j DROP'
    stage touch /stage/healed
    local code=0
    wait "$job" || code=1
    tail -n 1 "$state/partition"
    return $code
}

memory_limit() {
    local said
    said=$(work pages full) || { echo "$said"; return 1; }
    [ "$(state_of server '{{.State.OOMKilled}} {{.RestartCount}}')" = "false 0" ] ||
        { echo "NOT GOOD: the kernel killed it"; return 1; }
    echo "$said"
}

# A program of the image as it is shipped, most of whose memory is on the server; and the same alone.
paged() {
    local said alone stats="$state/paged.stats"
    local program='my @a = map { sprintf("%08d is a line of text; ", $_) x 6 } 1 .. 300000;
        my $s = 0;
        for my $n (0 .. $#a) { $s = ($s * 31 + ord(substr($a[-$n], $n % 8, 1))) % 1000000007 }
        print "$s\n"'
    [ -c /dev/userfaultfd ] || { echo "this kernel has no /dev/userfaultfd"; return 77; }
    alone=$(docker run --rm --entrypoint /usr/bin/perl farpage -e "$program")
    said=$(docker run --rm --network farpage-test_pages --user 0:0 --cap-drop ALL \
        --device /dev/userfaultfd --entrypoint /usr/bin/farpage farpage --server server:11211 \
        run --local 16MiB --stats -- perl -e "$program" 2>"$stats") || { cat "$stats"; return 1; }
    [ "$said" = "$alone" ] || { echo "NOT GOOD: it says '$said', not '$alone'"; return 1; }
    echo "the same answer with $(sed -n 's/^farpage: \(at most .*\)/\1/p' "$stats" | head -n 1)"
}

drain() { work pages drain; }

restart() {
    stage sh -c 'rm -f /stage/*'
    work pages lost >"$state/restart" 2>&1 &
    local job=$!
    came_to "$job" stored || { cat "$state/restart"; return 1; }
    docker restart --time 20 "$(id_of server)" >/dev/null
    until_true 60 answers server
    stage touch /stage/restarted
    local code=0
    wait "$job" || code=1
    tail -n 1 "$state/restart"
    return $code
}

stop() {
    local begun code id
    id=$(id_of second)
    begun=$(date +%s%N)
    docker stop --time 20 "$id" >/dev/null
    code=$(docker inspect --format '{{.State.ExitCode}}' "$id")
    local took=$((($(date +%s%N) - begun) / 1000000))
    [ "$code" = 0 ] || { echo "NOT GOOD: exit $code"; return 1; }
    [ "$took" -lt 5000 ] || { echo "NOT GOOD: after $took ms"; return 1; }
    echo "SIGTERM ends process 1 in $took ms, exit 0"
}

# --- run -----------------------------------------------------------------------------------------

composed=yes
compose up -d --force-recreate >"$state/up.log" 2>&1 || { tail "$state/up.log"; die "compose up"; }
stage chmod 1777 /stage
until_true 60 answers server
until_true 60 answers second
passed=0 failed=0 skipped=0
for scenario in "${wanted[@]}"; do
    begun=$(date +%s)
    verdict='ok    '
    set +e # after && or || it would have no effect within the scenario either
    ( set -e; "$scenario" ) >"$state/$scenario.log" 2>&1 </dev/null
    code=$?
    set -e
    case $code in
    0) passed=$((passed + 1)) ;;
    77) verdict='skip  ' skipped=$((skipped + 1)) ;;
    *) verdict='FAILED' failed=$((failed + 1)) ;;
    esac
    printf '%s %-17s %3d s  %s\n' "$verdict" "$scenario" $(($(date +%s) - begun)) \
        "$(tail -n 1 "$state/$scenario.log")"
    [ "$verdict" != FAILED ] || printf '       see %s\n' "$state/$scenario.log"
done
echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
[ "$failed" -eq 0 ]
