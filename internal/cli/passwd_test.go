package cli

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/auth/password"
)

func TestPasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	call := func(stdin string, args ...string) (status int, stderr string) {
		var out, errs bytes.Buffer
		status = Main(t.Context(), append([]string{"passwd"}, args...), strings.NewReader(stdin), &out, &errs, nil)
		if strings.Contains(out.String()+errs.String(), "s3cret") {
			t.Errorf("%q prints the password", args)
		}
		return status, errs.String()
	}
	good := func(stdin string, args ...string) {
		t.Helper()
		if status, stderr := call(stdin, args...); status != exitOK {
			t.Errorf("%q: exit %d, %s", args, status, stderr)
		}
	}
	bad := func(want int, problem, stdin string, args ...string) {
		t.Helper()
		if status, stderr := call(stdin, args...); status != want || !strings.Contains(stderr, problem) {
			t.Errorf("%q: exit %d, %s", args, status, stderr)
		}
	}
	users := func(want map[string]string) {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := password.ParseFile(text)
		if err != nil || len(got) != len(want) {
			t.Errorf("%v, %d users, want %d", err, len(got), len(want))
		}
		for user, secret := range want {
			if h := got[user]; !h.Matches([]byte(secret)) {
				t.Errorf("%s does not have the password %q", user, secret)
			}
		}
	}
	bad(exitFailed, "no such file", "", "-D", file, "alice")
	good("s3cret alice\r\nmore", file, "alice")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("%v %v", info.Mode(), err)
	}
	good("", file, "-b", "bob", "s3cret bob")
	good("s3cret no newline", file, "alice")
	users(map[string]string{"alice": "s3cret no newline", "bob": "s3cret bob"})
	bad(exitFailed, "empty", "\n", file, "alice")
	bad(exitFailed, `holds a :`, "s3cret\n", file, "a:b")
	bad(exitFailed, `no such user: "carol"`, "", "-D", file, "carol")
	bad(exitUsage, "it takes FILE and USER", "", file)
	bad(exitUsage, "it takes FILE and USER", "", file, "alice", "s3cret")
	good("", "-D", file, "bob")
	users(map[string]string{"alice": "s3cret no newline"})
	good("s3cret\n", "-c", file, "zoe")
	bad(exitUsage, "FILE is missing", "")
	users(map[string]string{"zoe": "s3cret"})
	if err := os.WriteFile(file, []byte("# old\nalice:s3cret:with colon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good("", "-U", file)
	users(map[string]string{"alice": "s3cret:with colon"})
}
