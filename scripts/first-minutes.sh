#!/usr/bin/env bash
# What a person meets who has Go and nothing else: a clone, the first build, a message, the dashboard, users, TLS, a consumer over
# curl. Prints the seconds of each step, and ends at the first that fails.
#
#   scripts/first-minutes.sh             # downloads the modules anew, from GOPROXY
#   KEEP_MODULES=1 scripts/first-minutes.sh    # builds anew, with the modules that are here
#   KEEP_CACHE=1 scripts/first-minutes.sh      # and with what was built before: for the tests
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
broker=
end() {
  status=$?
  [ -z "$broker" ] || kill "$broker" 2>/dev/null || true
  [ -z "$broker" ] || wait "$broker" 2>/dev/null || true
  [ ! -d "$work/modules" ] || chmod -R u+w "$work/modules" # Go makes them read-only
  rm -rf "$work"
  exit $status
}
trap end EXIT
if [ -z "${KEEP_CACHE:-}" ]; then export GOCACHE=$work/cache; else KEEP_MODULES=1; fi
[ -n "${KEEP_MODULES:-}" ] || export GOMODCACHE=$work/modules

total=0
step() {
  local name=$1 begun took
  shift
  begun=$(date +%s%N)
  "$@" >"$work/said" 2>&1 || { echo "$name: failed"; cat "$work/said" "$work/log" 2>/dev/null; exit 1; }
  took=$((($(date +%s%N) - begun) / 1000000))
  total=$((total + took))
  printf '%-34s %3d.%03d s\n' "$name" $((took / 1000)) $((took % 1000))
}

# start runs the broker until it says that it is ready, with ports that nobody else has.
start() {
  ./barid "$@" --set listeners.tcp.bind=127.0.0.1:0 --set api.bind=127.0.0.1:0 >"$work/log" 2>&1 &
  broker=$!
  until api_of_socket http://localhost/readyz >/dev/null 2>&1; do
    kill -0 "$broker" 2>/dev/null || return 1
    sleep 0.05
  done
}
stop() { kill "$broker" && wait "$broker"; broker=; }
api_of_socket() { curl -sS --fail --unix-socket data/barid.sock "$@"; }
port_of() { # of a listener, by what the API says
  api_of_socket http://localhost/api/v5/listeners | sed "s/{/\n{/g" | sed -n "s/.*\"id\":\"$1\".*\"bind\":\"[^\"]*:\([0-9]*\)\".*/\1/p" | head -1
}
message() { ./barid pub -p "$(port_of tcp:tcp)" -t hello/world -m first -r -q 1 && ./barid sub -p "$(port_of tcp:tcp)" -t 'hello/#' -C 1 | grep -q first; }
dashboard() {
  local at
  at=$(sed -n 's|.*\(http://127.0.0.1:[0-9]*\).*|\1|p' "$work/log" | head -1) &&
    curl -sS --fail "$at/" | grep -qi '<!doctype html' &&
    curl -sS --fail "$at/api/v5/login" -d "{\"username\":\"admin\",\"password\":\"$(cat data/admin-password)\"}" | grep -q '"token"'
}
as_alice() { ./barid pub -u alice -q 1 -m x "$@"; }
users() {
  stop && ./barid passwd -c -b users alice wonderland &&
    start --set listeners.ws= --set auth.password_file=users &&
    as_alice -p "$(port_of tcp:tcp)" -P wonderland -t a &&
    ! as_alice -p "$(port_of tcp:tcp)" -P wrong -t a
}
tls() {
  stop && ./barid certs certs &&
    start --set listeners.ws= --set auth.password_file=users --set listeners.tls.bind=127.0.0.1:0 \
      --set listeners.tls.cert_file=certs/server.crt --set listeners.tls.key_file=certs/server.key &&
    as_alice --cafile certs/ca.crt -h localhost -p "$(port_of tls:tls)" -P wonderland -t a
}
consumer() {
  local id at=http://localhost/api/v5/consumers/billing
  api_of_socket -X PUT $at -d '{"filters":["meters/#"]}' && as_alice -p "$(port_of tcp:tcp)" -P wonderland -t meters/1 &&
    id=$(api_of_socket "$at/messages?max=1&wait_seconds=5" | sed 's/.*"id":"\([^"]*\)".*/\1/') &&
    api_of_socket $at/ack -d "{\"ids\":[\"$id\"]}" && [ "$(api_of_socket "$at/messages?max=1&wait_seconds=0" | grep -c '"id"')" = 0 ]
}

step "clone" git clone -q "$top" "$work/barid"
cd "$work/barid"
if [ -z "${KEEP_MODULES:-}" ]; then step "modules" go mod download; fi
step "build" go build -o barid .
step "start" start --set listeners.ws=
step "a message" message
step "the dashboard" dashboard
step "a user (with a restart)" users
step "TLS (with a restart)" tls
step "a consumer over curl" consumer
printf '%-34s %3d.%03d s\n' "all" $((total / 1000)) $((total % 1000))
