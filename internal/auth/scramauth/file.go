package scramauth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/barid-mqtt/barid/pkg/scram"
)

// File are the credentials in a file of lines
//
//	user:SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// where a user may have one of each mechanism. # begins a comment; empty lines count for nothing.
type File struct {
	name  string
	table atomic.Pointer[table]
}

type owner struct{ user, mechanism string }

type table struct {
	users   map[owner]scram.Credentials
	typical map[string]int // iterations, by mechanism
}

// NewFile returns the credentials of a file, none before Reload.
func NewFile(name string) *File {
	f := &File{name: name}
	f.table.Store(&table{})
	return f
}

// Reload reads the file. If that fails, the credentials stay as they were.
func (f *File) Reload() error {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	t, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s:%w", f.name, err)
	}
	f.table.Store(t)
	return nil
}

// Find implements Keys.
func (f *File) Find(user string, h scram.Hash) (scram.Credentials, bool) {
	c, ok := f.table.Load().users[owner{user, h.Name()}]
	return c, ok
}

// Iterations implements Keys.
func (f *File) Iterations(h scram.Hash) int { return f.table.Load().typical[h.Name()] }

// parse reads the lines. Errors name the line, and not what is in it.
func parse(text []byte) (*table, error) {
	t := &table{users: map[owner]scram.Credentials{}, typical: map[string]int{}}
	counts := map[string]map[int]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		user, rest, ok := strings.Cut(line, ":")
		if !ok || user == "" {
			return nil, fmt.Errorf("%d: not user:credentials", number)
		}
		c, err := scram.ParseCredentials(rest)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", number, err)
		}
		key := owner{user, c.Hash.Name()}
		if _, twice := t.users[key]; twice {
			return nil, fmt.Errorf("%d: %s has %s twice", number, user, key.mechanism)
		}
		t.users[key] = c
		if counts[key.mechanism] == nil {
			counts[key.mechanism] = map[int]int{}
		}
		counts[key.mechanism][c.Iterations]++
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("0: a line is too long")
	}
	for mechanism, byIterations := range counts {
		t.typical[mechanism] = mostFrequent(byIterations)
	}
	return t, nil
}

func mostFrequent(counts map[int]int) (most int) {
	for n, count := range counts {
		if best := counts[most]; count > best || count == best && n > most {
			most = n
		}
	}
	return most
}
