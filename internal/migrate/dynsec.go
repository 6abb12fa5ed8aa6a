package migrate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files that a dynamic security configuration becomes.
const (
	usersFile = "users"
	aclFile   = "acl"
)

// dynsec is the JSON file of Mosquitto's dynamic security plugin.
type dynsec struct {
	Default struct {
		Send    bool  `json:"publishClientSend"`
		Receive *bool `json:"publishClientReceive"`
		Sub     bool  `json:"subscribe"`
	} `json:"defaultACLAccess"`
	Clients []struct {
		Username   string      `json:"username"`
		ClientID   string      `json:"clientid"`
		Password   string      `json:"password"`
		Salt       string      `json:"salt"`
		Iterations int         `json:"iterations"`
		Disabled   bool        `json:"disabled"`
		Roles      []dynsecRef `json:"roles"`
		Groups     []dynsecRef `json:"groups"`
	} `json:"clients"`
	Groups []struct {
		Name    string      `json:"groupname"`
		Roles   []dynsecRef `json:"roles"`
		Clients []dynsecRef `json:"clients"`
	} `json:"groups"`
	Roles []struct {
		Name string      `json:"rolename"`
		ACLs []dynsecACL `json:"acls"`
	} `json:"roles"`
	AnonymousGroup string `json:"anonymousGroup"`
}

type dynsecRef struct {
	Role     string `json:"rolename"`
	Group    string `json:"groupname"`
	Client   string `json:"username"`
	Priority int    `json:"priority"`
}

type dynsecACL struct {
	Type     string `json:"acltype"`
	Topic    string `json:"topic"`
	Priority int    `json:"priority"`
	Allow    bool   `json:"allow"`
}

// dynamicSecurity makes a password file and an ACL file of the plugin's file, if there is one.
func (m *mosquitto) dynamicSecurity() error {
	if m.security == "" {
		return nil
	}
	text, err := os.ReadFile(m.security)
	if err != nil {
		return err
	}
	var d dynsec
	if err := json.Unmarshal(text, &d); err != nil {
		return fmt.Errorf("%s: %w", m.security, err)
	}
	m.note("a subscription that is wider than what is granted is granted, and gets what is granted of it; the plugin refuses it")
	m.result.Files[usersFile] = d.users(m.security, m.note)
	m.result.Files[aclFile] = d.acl(m.security, m.note)
	set(m.result.Config, "auth.password_file", filepath.Join(m.dir, usersFile))
	set(m.result.Config, "auth.acl_file", filepath.Join(m.dir, aclFile))
	return nil
}

// users are the lines of a password file: the plugin's hashes are those of mosquitto_passwd.
func (d *dynsec) users(from string, note func(string)) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Made by barid import mosquitto from %s.\n", from)
	for _, c := range d.Clients {
		switch {
		case c.Disabled:
			note(fmt.Sprintf("user %s is disabled, and is left out", c.Username))
		case c.Password == "" || c.Salt == "":
			note(fmt.Sprintf("user %s has no password, and is left out", c.Username))
		default:
			fmt.Fprintf(&out, "%s:$7$%d$%s$%s\n", c.Username, c.Iterations, c.Salt, c.Password)
		}
		if c.ClientID != "" {
			note(fmt.Sprintf("user %s may have the client id %q only: Barid does not hold it to that", c.Username, c.ClientID))
		}
	}
	return out.Bytes()
}

// acl are the lines of an ACL file: each user's roles, and those of its groups, spelled out.
func (d *dynsec) acl(from string, note func(string)) []byte {
	w := aclWriter{note: note}
	fmt.Fprintf(&w.out, "# Made by barid import mosquitto from %s.\n", from)
	if d.AnonymousGroup != "" {
		w.lines("clients without a username", "", d.defaults(), d.ofGroup(d.AnonymousGroup))
	}
	for _, c := range d.Clients {
		if c.Disabled {
			continue
		}
		acls := d.ofRoles(c.Roles)
		for _, g := range d.groupsOf(c.Username, c.Groups) {
			acls = append(acls, d.ofGroup(g)...)
		}
		fmt.Fprintf(&w.out, "\nuser %s\n", c.Username)
		w.lines("user "+c.Username, c.Username, d.defaults(), acls)
	}
	return w.out.Bytes()
}

