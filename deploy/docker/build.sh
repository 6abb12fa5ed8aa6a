#!/usr/bin/env bash
# Builds the image with docker, podman or buildah, whichever is there, without fetching anything but Go modules.
#
#   deploy/docker/build.sh [NAME]            barid:dev if no name is given
#   PLATFORM=linux/arm64 deploy/docker/build.sh NAME
#   BUILDER=buildah deploy/docker/build.sh   rather than the first that is found
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${1:-barid:dev} platform=${PLATFORM:-linux/$(go env GOARCH)}

builder=${BUILDER:-}
for tool in docker podman buildah; do
  [ -n "$builder" ] || ! command -v $tool >/dev/null || builder=$tool
done
[ -n "$builder" ] || { echo "docker, podman or buildah is needed to build an image" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/rootfs
mkdir -p "$root"/usr/bin "$root"/etc/barid "$root"/etc/ssl/certs "$root"/var/lib
install -d -m 0750 "$work/data"
IFS=/ read -r os arch variant <<<"$platform"
CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOARM=${variant#v} go build -trimpath -ldflags '-s -w' -o "$root/usr/bin/barid" .
install -m 0644 deploy/docker/barid.yaml "$root/etc/barid/barid.yaml"
printf 'root:x:0:0:root:/:/none\nbarid:x:65532:65532:barid:/var/lib/barid:/none\n' >"$root/etc/passwd"
printf 'root:x:0:\nbarid:x:65532:\n' >"$root/etc/group"
# Authorities of servers that are asked for keys and permissions (auth.http, auth.jwt.jwks_url).
for ca in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ ! -e "$root/etc/ssl/certs/ca-certificates.crt" ] && [ -r $ca ] && install -m 0644 $ca "$root/etc/ssl/certs/ca-certificates.crt"
done
cp deploy/docker/Dockerfile "$work/Dockerfile"

case $builder in
  buildah) buildah build --format docker --platform "$platform" -t "$name" "$work" ;; # HEALTHCHECK is not in OCI's format
  podman) podman build --format docker --platform "$platform" -t "$name" "$work" ;;
  *) "$builder" build --platform "$platform" -t "$name" "$work" ;;
esac
echo "built $name for $platform with $builder"
