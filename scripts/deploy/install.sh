#!/usr/bin/env bash
# Installs what the tests of deploy/ use, unless it is there: buildah, systemd-analyze, lintian and man from the system's packages, helm by
# go install.
set -eu
missing=()
command -v buildah >/dev/null || missing+=(buildah crun)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v lintian >/dev/null || missing+=(lintian)
command -v man >/dev/null || missing+=(man-db)
command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq "${missing[@]}" || { apt-get update -qq && apt-get install -y -qq "${missing[@]}"; }
fi
command -v helm >/dev/null || [ -x "$(go env GOPATH)/bin/helm" ] || go install helm.sh/helm/v3/cmd/helm@v3.21.4