// groupsOf are the names of a user's groups, which either side may list, by descending priority.
func (d *dynsec) groupsOf(user string, own []dynsecRef) (names []string) {
	own = slices.Clone(own)
	for _, g := range d.Groups {
		for _, c := range g.Clients {
			if c.Client == user {
				own = append(own, dynsecRef{Group: g.Name, Priority: c.Priority})
			}
		}
	}
	slices.SortStableFunc(own, func(a, b dynsecRef) int { return cmp.Compare(b.Priority, a.Priority) })
	for _, g := range own {
		if !slices.Contains(names, g.Group) {
			names = append(names, g.Group)
		}
	}
	return names
}

func (d *dynsec) ofGroup(name string) []dynsecACL {
	for _, g := range d.Groups {
		if g.Name == name {
			return d.ofRoles(g.Roles)
		}
	}
	return nil
}

// ofRoles are the rules of roles, in the order in which the plugin asks them.
func (d *dynsec) ofRoles(refs []dynsecRef) (acls []dynsecACL) {
	refs = slices.Clone(refs)
	slices.SortStableFunc(refs, func(a, b dynsecRef) int { return cmp.Compare(b.Priority, a.Priority) })
	for _, ref := range refs {
		for _, r := range d.Roles {
			if r.Name == ref.Role {
				own := slices.Clone(r.ACLs)
				slices.SortStableFunc(own, func(a, b dynsecACL) int { return cmp.Compare(b.Priority, a.Priority) })
				acls = append(acls, own...)
			}
		}
	}
	return acls
}

// defaults are the rules for what no role says anything about.
func (d *dynsec) defaults() (acls []dynsecACL) {
	if d.Default.Send {
		acls = append(acls, dynsecACL{Type: "publishClientSend", Topic: "#", Allow: true})
	}
	if d.Default.Sub && (d.Default.Receive == nil || *d.Default.Receive) {
		acls = append(acls, dynsecACL{Type: "subscribePattern", Topic: "#", Allow: true})
	}
	return acls
}

// aclWriter writes lines of an ACL file.
type aclWriter struct {
	out  bytes.Buffer
	note func(string)
}

// lines writes what somebody may do. In the file what is denied comes before what is granted, both ways at once, so a
// grant that stands before a denial of the same topic keeps it out.
func (w *aclWriter) lines(who, user string, defaults, acls []dynsecACL) {
	granted := map[string]bool{}
	written := map[string]bool{}
	for _, a := range append(slices.Clone(acls), defaults...) {
		topic, ok := w.topic(who, user, a)
		if !ok {
			continue
		}
		access := map[string]string{
			"publishClientSend": "write", "publishClientReceive": "read", "subscribePattern": "read", "subscribeLiteral": "read",
		}[a.Type]
		if !a.Allow {
			if access == "" || granted[topic] {
				continue
			}
			w.note(fmt.Sprintf("%s: %s is denied for reading and writing, where the plugin denies %s", who, topic, a.Type))
			access = "deny"
		}
		granted[topic] = granted[topic] || a.Allow
		line := fmt.Sprintf("topic %s %s\n", access, topic)
		if access != "" && !written[line] {
			written[line] = true
			w.out.WriteString(line)
		}
	}
}

// topic puts the username into a topic; one with a client id can stand in a pattern only, which is for everybody.
func (w *aclWriter) topic(who, user string, a dynsecACL) (string, bool) {
	if strings.Contains(a.Topic, "%c") {
		w.note(fmt.Sprintf("%s: %s %s depends on the client id, and is left out: a pattern line of the ACL file says such a thing for everybody", who, a.Type, a.Topic))
		return "", false
	}
	if a.Type == "publishClientReceive" && a.Allow && a.Topic == "#" {
		return "", false // who may subscribe to what decides
	}
	return strings.ReplaceAll(a.Topic, "%u", user), a.Topic != ""
}
