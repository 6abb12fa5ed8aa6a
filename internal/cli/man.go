package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// writeManual writes the page barid(1), in roff, of what the commands say of themselves.
func writeManual(w io.Writer, e *env) {
	fmt.Fprint(w, ".\\\" Written by `barid help man`.\n.TH BARID 1 \"\" \"Barid "+roff(Version())+"\" \"User commands\"\n"+
		".SH NAME\nbarid \\- MQTT broker that delivers what it acknowledges\n"+
		".SH SYNOPSIS\n")
	for i, c := range commands() {
		if i > 0 {
			fmt.Fprintln(w, ".br")
		}
		fmt.Fprintf(w, ".B barid %s\n", roff(c.name))
		if c.args != "" {
			fmt.Fprintln(w, line(c.args))
		}
	}
	fmt.Fprint(w, ".SH DESCRIPTION\nBarid is an MQTT broker: MQTT 5.0, 3.1.1 and 3.1 over TCP, TLS, WebSocket and Unix sockets.\n"+
		"Without a command it runs the broker, as\n.B serve\ndoes.\n.SH COMMANDS\n")
	for _, c := range commands() {
		var said bytes.Buffer
		told := *e
		told.stdout, told.stderr = &said, &said
		if c.name != "help" {
			c.run(&told, &c, []string{"--help"})
		} else {
			said.WriteString(c.usage())
		}
		fmt.Fprintf(w, ".SS %s\n%s\n.PP\n.nf\n", roff(c.name), line(c.short))
		for text := range strings.Lines(said.String()) {
			fmt.Fprintln(w, line(strings.TrimRight(text, "\n")))
		}
		fmt.Fprint(w, ".fi\n")
	}
	fmt.Fprint(w, manualEnd)
}

// manualEnd is what no command says.
const manualEnd = `.SH ENVIRONMENT
.TP
.B BARID_\fIKEY\fR
a key of the configuration in capitals, with two underscores between levels: BARID_MQTT__MAX_QOS=1
.SH FILES
.TP
.I /etc/barid/barid.yaml
the configuration of the packaged broker
.TP
.I /var/lib/barid
its data directory
.SH EXIT STATUS
0 if all went well, 1 if something failed, 2 if the command line was wrong. SIGTERM and SIGINT end the broker, SIGHUP has it read its
configuration again.
.SH SEE ALSO
.BR mosquitto_pub (1),
.BR mosquitto_sub (1),
https://github.com/barid\-mqtt/barid
`

// roff takes from a text the meaning that it would have.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "'", `\(aq`, "`", `\(ga`, "\t", "        ").Replace(text)
}

// line is a whole line of text: what would begin a request does not.
func line(text string) string {
	text = roff(text)
	if strings.HasPrefix(text, ".") {
		return `\&` + text
	}
	return text
}
