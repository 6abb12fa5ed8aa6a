package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the last released version's successor. A build of a tag, or by `go install` of one, says that tag instead.
const version = "0.1.0-dev"

// Version returns the version of this program, with the commit it was built from where the build says it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	v := version
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v = m
	}
	const shortHash = 12
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= shortHash && v == version {
			v += " (" + s.Value[:shortHash] + ")"
		}
	}
	return v
}

func printVersion(e *env, c *command, args []string) int {
	if len(args) > 0 {
		return e.wrongUsage(c, fmt.Errorf("unexpected argument %q", args[0]))
	}
	fmt.Fprintf(e.stdout, "barid %s %s %s/%s\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}
