#!/usr/bin/env bash
# Installs the clients that the end-to-end tests use, unless they are there: mosquitto with its clients and library, a C
# compiler and Python's paho from the system's packages, MQTT.js in the user's cache directory, outside the project. With
# --browser also Chromium, and what the test of the dashboard needs to drive it and to look at its accessibility.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/barid-e2e
mkdir -p "$cache"

system_packages() {
  local as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  if ! command -v apt-get >/dev/null; then
    echo "install by hand: $*" >&2
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get install -y -qq "$@" || { $as_root apt-get update -qq && $as_root apt-get install -y -qq "$@"; }
}

# The python3 that the system's packages serve may be another one than the first in PATH.
paho_version() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -c 'import paho.mqtt; print(paho.mqtt.__version__)' 2>/dev/null && return
  done
  return 1
}

missing=()
command -v mosquitto_rr >/dev/null || missing+=(mosquitto-clients)
command -v mosquitto_passwd >/dev/null || missing+=(mosquitto)
command -v promtool >/dev/null && command -v prometheus >/dev/null || missing+=(prometheus)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
[ -e /usr/include/mosquitto.h ] || missing+=(libmosquitto-dev)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
paho_version >/dev/null || missing+=(python3-paho-mqtt)
browser=false
[ "${1:-}" != --browser ] || browser=true
! $browser || command -v chromium >/dev/null || missing+=(chromium)
[ ${#missing[@]} -eq 0 ] || system_packages "${missing[@]}"

if [ ! -e "$cache/node_modules/mqtt/package.json" ]; then
  npm install --silent --no-audit --no-fund --prefix "$cache" mqtt@5.16.0
fi
if $browser && [ ! -e "$cache/node_modules/axe-core/package.json" ]; then
  npm install --silent --no-audit --no-fund --prefix "$cache" axe-core@4.14.1 ws@8.23.0
fi
echo "Python paho $(paho_version)"
node -e 'console.log("MQTT.js", require(process.argv[1]).version)' "$cache/node_modules/mqtt/package.json"
