#!/usr/bin/env bash
# Checks and tests everything: format, vet, staticcheck, unit tests with the race detector, and real clients against the
# built program.
#
#   scripts/test.sh          what to run before a commit
#   scripts/test.sh --all    also uses the dashboard in a browser and what is in deploy/, tests for 32 bits, and fuzzes every target
#   scripts/test.sh --no-e2e without the real clients, which it installs otherwise
#
# It needs Go and the network for modules, tools and clients. It goes on after a failure, ends with one line of numbers,
# and fails if anything failed. FUZZ_SECONDS sets the time for each fuzz target, 5 by default.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
. scripts/fuzz_lib.sh
# The profile makes the program that people run faster, and would have every test program built once more.
export GOFLAGS="${GOFLAGS:-} -pgo=off"

all=false e2e=true
for arg in "$@"; do
  case $arg in
    --all) all=true ;;
    --no-e2e) e2e=false ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# step NAME COMMAND… runs a check and shows what it printed only if it fails.
step() {
  local name=$1 start=$SECONDS
  shift
  if "$@" </dev/null >"$work/log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok    %-24s %4ds\n' "$name" $((SECONDS - start))
  else
    failed=$((failed + 1))
    printf 'FAIL  %-24s %4ds\n' "$name" $((SECONDS - start))
    sed 's/^/      /' "$work/log"
  fi
}

# tests NAME COMMAND… runs go test -v, counts each test, and shows those that failed.
tests() {
  local name=$1 start=$SECONDS good bad status
  shift
  "$@" >"$work/log" 2>&1
  status=$?
  good=$(grep -c '^--- PASS' "$work/log")
  bad=$(grep -c '^--- FAIL' "$work/log")
  if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then
    bad=1 # it did not build, or panicked
  fi
  passed=$((passed + good)) failed=$((failed + bad))
  if [ "$bad" -eq 0 ]; then
    printf 'ok    %-24s %4ds  %d tests\n' "$name" $((SECONDS - start)) "$good"
  else
    printf 'FAIL  %-24s %4ds  %d of %d tests\n' "$name" $((SECONDS - start)) "$bad" $((good + bad))
    grep -v -E '^(=== |--- PASS|PASS$|ok  |\? |[[:space:]]+--- PASS)' "$work/log" | sed 's/^/      /'
  fi
}

formatted() {
  local files
  files=$(git ls-files -z '*.go' | xargs -0 gofmt -l 2>&1)
  [ -z "$files" ] || { echo "run gofmt -w on:"; echo "$files"; return 1; }
}

# vulnerabilities looks for known ones in what the program calls, where the database can be reached.
vulnerabilities() {
  if curl -fsS -m 10 -o "$work/vulndb" https://vuln.go.dev/index/db.json 2>"$work/why"; then
    step govulncheck go run "$govulncheck" ./...
  else
    printf 'skip  %-24s its database cannot be reached: %s\n' govulncheck "$(head -c 120 "$work/why" | tr '\n' ' ')"
  fi
}

# modules checks the dashboard's modules: their syntax, and what can be tested without a browser.
modules() {
  local file
  for file in $(git ls-files 'api/dashboard/*.js' 'scripts/e2e/dashboard/*.mjs'); do
    node --check "$file" || return 1
  done
  node --test api/dashboard/test
}

step gofmt formatted
step "go mod tidy" go mod tidy -diff
step "go vet" go vet -tags e2e,browser ./...
step staticcheck go run "$staticcheck" -tags e2e,browser ./...
vulnerabilities
step "go build" go build -o "$work/barid" .
step "go build, 32 bits" env GOARCH=arm GOARM=7 go build ./...
step "go build, macOS" env GOOS=darwin GOARCH=arm64 go build ./...
tests "go test -race" go test -race -timeout 10m -v ./...
tests "frames" go test -tags framecheck -count 1 -timeout 5m -v ./internal/message ./internal/session ./internal/conn ./internal/broker ./internal/conformance

if $e2e; then
  step "install clients" bash scripts/e2e/install.sh
  step "dashboard modules" modules
  tests "real clients" go test -tags e2e -count 1 -timeout 5m -v ./scripts/e2e
  tests "crashes" go test -tags e2e -count 1 -timeout 10m -v ./scripts/crash
  tests "siege" go test -tags e2e -count 1 -timeout 10m -v ./scripts/hostile
fi

if $all && $e2e; then
  step "install a browser" bash scripts/e2e/install.sh --browser
  tests "dashboard" go test -tags e2e,browser -count 1 -timeout 8m -v -run TestDashboard ./scripts/e2e
fi

if $all; then
  # armv7 is a platform of the release; its word size can be tested where the processor runs 386 programs. What keeps data
  # on disk refuses to there, so most tests of these packages have nothing to run on.
  if [ "$(go env GOARCH)" = amd64 ]; then
    mapfile -t small < <(go list ./... | grep -v -E '/(broker|cli|admin|prom|storage/badger|load_test/internal/command)$')
    tests "go test, 32 bits" env GOARCH=386 go test -timeout 5m -v "${small[@]}"
    tests "word size" env GOARCH=386 go test -count 1 -v -run TestOnlyABuildFor64BitsKeepsData ./internal/storage/badger
  fi
  step "install deploy tools" bash scripts/deploy/install.sh
  tests "deploy" go test -tags e2e -count 1 -timeout 20m -v ./scripts/deploy
  while read -r package target; do
    step "${package##*/} $target" fuzz "$package" "$target" "${FUZZ_SECONDS:-5}"
  done < <(fuzz_targets)
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
