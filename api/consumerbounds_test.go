package api

import (
	"fmt"
	"strings"
	"testing"
)

// The first value past each bound is refused, and the last within it is not.
func TestTheBoundsOfConsumersAreWhereTheyAreSaidToBe(t *testing.T) {
	b := newBench(t).asAdmin()
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	text := func(n int) string { return strings.Repeat("x", n) }
	headers := func(n, size int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"h%02d":%q`, i, text(size)))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	for _, c := range []struct{ good, bad, part string }{
		{`"ack_wait_seconds":43200`, `"ack_wait_seconds":43201`, "ack_wait_seconds"},
		{`"max_deliver":1000000`, `"max_deliver":1000001`, "max_deliver"},
		{`"idle_expiry_seconds":1000000000`, `"idle_expiry_seconds":1000000001`, "idle_expiry_seconds"},
		{`"push":{"url":"http://h/` + text(2048-9) + `"}`, `"push":{"url":"http://h/` + text(2048-8) + `"}`, "push.url"},
		{`"push":{"url":"http://h/","secret":"` + text(1024) + `"}`, `"push":{"url":"http://h/","secret":"` + text(1025) + `"}`, "push.secret"},
		{`"push":{"url":"http://h/","headers":` + headers(20, 1) + `}`, `"push":{"url":"http://h/","headers":` + headers(21, 1) + `}`, "push.headers"},
		{`"push":{"url":"http://h/","headers":` + headers(1, 8189) + `}`, `"push":{"url":"http://h/","headers":` + headers(1, 8190) + `}`, "push.headers"},
	} {
		b.fails("PUT", "/consumers/c", `{"filters":["a"],`+c.bad+`}`, 400, "BAD_REQUEST", c.part)
		b.ok("PUT", "/consumers/c", `{"filters":["a"],`+c.good+`}`)
	}
	b.ok("PUT", "/consumers/"+text(128), `{"filters":["a"]}`)
	b.fails("PUT", "/consumers/"+text(129), `{"filters":["a"]}`, 400, "BAD_REQUEST", "name")
	b.ok("POST", "/consumers/c/nack", `{"ids":["1-0"],"delay_seconds":86400}`)
	b.fails("POST", "/consumers/c/nack", `{"ids":["1-0"],"delay_seconds":86401}`, 400, "BAD_REQUEST", "delay_seconds")
	many := `{"ids":["1-0"` + strings.Repeat(`,"1-0"`, maxAnswered) + `]}`
	b.fails("POST", "/consumers/c/ack", many, 400, "BAD_REQUEST", "ids")
}

// What receivers check, as `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret` says it.
func TestAPushIsSignedOverItsTimeAndBody(t *testing.T) {
	if got, want := sign("secret", "1700000000", []byte("{}")), "v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
