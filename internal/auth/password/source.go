package password

import (
	"os"
	"sync/atomic"
)

// FileSource are the users of a password file.
type FileSource struct {
	name  string
	table atomic.Pointer[table]
}

type table struct {
	users   map[string]Hash
	typical Hash
}

// NewFile returns the users of a file, none before Reload.
func NewFile(name string) *FileSource {
	s := &FileSource{name: name}
	s.table.Store(new(table))
	return s
}

// Reload reads the file. If that fails, the users stay as they were.
func (s *FileSource) Reload() error {
	text, err := os.ReadFile(s.name)
	if err != nil {
		return err
	}
	users, err := parse(s.name, text)
	if err != nil {
		return err
	}
	s.table.Store(&table{users: users, typical: Typical(users)})
	return nil
}

// Find implements Source.
func (s *FileSource) Find(username string) (User, bool) {
	h, ok := s.table.Load().users[username]
	return User{Hash: h}, ok
}

// Typical implements Source.
func (s *FileSource) Typical() Hash { return s.table.Load().typical }

// Len returns the number of users.
func (s *FileSource) Len() int { return len(s.table.Load().users) }
