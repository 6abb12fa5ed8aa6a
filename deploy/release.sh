#!/usr/bin/env bash
# Builds what a release consists of: archives for Linux and macOS, Debian packages, the Helm chart if helm is installed,
# and their checksums. The same commit gives the same bytes.
#
#   deploy/release.sh [OUT_DIR]              ./dist if none is given
#   PLATFORMS="linux/amd64" deploy/release.sh
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-dist}")
platforms=${PLATFORMS:-linux/amd64 linux/arm64 linux/armv7 darwin/amd64 darwin/arm64}
version=$(git describe --tags --match 'v[0-9]*' --always)
version=${version#v}
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/}
  name=barid-$version-$os-$arch
  goarch=$arch goarm=
  [ "$arch" != armv7 ] || { goarch=arm goarm=7; }
  mkdir "$work/$name"
  CGO_ENABLED=0 GOOS=$os GOARCH=$goarch GOARM=$goarm go build -trimpath -ldflags '-s -w' -o "$work/$name/barid" .
  cp LICENSE README.md CHANGELOG.md config.yaml "$work/$name/"
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
  # On 32 bits nothing can be kept on disk, which a service is for.
  if [ "$os" = linux ] && [ "$arch" != armv7 ] && command -v dpkg-deb >/dev/null; then
    case $version in [0-9]*.*) debversion=$(sed 's/-\([0-9]*\)-g/+\1.g/' <<<"$version") ;; *) debversion= ;; esac
    ARCH=$arch VERSION=$debversion BINARY=$work/$name/barid deploy/debian/build.sh "$out"
  fi
  echo "built $name"
done
if command -v helm >/dev/null; then
  helm package deploy/helm/barid --destination "$out"
fi
(cd "$out" && rm -f SHA256SUMS && sha256sum -- * >SHA256SUMS)
echo "in $out:"
ls -l "$out"
