package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/migrate"
)

// imports are the things that barid import takes.
var imports = map[string]func(e *env, c *command, args []string) int{
	"mosquitto": importMosquitto,
	"emqx":      importEMQX,
	"retained":  importRetained,
}

func importOther(e *env, c *command, args []string) int {
	if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
		fmt.Fprintln(e.stdout, importUsage)
		return exitOK
	}
	if len(args) == 0 || imports[args[0]] == nil {
		return e.wrongUsage(c, errors.New("say what to import: mosquitto, emqx or retained"))
	}
	return imports[args[0]](e, c, args[1:])
}

const importUsage = `Usage: barid import mosquitto FILE [--check] [--out DIR]
       barid import emqx FILE [--check] [--out DIR] [--data DIR]
       barid import retained URL [--to URL] [-t FILTER]… [--quiet-seconds N]

mosquitto  turns a mosquitto.conf into barid.yaml, written to DIR (the current directory), and says of each line
           what became of it. --check writes nothing, and exits with 1 if a line is not supported.
emqx       takes a data export of EMQX 5 (emqx ctl data export): its configuration becomes DIR/barid.yaml, users with their
           passwords, rules, bans and retained messages go into the data directory (--data; DIR/data), in place of what
           is there for the same. The broker must not run on it meanwhile. --check as above.
retained   copies the retained messages of a running broker to this one (--to mqtt://127.0.0.1:1883), with their
           properties. URLs: mqtt://, mqtts://, ws:// or wss://[user:password@]host[:port].`

func importMosquitto(e *env, c *command, args []string) int {
	fs := flag.NewFlagSet("import mosquitto", flag.ContinueOnError)
	var file, out string
	var check bool
	fs.BoolVar(&check, "check", false, "only say what would become of each line")
	fs.StringVar(&out, "out", ".", "write to `DIR`")
	if status, done := e.parse(c, fs, args, &file); done {
		return status
	}
	if file == "" {
		return e.wrongUsage(c, errors.New("name the mosquitto.conf"))
	}
	dir, err := filepath.Abs(out)
	if err != nil {
		return e.fail(c, err)
	}
	r, err := migrate.Mosquitto(file, dir)
	if err != nil {
		return e.fail(c, err)
	}
	return finishImport(e, c, r, out, "Made by barid import mosquitto from "+file, check)
}

// importNote is the second line of what an import makes.
const importNote = ".\nEvery key and its default: https://github.com/barid-mqtt/barid/blob/main/config.yaml"

// finishImport says what became of each line, and unless it is only a check writes the configuration.
func finishImport(e *env, c *command, r *migrate.Result, out, comment string, check bool) int {
	printImport(e, r)
	text, err := r.YAML(comment + importNote)
	if err != nil {
		return e.fail(c, err)
	}
	if check {
		if r.Count(migrate.Unsupported) > 0 {
			return exitFailed
		}
		return exitOK
	}
	if err := writeImport(r, out, text); err != nil {
		return e.fail(c, err)
	}
	path := filepath.Join(out, importFile)
	fmt.Fprintf(e.stdout, "\nWritten: %s\n", path)
	if _, _, err := config.Load(config.Sources{File: path}); err != nil {
		fmt.Fprintf(e.stderr, "%v\n", err)
		return e.fail(c, errors.New("what was written does not start yet: see above"))
	}
	fmt.Fprintf(e.stdout, "Start with: %s serve --config %s\n", programName(), path)
	return exitOK
}

// printImport says what became of each line.
func printImport(e *env, r *migrate.Result) {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s:%d:\t%s\t%s\t%s\n", l.File, l.Number, l.Verdict, l.Text, l.Note)
	}
	_ = w.Flush()
	if len(r.Notes) > 0 {
		fmt.Fprintln(e.stdout, "\nBesides:")
		for _, n := range r.Notes {
			fmt.Fprintln(e.stdout, "  "+n)
		}
	}
	fmt.Fprintf(e.stdout, "\n%d lines: %d taken, %d changed, %d not needed, %d not supported\n", len(r.Lines), r.Count(migrate.Taken),
		r.Count(migrate.Changed), r.Count(migrate.NotNeeded), r.Count(migrate.Unsupported))
}

// importFile is the configuration that an import makes.
const importFile = "barid.yaml"

// writeImport writes the configuration and what it names, over nothing that is there.
func writeImport(r *migrate.Result, dir string, text []byte) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	files := map[string][]byte{importFile: text}
	for name, body := range r.Files {
		files[name] = body
	}
	for name, body := range files {
		path := filepath.Join(dir, name)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, importMode(name))
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already: move it away, or write elsewhere with --out", path)
		}
		if err != nil {
			return err
		}
		_, err = f.Write(body)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	return nil
}

// importMode is the mode of a file that an import makes: keys and hashes are their owner's only.
func importMode(name string) os.FileMode {
	if name == importFile {
		return 0o640
	}
	return 0o600
}

// hasScheme reports whether an argument is a URL rather than a name.
func hasScheme(s string) bool { return strings.Contains(s, "://") }
