package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const dynamicSecurity = `{
  "defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
  "anonymousGroup": "nobody",
  "clients": [
    {"username": "ann", "password": "aGFzaA==", "salt": "c2FsdA==", "iterations": 101,
     "roles": [{"rolename": "late", "priority": 1}, {"rolename": "early", "priority": 5}], "groups": [{"groupname": "staff"}]},
    {"username": "bob", "clientid": "b1", "disabled": true, "password": "x", "salt": "y"},
    {"username": "cat", "roles": []}],
  "groups": [
    {"groupname": "staff", "roles": [{"rolename": "watch"}], "clients": [{"username": "cat"}]},
    {"groupname": "nobody", "roles": [{"rolename": "open"}]}],
  "roles": [
    {"rolename": "early", "acls": [{"acltype": "publishClientSend", "topic": "both", "allow": true}]},
    {"rolename": "late", "acls": [
      {"acltype": "publishClientSend", "topic": "both", "allow": false},
      {"acltype": "publishClientSend", "topic": "never", "allow": false, "priority": 2},
      {"acltype": "publishClientReceive", "topic": "#", "allow": true},
      {"acltype": "subscribePattern", "topic": "home/%u/#", "allow": true},
      {"acltype": "subscribeLiteral", "topic": "by/%c", "allow": true},
      {"acltype": "unsubscribePattern", "topic": "#", "allow": true}]},
    {"rolename": "watch", "acls": [{"acltype": "subscribePattern", "topic": "$SYS/#", "allow": true}]},
    {"rolename": "open", "acls": [{"acltype": "publishClientSend", "topic": "in", "allow": true}]}]
}`

func TestDynamicSecurityBecomesFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dynamic-security.json")
	if err := os.WriteFile(file, []byte(dynamicSecurity), 0o600); err != nil {
		t.Fatal(err)
	}
	r, out := imported(t, "plugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file "+file+"\n")
	if !strings.Contains(out, "acl_file: /made/acl") || !strings.Contains(out, "password_file: /made/users") {
		t.Errorf("the files are not named:\n%s", out)
	}
	head := "# Made by barid import mosquitto from " + file + ".\n"
	if got, want := string(r.Files["users"]), head+"ann:$7$101$c2FsdA==$aGFzaA==\n"; got != want {
		t.Errorf("users:\n%s", got)
	}
	want := head + `topic write in

user ann
topic write both
topic deny never
topic read home/ann/#
topic read $SYS/#

user cat
topic read $SYS/#
`
	// The denial of never has a priority, and so stands first in its role, after the roles with more.
	if got := string(r.Files["acl"]); got != want {
		t.Errorf("acl:\n%s", got)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, part := range []string{"bob is disabled", "cat has no password", `client id "b1"`, "by/%c depends on the client id", "never is denied for reading and writing"} {
		if !strings.Contains(notes, part) {
			t.Errorf("not said: %s\n%s", part, notes)
		}
	}
}
