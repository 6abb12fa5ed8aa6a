package migrate

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/migrate/hocon"
)

// keys takes EMQX's configuration, key by key; what belongs together (a listener, an authenticator) is taken together.
func (m *emqx) keys(entries []hocon.Entry) {
	last := map[string]hocon.Entry{} // a key that is there twice counts as it is there last
	for _, e := range entries {
		last[e.Key()] = e
	}
	var groups []group
	for _, e := range entries {
		if len(e.Path) == 0 || last[e.Key()].Line != e.Line { // nothing at all, or said again below
			continue
		}
		name := groupOf(e.Path)
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{name: name, line: e.Line, values: map[string]string{}, lines: map[string]int{}})
		}
		key := strings.TrimPrefix(strings.TrimPrefix(e.Key(), name), ".")
		groups[i].keys = append(groups[i].keys, key)
		groups[i].values[key], groups[i].lines[key] = e.Value, e.Line
		if name == "" && !strings.HasPrefix(e.Key(), indexSpecs+".") || e.Key() == indexSpecs+".0.0" { // a key by itself
			v, note := m.key(e.Key(), e.Value)
			m.report(clusterFile, e.Line, shown(e.Key(), e.Value), v, note)
		}
	}
	for i := range groups {
		if groups[i].name != "" {
			m.group(&groups[i])
		}
	}
	slices.SortStableFunc(m.result.Lines, func(a, b Line) int { return cmp.Compare(a.Number, b.Number) })
}

// indexSpecs is a list of lists, of which one line says enough.
const indexSpecs = "retainer.backend.index_specs"

// group is an object of the configuration that is taken as one.
type group struct {
	name   string // its path
	line   int    // of its first key
	keys   []string
	values map[string]string
	lines  map[string]int
}

// groupOf names the object that a key is taken with; empty: it is taken by itself.
func groupOf(path []string) string {
	n := 0
	switch path[0] {
	case "authentication": // an object, or a list of them
		n = 1
		if len(path) > 1 && isNumber(path[1]) {
			n = 2
		}
	case "listeners":
		n = 3
	case "authorization":
		if len(path) > 1 && path[1] == "sources" {
			n = 3
		}
	case "flapping_detect":
		n = 1
	default:
		if _, ok := emqxRoots[path[0]]; ok {
			n = 1
		}
	}
	return strings.Join(path[:min(n, len(path))], ".")
}

func isNumber(s string) bool { _, err := strconv.Atoi(s); return err == nil }

// shown is a key and its value, unless that is a secret or long.
func shown(key, value string) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	switch {
	case strings.Contains(last, "password") || strings.Contains(last, "secret") || strings.Contains(last, "token") || strings.Contains(last, "keyfile"):
		value = "…"
	case len(value) > 60 || strings.Contains(value, "\n"):
		value = "…"
	}
	return key + " = " + value
}

func (m *emqx) group(g *group) {
	root, rest, _ := strings.Cut(g.name, ".")
	say := func(v Verdict, note string) { m.report(clusterFile, g.line, g.name, v, note) }
	switch root {
	case "authentication":
		m.saysWho = true
		if len(g.keys) == 1 && g.values[""] != "" { // [] or {}
			say(Taken, "nobody is asked for a password")
			return
		}
		v, note := m.authenticator(g)
		m.lostWho = m.lostWho || v == Unsupported
		say(v, note)
	case "authorization":
		m.saysRules = true
		if len(g.keys) == 1 && g.values[""] == "[]" {
			say(Taken, "")
			return
		}
		n, _ := strconv.Atoi(strings.TrimPrefix(rest, "sources."))
		v, note := m.source(g, n+1)
		m.lostRules = m.lostRules || v == Unsupported
		say(v, note)
	case "listeners":
		m.listener(g, strings.Split(rest, "."))
	case "flapping_detect":
		say(m.flapping(g))
	default:
		m.report(clusterFile, g.line, fmt.Sprintf("%s (%d values)", g.name, len(g.keys)), Unsupported, emqxRoots[g.name])
	}
}

// key takes one key.
func (m *emqx) key(key, value string) (Verdict, string) {
	if take, ok := emqxKeys[key]; ok {
		return take(m, value)
	}
	for prefix, said := range emqxPrefixes {
		if strings.HasPrefix(key, prefix) {
			return said.verdict, said.note
		}
	}
	return Unsupported, "not a key of EMQX that is known here"
}

