#!/usr/bin/env bash
# Builds a Debian package with dpkg-deb, of this checkout or of a program that was built already.
#
#   deploy/debian/build.sh [OUT_DIR]         in the current directory if none is given
#   ARCH=arm64 VERSION=1.2.3 BINARY=path/to/barid deploy/debian/build.sh OUT_DIR
set -euo pipefail
out=$(realpath -m "${1:-.}")
cd "$(dirname "$0")/../.."
arch=${ARCH:-$(dpkg --print-architecture)} version=${VERSION:-}
if [ -z "$version" ]; then
  version=$(git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-\([0-9]*\)-g/+\1.g/') ||:
  [ -n "$version" ] || version=0.1.0~dev$(git log -1 --format=%cd --date=format:%Y%m%d%H%M%S 2>/dev/null || date +%Y%m%d)
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
binary=${BINARY:-$root/barid}
if [ -z "${BINARY:-}" ]; then
  case $arch in armhf) goarch=arm ;; *) goarch=$arch ;; esac
  CGO_ENABLED=0 GOOS=linux GOARCH=$goarch GOARM=7 go build -trimpath -ldflags '-s -w' -o "$binary" .
fi

pkg=$root/pkg
install -Dm 0755 "$binary" "$pkg/usr/bin/barid"
install -Dm 0644 deploy/systemd/barid.service "$pkg/lib/systemd/system/barid.service"
install -Dm 0644 deploy/debian/barid.yaml "$pkg/etc/barid/barid.yaml"
install -Dm 0644 config.yaml "$pkg/usr/share/doc/barid/examples/config.yaml"
install -Dm 0644 README.md "$pkg/usr/share/doc/barid/README.md"
man=$pkg/usr/share/man/man1/barid.1.gz
mkdir -p "$(dirname "$man")"
if "$binary" help man >"$root/barid.1" 2>/dev/null; then :; else go run . help man >"$root/barid.1"; fi # of another architecture
gzip -9n <"$root/barid.1" >"$man"
chmod 0644 "$man"
doc=$pkg/usr/share/doc/barid
{
  echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
  printf 'Upstream-Name: Barid\nSource: https://github.com/barid-mqtt/barid\n\nFiles: *\nCopyright: 2026 Barid maintainers\n'
  printf 'License: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n'
} >"$doc/copyright"
printf 'barid (%s) stable; urgency=medium\n\n  * See https://github.com/barid-mqtt/barid/blob/main/CHANGELOG.md\n\n -- Barid maintainers <maintainers@barid.invalid>  %s\n' \
  "$version" "$(git log -1 --format=%cD 2>/dev/null || date -R)" | gzip -9n >"$doc/changelog.gz"
chmod 0644 "$doc/copyright" "$doc/changelog.gz"

# Go's programs are whole by themselves, on purpose.
mkdir -p "$pkg/usr/share/lintian/overrides"
echo 'barid: statically-linked-binary [usr/bin/barid]' >"$pkg/usr/share/lintian/overrides/barid"
chmod 0644 "$pkg/usr/share/lintian/overrides/barid"

mkdir "$pkg/DEBIAN"
for script in postinst prerm postrm; do
  install -m 0755 "deploy/debian/$script" "$pkg/DEBIAN/$script"
done
echo /etc/barid/barid.yaml >"$pkg/DEBIAN/conffiles"
(cd "$pkg" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs md5sum) >"$pkg/DEBIAN/md5sums"
cat >"$pkg/DEBIAN/control" <<EOF
Package: barid
Version: $version
Architecture: $arch
Maintainer: Barid maintainers <maintainers@barid.invalid>
Installed-Size: $(du -ks --exclude=DEBIAN "$pkg" | cut -f1)
Depends: adduser
Recommends: ca-certificates
Section: net
Priority: optional
Homepage: https://github.com/barid-mqtt/barid
Description: MQTT broker that delivers what it acknowledges
 Barid is an MQTT broker in one program: MQTT 5.0, 3.1.1 and 3.1 over TCP, TLS
 and WebSocket, with durable sessions, an HTTP API, a dashboard and metrics.
EOF
chmod 0644 "$pkg"/DEBIAN/{conffiles,md5sums,control}
mkdir -p "$out"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
dpkg-deb --root-owner-group -Zxz --build "$pkg" "$out/barid_${version}_$arch.deb"
