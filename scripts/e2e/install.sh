#!/usr/bin/env bash
# Installs the clients that the end-to-end tests use, unless they are there: mosquitto's from the system's packages, and
# MQTT.js and Python's paho in the user's cache directory, outside the project.
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

missing=()
command -v mosquitto_rr >/dev/null || missing+=(mosquitto-clients)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v python3 >/dev/null || missing+=(python3)
[ ${#missing[@]} -eq 0 ] || system_packages "${missing[@]}"

if [ ! -e "$cache/node_modules/mqtt/package.json" ]; then
  npm install --silent --no-audit --no-fund --prefix "$cache" mqtt@5.16.0
fi
if ! PYTHONPATH=$cache/python python3 -c 'import paho.mqtt.client' 2>/dev/null; then
  python3 -m pip install --quiet --target "$cache/python" paho-mqtt==1.6.1 || system_packages python3-paho-mqtt
fi
PYTHONPATH=$cache/python python3 -c 'import paho.mqtt; print("Python paho", paho.mqtt.__version__)'
node -e 'console.log("MQTT.js", require(process.argv[1]).version)' "$cache/node_modules/mqtt/package.json"
