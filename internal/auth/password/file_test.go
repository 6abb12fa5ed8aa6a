package password

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseFileNamesTheLines(t *testing.T) {
	users, err := ParseFile([]byte("\ufeff# users\n\nalice:" + alice + "\r\nbob\n:x\ncarol:" + carol + "\ncarol:" + carol + "\ndave:plain\n  \n"))
	want := `line 4: no : between user and hash
line 5: an empty username
line 7: user "carol" is there twice, first on line 6
line 8: the password is not hashed; set it with: barid passwd FILE USER`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	var line *LineError
	if !errors.As(err, &line) || line.Line != 4 {
		t.Errorf("first error %v", line)
	}
	if len(users) != 2 {
		t.Errorf("%d users", len(users))
	}
}

func TestSetAndRemoveLeaveOtherLinesAlone(t *testing.T) {
	h, err := Parse(alice)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("# the team\nalice:old\n\nbob:not even a hash\nalice:again")
	text, err = Set(text, "alice", h)
	if want := "# the team\nalice:" + alice + "\n\nbob:not even a hash\n"; err != nil || string(text) != want {
		t.Errorf("changed: %v\n%s", err, text)
	}
	text, err = Set(text, "zoe", h)
	if err != nil || !strings.HasSuffix(string(text), "bob:not even a hash\nzoe:"+alice+"\n") {
		t.Errorf("added: %v\n%s", err, text)
	}
	text, err = Remove(text, "bob")
	if want := "# the team\nalice:" + alice + "\n\nzoe:" + alice + "\n"; err != nil || string(text) != want {
		t.Errorf("removed: %v\n%s", err, text)
	}
	if _, err = Remove(text, "bob"); !errors.Is(err, ErrNoUser) {
		t.Errorf("removed twice: %v", err)
	}
	text, err = Set(nil, "\ufeffann", h) // what a file begins with is no part of a name
	if users, wrong := ParseFile(text); err != nil || wrong != nil || users["\ufeffann"].String() != alice {
		t.Errorf("a name that begins with a byte order mark: %v, %v\n%q", err, wrong, text)
	}
	if text, err = Remove(text, "\ufeffann"); err != nil || len(text) > 0 {
		t.Errorf("and without it: %v\n%q", err, text)
	}
	for _, bad := range []string{"", " ", "a:b", "a\nb", "#a", "\xff", "a\x00"} {
		if _, err := Set(nil, bad, h); err == nil {
			t.Errorf("user %q was added", bad)
		}
	}
}

func TestWriteFileKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := WriteFile(name, []byte("one\n")); err != nil {
		t.Fatal(err)
	}
	mode := func() fs.FileMode {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if m := mode(); m != 0o600 {
		t.Errorf("a new file has mode %o", m)
	}
	if err := errors.Join(os.Chmod(name, 0o640), os.Symlink("users", link), WriteFile(link, []byte("two\n"))); err != nil {
		t.Fatal(err)
	}
	if m := mode(); m != 0o640 {
		t.Errorf("mode became %o", m)
	}
	text, err := os.ReadFile(name)
	if target, errLink := os.Readlink(link); err != nil || string(text) != "two\n" || errLink != nil || target != "users" {
		t.Errorf("file %q (%v), link %q (%v)", text, err, target, errLink)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
