//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call sends a request to a broker's API, and returns the status and the answer.
func (b *broker) call(t *testing.T, method, path, authorization, body string) (int, map[string]any) {
	t.Helper()
	return call(t, http.DefaultClient, b.urls["API"].String(), method, path, authorization, body)
}

func call(t *testing.T, client *http.Client, base, method, path, authorization, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), method, base+path, strings.NewReader(body))
	check(t, "making a request", err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := client.Do(r)
	check(t, method+" "+path, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(t, "reading the answer", err)
	var v map[string]any
	if bytes.HasPrefix(text, []byte("{")) {
		check(t, "decoding the answer", json.Unmarshal(text, &v))
	}
	return answer.StatusCode, v
}

// asAdmin logs in with the password that the first start made.
func (b *broker) asAdmin(t *testing.T) (authorization string) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(b.dataDir, "admin-password"))
	check(t, "reading the password", err)
	return b.loginAs(t, strings.TrimSpace(string(secret)))
}

// loginAs logs the administrator in.
func (b *broker) loginAs(t *testing.T, password string) (authorization string) {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"username": "admin", "password": password})
	status, answer := b.call(t, "POST", "/api/v5/login", "", string(body))
	if status != http.StatusOK {
		t.Fatalf("login answered %d %v", status, answer)
	}
	return "Bearer " + answer["token"].(string)
}

func TestTheAPIKeepsItsKeysOverAKill(t *testing.T) {
	dir := t.TempDir()
	b, err := startBroker(dir)
	check(t, "starting", err)
	if info, err := os.Stat(filepath.Join(b.dataDir, "admin-password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v, %v", info, err)
	}
	if status, _ := b.call(t, "GET", "/readyz", "", ""); status != http.StatusOK {
		t.Errorf("/readyz answered %d", status)
	}
	if status, _ := b.call(t, "GET", "/api/v5/audit", "", ""); status != http.StatusUnauthorized {
		t.Errorf("a stranger got %d", status)
	}
	status, made := b.call(t, "POST", "/api/v5/api_key", b.asAdmin(t), `{"name":"k","role":"administrator"}`)
	if status != http.StatusOK {
		t.Fatalf("making a key answered %d %v", status, made)
	}
	check(t, "killing", b.cmd.Process.Kill())
	_ = b.wait(patience)

	b, err = startBroker(dir)
	check(t, "starting again", err)
	r, err := http.NewRequest("GET", b.urls["API"].String()+"/api/v5/api_key/k", nil)
	check(t, "making a request", err)
	r.SetBasicAuth(made["api_key"].(string), made["api_secret"].(string))
	answer, err := http.DefaultClient.Do(r)
	check(t, "using the key", err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("after a kill the key is answered %d", answer.StatusCode)
	}
	b.asAdmin(t) // with the same password
	// By the socket in the data directory no credentials are needed.
	local := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(b.dataDir, "barid.sock"))
	}}}
	if status, answer := call(t, local, "http://localhost", "GET", "/api/v5/api_key/k", "", ""); status != http.StatusOK {
		t.Errorf("by the socket: %d %v", status, answer)
	}
	http.DefaultClient.CloseIdleConnections()
	check(t, "stopping", b.stop())
}