// flapping takes flapping_detect, which is one setting here.
func (m *emqx) flapping(g *group) (Verdict, string) {
	if g.values["enable"] != "true" {
		return NotNeeded, "it is off"
	}
	count, window, ban := g.values["max_count"], time.Minute, 5*time.Minute
	for key, to := range map[string]*time.Duration{"window_time": &window, "ban_time": &ban} {
		if text := g.values[key]; text != "" && text != "disabled" {
			d, err := hoconDuration(text)
			if err != nil {
				return Unsupported, err.Error()
			}
			*to = d
		}
	}
	n, err := number(cmp.Or(count, "15"))
	if err != nil {
		return Unsupported, err.Error()
	}
	set(m.result.Config, "auth.flapping.max_connects", n)
	set(m.result.Config, "auth.flapping.window_seconds", max(1, int64(window.Seconds())))
	set(m.result.Config, "auth.flapping.ban_seconds", max(1, int64(ban.Seconds())))
	return Changed, "auth.flapping: connections count, not disconnections"
}

// finish makes what depends on all of it.
func (m *emqx) finish() error {
	m.addDefaultListeners()
	c := m.result.Config
	listeners := map[string]any{}
	for name, l := range m.listeners {
		listeners[name] = l
	}
	c["listeners"] = listeners
	if len(m.scramUsers) > 0 {
		m.result.Files[scramFile] = []byte(strings.Join(m.scramUsers, ""))
		set(c, "auth.scram_file", filepath.Join(m.dir, scramFile))
	}
	if m.users > 0 && !slices.Contains(m.order, "passwords") {
		m.order = append(m.order, "passwords")
		m.note("the export says nothing of how passwords are hashed, since that is in EMQX's own files: sha256 and the like with the salt before the password is what was taken")
	}
	if slices.Contains(m.order, "passwords") {
		set(c, "auth.built_in.users", true)
	}
	if len(m.order) > 1 {
		set(c, "auth.order", m.order)
	}
	if len(m.order) == 0 && len(m.scramUsers) == 0 {
		set(c, "auth.allow_anonymous", m.saysWho && !m.lostWho)
	}
	switch {
	case !m.saysWho && len(m.order) == 0:
		m.note("the export does not say who may connect (EMQX's own files are not in it), so nobody may without credentials: auth.allow_anonymous: true lets everybody in")
	case m.lostWho:
		m.note("whom only an authenticator lets in that is not supported cannot connect")
	}
	return m.finishRules()
}

// scramFile holds SCRAM users.
const scramFile = "scram"

// finishRules puts the rules for all together, and says what holds where no rule does.
func (m *emqx) finishRules() error {
	rules, file := m.forAll, emqxFileRules
	if m.lostRules {
		file = file[:3] // all but what it allows
	}
	switch {
	case m.saysRules && !m.fileKnown:
	case m.saysRules && m.file < m.builtIn:
		rules = slices.Concat(emqxFileRules[:3], m.forAll, file[3:])
		m.note("acl.conf is asked before the built-in database there; here the rules of clients and users come before those for all")
	default:
		rules = slices.Concat(m.forAll, file)
		m.note("acl.conf, as it comes with EMQX, became rules for all, but for what it allows the address 127.0.0.1 and the user dashboard")
	}
	if m.rules == 0 && len(rules) == 0 && !m.lostRules {
		return nil // nothing says who may do what
	}
	if err := m.store(builtin.Subject{Kind: builtin.ForAll}, rules); err != nil {
		return err
	}
	set(m.result.Config, "auth.built_in.rules", true)
	noMatch := cmp.Or(m.noMatch, "allow")
	if m.lostRules && noMatch == "allow" {
		noMatch = "deny"
		m.note("a source of rules is not supported, and might deny something: so what no rule here allows is denied (auth.no_match: deny)")
	}
	set(m.result.Config, "auth.no_match", noMatch)
	return nil
}

// emqxFileRules are those of the acl.conf that comes with EMQX.
var emqxFileRules = []aclRule{
	{Permission: "deny", Action: "subscribe", Topic: "$SYS/#"},
	{Permission: "deny", Action: "subscribe", Topic: "eq #"},
	{Permission: "deny", Action: "subscribe", Topic: "eq +/#"},
	{Permission: "allow", Action: "all", Topic: "#"},
}
