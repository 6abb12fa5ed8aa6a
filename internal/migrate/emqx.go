package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/migrate/erl"
	"github.com/barid-mqtt/barid/internal/migrate/hocon"
)

// ErrExport says that a file is no data export of EMQX's, or one that is broken or not to be trusted.
var ErrExport = errors.New("not a data export of EMQX 5 that can be read")

// Sink is where the records of an import go, one by one, so that none of them has to fit into memory with the others. It
// keeps what it is given. An error ends the import.
type Sink interface {
	User(u builtin.User) error
	Rules(r builtin.Rules) error
	Ban(b builtin.Ban) error
	Retained(m *message.Message) error
}

// maxConfigBytes is the most that the export's configuration may have.
const maxConfigBytes = 16 << 20

// maxListed is how many records of a table get a line of their own for what became of them; more are counted.
const maxListed = 100

// EMQX reads a data export: an archive that `emqx ctl data export` wrote. Files that have to be made are for the directory
// dir. Users, rules, bans and retained messages go to the sink; nil: they are only looked at.
func EMQX(path, dir string, sink Sink) (*Result, error) {
	m := newEMQX(dir, sink)
	if err := m.configuration(path); err != nil {
		return nil, err
	}
	err := readExport(path, func(name string, r io.Reader) error {
		table, ok := strings.CutPrefix(name, "mnesia/")
		if !ok {
			return nil
		}
		if err := m.table(table, r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := m.finish(); err != nil {
		return nil, err
	}
	return m.result, nil
}

// emqx is an import under way.
type emqx struct {
	result *Result
	dir    string
	sink   Sink

	dry bool // nothing is kept

	listeners map[string]map[string]any // by our names of them
	off       map[string]bool           // "tcp:default": EMQX has it, and it is off
	certUser  string                    // what of a certificate is the username

	saysWho   bool     // the export says who may connect
	order     []string // auth.order
	hashing   hashing  // of the built-in database's users
	scram     scramScheme
	lostWho   bool // an authenticator is not supported
	saysRules bool // the export says where rules are asked
	builtIn   int  // where in their order the built-in database is, from 1; 0: it is not
	file      int  // where the file of rules is
	fileKnown bool // and whether it is the one that EMQX comes with
	lostRules bool // a source of them is not supported
	noMatch   string
	forAll    []aclRule // rules for all, of the built-in database

	users, rules int
	scramUsers   []string // lines of a file
}

func newEMQX(dir string, sink Sink) *emqx {
	m := &emqx{
		result: &Result{Config: map[string]any{}, Files: map[string][]byte{}},
		dir:    dir, sink: sink, listeners: map[string]map[string]any{}, off: map[string]bool{},
	}
	if m.dry = sink == nil; m.dry {
		m.sink = nowhere{}
	}
	return m
}

// nowhere is a Sink that keeps nothing.
type nowhere struct{}

func (nowhere) User(builtin.User) error         { return nil }
func (nowhere) Rules(builtin.Rules) error       { return nil }
func (nowhere) Ban(builtin.Ban) error           { return nil }
func (nowhere) Retained(*message.Message) error { return nil }

func (m *emqx) note(format string, args ...any) {
	m.result.Notes = append(m.result.Notes, fmt.Sprintf(format, args...))
}

func (m *emqx) report(file string, line int, text string, v Verdict, note string) {
	m.result.Lines = append(m.result.Lines, Line{File: file, Number: line, Text: text, Verdict: v, Note: note})
}

// configuration reads what the export says of itself, and EMQX's configuration.
func (m *emqx) configuration(path string) error {
	isExport := false
	var entries []hocon.Entry
	err := readExport(path, func(name string, r io.Reader) error {
		if name != "META.hocon" && name != clusterFile {
			if !strings.HasPrefix(name, "mnesia/") {
				m.report(name, 1, "a file", Unsupported, "this file of the export is not read")
			}
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(r, maxConfigBytes+1))
		if err != nil {
			return err
		}
		if len(text) > maxConfigBytes {
			return fmt.Errorf("%w: %s has more than %d bytes", ErrExport, name, maxConfigBytes)
		}
		read, err := hocon.Parse(text)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrExport, name, err)
		}
		if name == clusterFile {
			entries = read
			return nil
		}
		isExport = true
		for _, e := range read {
			if e.Key() == "version" && !strings.HasPrefix(e.Value, "5.") && !strings.HasPrefix(e.Value, "6.") {
				m.note("the export is of EMQX %s; those of 5 are known here", e.Value)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !isExport {
		return fmt.Errorf("%w: there is no META.hocon in it", ErrExport)
	}
	m.keys(entries)
	return nil
}

// table reads a table, and says of it and of its records what became of them.
func (m *emqx) table(name string, r io.Reader) error {
	file, t := "mnesia/"+name, emqxTables[name]
	counts, listed, n := map[Verdict]int{}, 0, 0
	for record, err := range erl.Records(r) {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrExport, err)
		}
		n++
		if t.take == nil {
			continue
		}
		o, err := t.take(m, &record)
		switch {
		case err != nil:
			return fmt.Errorf("record %d: %w", n, err)
		case o.note != "" && listed < maxListed:
			listed++
			m.report(file, n, o.what, o.verdict, o.note)
		default:
			counts[o.verdict]++
		}
	}
	switch {
	case n == 0:
	case t.take == nil:
		m.report(file, 1, fmt.Sprintf("%d %s", n, cmp.Or(t.of, "records")), Unsupported, cmp.Or(t.note, "Barid has nothing like this table"))
	default:
		for _, v := range []Verdict{Taken, Changed, NotNeeded, Unsupported} {
			what := fmt.Sprintf("%d %s", counts[v], t.of)
			if listed == maxListed && v != Taken {
				what = fmt.Sprintf("%d more %s", counts[v], t.of)
			}
			if counts[v] > 0 {
				m.report(file, 1, what, v, "")
			}
		}
	}
	return nil
}

// outcome is what became of a record. One without a note is only counted.
type outcome struct {
	what    string
	verdict Verdict
	note    string
}

// emqxTable is what is done with a table's records.
type emqxTable struct {
	of   string // what they are
	take func(m *emqx, record *erl.Term) (outcome, error)
	note string // without take: why not
}

// emqxTables are the tables of an export by their files' names.
var emqxTables = map[string]emqxTable{
	"emqx_authn_mnesia":                {of: "users", take: (*emqx).user},
	"emqx_authn_scram_mnesia":          {of: "SCRAM users", take: (*emqx).scramUser},
	"emqx_enhanced_authn_scram_mnesia": {of: "SCRAM users", take: (*emqx).scramUser}, // until 5.3
	"emqx_acl":                         {of: "clients and users with rules", take: (*emqx).acl},
	"emqx_banned":                      {of: "bans", take: (*emqx).ban},
	"emqx_banned_rules":                {of: "bans", take: (*emqx).ban},
	"emqx_retainer_message":            {of: "retained messages", take: (*emqx).retained},
	"emqx_app":                         {of: "API keys", note: "their secrets are hashed; make new ones: barid ctl keys create NAME --role ROLE"},
	"emqx_admin":                       {of: "users of the dashboard", note: "make them anew: barid ctl people add NAME --role ROLE"},
	"emqx_psk":                         {of: "pre-shared keys", note: "there is no TLS with pre-shared keys; use certificates: barid certs"},
	"emqx_authn_mnesia_ns":             {of: "users of namespaces", note: "Barid has no namespaces"},
	"emqx_authn_scram_mnesia_ns":       {of: "SCRAM users of namespaces", note: "Barid has no namespaces"},
	"emqx_acl_ns":                      {of: "clients and users of namespaces with rules", note: "Barid has no namespaces"},
}
