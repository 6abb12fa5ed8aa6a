package apidoc

import (
	"encoding/json"
	"strings"
	"testing"
)

const small = `
openapi: 3.1.0
info: {title: A <b>title</b>, version: "1", description: "One with ` + "`code`" + `.\n\nTwo."}
servers: [{url: "http://127.0.0.1:1"}]
tags: [{name: things, description: All of them.}, {name: unused}]
paths:
  /api/v5/things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    put:
      tags: [things]
      summary: Changes a thing.
      parameters: [{name: dry, in: query, required: true, schema: {type: boolean, default: false}}]
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
      responses:
        "200": {description: It is changed., content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
        "404": {$ref: "#/components/responses/None"}
  /open:
    get: {summary: Open., security: [], responses: {"204": {description: Yes.}}}
components:
  responses: {None: {description: There is none.}}
  schemas:
    Thing:
      type: object
      required: [name]
      properties:
        name: {type: string, maxLength: 9, description: It's name.}
        when: {type: string, format: date-time}
        kind: {type: string, enum: [a, b]}
        parts: {type: array, items: {$ref: "#/components/schemas/Thing"}}
        size: {type: [integer, "null"]}
`

func render(t *testing.T, contract string) string {
	t.Helper()
	out, err := Page([]byte(contract))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAPageHasEachOperationWithAllThatIsSaidOfIt(t *testing.T) {
	page := render(t, small)
	for _, want := range []string{
		"A &lt;b&gt;title&lt;/b&gt;", "<p>One with <code>code</code>.</p><p>Two.</p>", `id="put-things-id"`, "All of them.", "Changes a thing.",
		"<code>dry</code> <span class=\"needed\"", "Default: false.", "At most 9 bytes.", "a | b", "object list", "integer | null", "There is none.",
		"curl -u &#34;$KEY:$SECRET&#34; -X PUT", "?dry=…", `<span class="badge">no credentials</span>`, "curl &#39;http://127.0.0.1:1/open&#39;", "2030-01-31T12:00:00Z",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "unused") {
		t.Error("the page has a tag without operations")
	}
}

func TestASampleIsJSONInTheOrderOfTheSchema(t *testing.T) {
	page := render(t, small)
	_, after, _ := strings.Cut(page, "-d &#39;")
	text, _, _ := strings.Cut(after, "&#39;")
	text = strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(text)
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if strings.Index(text, "name") > strings.Index(text, "when") || v["kind"] != "a" {
		t.Errorf("the sample is %s", text)
	}
}

func TestWhatIsNoContractIsAnError(t *testing.T) {
	for _, bad := range []string{"", "a: [", "\t"} {
		if _, err := Page([]byte(bad)); err == nil {
			t.Errorf("%q is rendered", bad)
		}
	}
	loop := render(t, strings.Replace(small, "None: {description: There is none.}", `None: {$ref: "#/components/responses/None"}`, 1))
	if loop == "" {
		t.Error("nothing")
	}
}
