package password

import (
	"strings"
	"testing"
)

// Made by mosquitto_passwd 2.0.11; dave is a test vector of the reference implementation of argon2.
const (
	alice = "$7$101$w1w6cLtrzEe+je3q$Zp6Pw9AKotLh1RHqEWb3yW74FkorE3accm3uItM7vajQAmiVkyccgmewgb1WKtqzOSLUuaSCEcSkHEriH5N1IA=="
	carol = "$6$bInE6vIrVo2SYznX$RDTzCMUAlD+5rWvHkwPND5RPYDuv1QT3sMpKXoCXuTo/JtcX1SBhF8SFRLLPHrhOgAQUPt5UcqK5yvlhh5DiTw=="
	dave  = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestHashesOfOthers(t *testing.T) {
	for _, c := range []struct{ hash, password string }{{alice, "secret"}, {carol, "pw3"}, {dave, "password"}} {
		h, err := Parse(c.hash)
		if err != nil {
			t.Fatal(err)
		}
		if !h.Matches([]byte(c.password)) {
			t.Errorf("%s does not match %q", c.hash, c.password)
		}
		for _, wrong := range []string{"", c.password + "x", strings.ToUpper(c.password), c.password[1:]} {
			if h.Matches([]byte(wrong)) {
				t.Errorf("%s matches %q", c.hash, wrong)
			}
		}
		if h.String() != c.hash {
			t.Errorf("written as %s", h)
		}
	}
}

func TestOurHashesAreArgon2idAndDiffer(t *testing.T) {
	a, b := New([]byte("pw")), New([]byte("pw"))
	if a.String() == b.String() {
		t.Error("two hashes have one salt")
	}
	if !strings.HasPrefix(a.String(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash is %s", a)
	}
	read, err := Parse(a.String())
	if err != nil || !read.Matches([]byte("pw")) || read.Matches([]byte("pw2")) {
		t.Errorf("read back: %v", err)
	}
}

// A decoy costs what the hash costs, and matches nothing, not even the password of the hash it was made after.
func TestADecoyMatchesNothing(t *testing.T) {
	h, err := Parse(alice)
	if err != nil {
		t.Fatal(err)
	}
	if d := h.decoy(); d.Matches([]byte("secret")) || !d.sameCost(&h) {
		t.Errorf("decoy %s", d)
	}
	var zero Hash
	if zero.Matches(nil) {
		t.Error("the zero hash matches")
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	key := strings.Repeat("A", 86) + "=="
	for _, c := range []struct{ text, problem string }{
		{"", "not hashed"},
		{"secret", "not hashed"},
		{"secret$with$dollars", "not hashed"},
		{"$5$salt$hash", "unknown format $5$"},
		{"$6$salt", "with 1 fields"},
		{"$7$101$AAAA$" + key + "$more", "with 4 fields"},
		{"$7$0$AAAA$" + key, "iterations"},
		{"$7$99999999999$AAAA$" + key, "iterations"},
		{"$7$101$A$" + key, "salt that is not base64"},
		{"$7$101$AAAA$AAAA", "should have 64"},
		{"$6$AAAA$" + key[:86] + "!!", "hash that is not base64"},
		{"$argon2id$v=16$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "only v=19"},
		{"$argon2id$v=19$m=19456,t=2$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "they are m="},
		{"$argon2id$v=19$m=99999999,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "m \"99999999\""},
		{"$argon2id$v=19$m=8,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "t \"0\""},
		{"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA", "too short"},
		{"$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("AAAA", 500) + "$AAAAAAAAAAAAAAAAAAAAAA", "too long"},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: got %v, want %s", c.text, err, c.problem)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("# comment\n\nalice:" + alice + "\ncarol:" + carol + "\r\n"))
	f.Add([]byte("a:$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"))
	f.Add([]byte("a:$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\nb:$md5$suffix$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==\nc:$pbkdf2-sha$i=2$$AAAAAAAAAAAAAAAAAAAAAA=="))
	f.Add([]byte("\ufeffa\n:b\n#:$7$\na:a\na:b"))
	f.Add([]byte("\ufeff\ufeffalice:" + alice))
	f.Fuzz(func(t *testing.T, text []byte) {
		users, err := ParseFile(text)
		if err != nil {
			return
		}
		var file []byte
		for name, h := range users {
			if file, err = Set(file, name, h); err != nil {
				t.Fatalf("user %q was read and cannot be written: %v", name, err)
			}
		}
		again, err := ParseFile(file)
		if err != nil || len(again) != len(users) {
			t.Fatalf("%d users, written and read again %d: %v", len(users), len(again), err)
		}
		for name, h := range users {
			if again[name].String() != h.String() {
				t.Fatalf("user %q: %s became %s", name, h, again[name])
			}
		}
	})
}
