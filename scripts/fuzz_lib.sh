# shellcheck shell=bash
# What scripts/test.sh and scripts/fuzz.sh share. It is sourced.

# fuzz_targets prints the package and the name of every fuzz target.
fuzz_targets() {
  local package target
  for package in $(go list ./...); do
    for target in $(go test -list '^Fuzz' "$package" 2>/dev/null | grep '^Fuzz'); do
      echo "$package $target"
    done
  done
}

# fuzz PACKAGE TARGET SECONDS fails if an input was found that does. Go's fuzzer now and then ends its time with the error
# "context deadline exceeded" and no such input, which says nothing about the code.
fuzz() {
  local out
  out=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "$3s" -timeout 0 "$1" 2>&1) && return
  echo "$out"
  grep -q '^ *context deadline exceeded$' <<<"$out" && ! grep -q 'Failing input' <<<"$out"
}
