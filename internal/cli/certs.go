package cli

import (
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/barid-mqtt/barid/internal/devcerts"
)

// makeCerts makes certificates for development and says how to use them.
func makeCerts(e *env, c *command, args []string) int {
	dir, client := "certs", ""
	var hosts []string
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.StringVar(&client, "client", "client", "common name of the client's certificate, and `NAME` of its files")
	fs.Func("host", "another `NAME` or address of the server, beside localhost, its addresses and this machine's name; may be repeated", func(s string) error {
		hosts = append(hosts, strings.Split(s, ",")...)
		return nil
	})
	if status, done := e.parse(c, fs, args, &dir); done {
		return status
	}
	made, err := devcerts.Make(dir, client, hosts)
	if err != nil {
		return e.fail(c, err)
	}
	for _, name := range []*string{&made.CACert, &made.ServerCert, &made.ServerKey, &made.ClientCert, &made.ClientKey} {
		if *name, err = filepath.Abs(*name); err != nil {
			return e.fail(c, err)
		}
	}
	fmt.Fprintf(e.stdout, "Certificates for development are in %s", dir)
	if made.Hosts != nil {
		fmt.Fprintf(e.stdout, ", the server's for %s", strings.Join(made.Hosts, ", "))
	}
	fmt.Fprintf(e.stdout, `.
Whoever has ca.key can pass for any client and server: keep it to yourself.

In config.yaml:
listeners:
  tls:
    type: tls
    bind: 127.0.0.1:8883    # 0.0.0.0:8883 for other machines
    cert_file: %s
    key_file: %s
    client_ca_file: %s
    require_client_cert: true
    cert_username: cn       # the certificate's common name is the username

To try it:
  mosquitto_pub -h localhost -p 8883 --cafile %s --cert %s --key %s -t hello -m world
`, yamlText(made.ServerCert), yamlText(made.ServerKey), yamlText(made.CACert), shellWord(made.CACert), shellWord(made.ClientCert), shellWord(made.ClientKey))
	return exitOK
}

// yamlText quotes a path for YAML where that is needed.
func yamlText(path string) string {
	if strings.ContainsAny(path, ":#'\"\\{}[]&*!|>%@`, ") {
		return strconv.Quote(path)
	}
	return path
}

// shellWord quotes a path for a shell where that is needed.
func shellWord(path string) string {
	if strings.ContainsAny(path, " \t\n\"'\\$`*?&|;<>()#~") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
