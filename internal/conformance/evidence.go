package conformance

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Evidence says which tests show a statement, by its number.
type Evidence map[string][]string

// add notes that a test shows what is written in brackets in text.
func (e Evidence) add(text, test string) {
	for _, m := range bracketed.FindAllStringSubmatch(text, -1) {
		if list := e[m[1]]; len(list) == 0 || list[len(list)-1] != test {
			e[m[1]] = append(list, test)
		}
	}
}

// Collect finds the evidence in the project whose root directory is given: scripts, vectors and Go tests.
func Collect(root string) (Evidence, error) {
	e := Evidence{}
	scenarios, err := ParseDir(filepath.Join(root, "internal", "conformance", "testdata"))
	if err != nil {
		return nil, err
	}
	for _, s := range scenarios {
		for _, number := range s.Statements {
			e.add("["+number+"]", s.ID())
		}
	}
	vectors, err := filepath.Glob(filepath.Join(root, "mqtt", "testdata", "vectors", "*.txt"))
	if err != nil {
		return nil, err
	}
	known, err := numbers()
	if err != nil {
		return nil, err
	}
	for _, file := range vectors {
		if err := e.addVectors(file, known); err != nil {
			return nil, err
		}
	}
	return e, e.addGoTests(root)
}

// addVectors reads a file with a vector on each line: name | version | hex | result | statements, which are numbered as in
// the vector's version, those of 3.1 as in 3.1.1, and where that has no such number, as in 5. The file counts as one test
// of each statement that it names.
func (e Evidence) addVectors(file string, known map[string]bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " | ")
		if len(fields) != 5 || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		for _, number := range strings.Fields(fields[4]) {
			older := "MQTT-3.1.1/" + strings.TrimPrefix(number, "MQTT-")
			if fields[1] != "5.0" && known[older] {
				number = older
			}
			e.add("["+number+"]", "vectors/"+filepath.Base(file))
		}
	}
	return lines.Err()
}

// numbers is the set of all statements.
func numbers() (map[string]bool, error) {
	standards, err := Standards()
	known := map[string]bool{}
	for _, standard := range standards {
		for _, s := range standard.Statements {
			known[s.Number] = true
		}
	}
	return known, err
}

// addGoTests looks for lines "// Statements: […]" in the comment or the body of tests.
func (e Evidence) addGoTests(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return e.addGoFile(path, filepath.ToSlash(rel))
	})
}

func (e Evidence) addGoFile(path, pkg string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, "// Statements:") {
				if name := testAround(file, comment.Pos()); name != "" {
					e.add(comment.Text, pkg+": "+name)
				}
			}
		}
	}
	return nil
}

// testAround returns the name of the test whose comment or body holds pos.
func testAround(file *ast.File, pos token.Pos) string {
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start := fn.Pos()
		if fn.Doc != nil {
			start = fn.Doc.Pos()
		}
		isTest := strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")
		if start <= pos && pos < fn.End() && isTest {
			return fn.Name.Name
		}
	}
	return ""
}
