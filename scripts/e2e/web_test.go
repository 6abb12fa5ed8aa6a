//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gorilla/websocket"
)

// A browser's page connects to the origin that it was loaded from.
func TestMQTTjsAtTheAddressOfTheAPI(t *testing.T) {
	url := "ws://" + shared.urls["API"].Host + "/mqtt"
	cmd := exec.Command(installed(t, "node"), "client.cjs", url, "5", newTopic(t), trust.ca)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(cacheDir(t), "node_modules"))
	script(t, cmd)
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	for origin, want := range map[string]int{"https://evil.example": http.StatusForbidden, shared.urls["API"].String(): http.StatusSwitchingProtocols} {
		c, answer, err := dialer.Dial(url, http.Header{"Origin": {origin}})
		if answer == nil || answer.StatusCode != want {
			t.Errorf("a page of %s got %v, %v", origin, answer, err)
		}
		if c != nil {
			c.Close()
		}
	}
}
