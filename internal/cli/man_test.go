package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheManualHasEveryCommandWithItsFlags(t *testing.T) {
	var out, errs bytes.Buffer
	if status := Main(t.Context(), []string{"help", "man"}, strings.NewReader(""), &out, &errs, nil); status != exitOK || errs.Len() > 0 {
		t.Fatalf("status %d: %s", status, &errs)
	}
	text := out.String()
	for _, c := range commands() {
		if !strings.Contains(text, "\n.SS "+roff(c.name)+"\n") || !strings.Contains(text, "\n.B barid "+roff(c.name)+"\n") {
			t.Errorf("nothing about %s", c.name)
		}
	}
	for _, want := range []string{`\-config`, `\-\-scram`, `import emqx FILE`, `\-L URL`, "clients list"} {
		if !strings.Contains(strings.ReplaceAll(text, `\-\-`, `\-`), strings.ReplaceAll(want, `\-\-`, `\-`)) {
			t.Errorf("nothing about %s", want)
		}
	}
	for n, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(l, "'") || strings.Contains(l, "…") {
			t.Errorf("line %d is not for roff: %s", n+1, l)
		}
	}
}

func TestWhatHasAMeaningForRoffLosesIt(t *testing.T) {
	for text, want := range map[string]string{".SH x": `\&.SH x`, "'quoted' `b`": `\(aqquoted\(aq \(gab\(ga`, `a\b --c`: `a\eb \-\-c`} {
		if got := line(text); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}
