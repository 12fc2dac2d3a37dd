package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// othersWords is the section of messages that are not fairlead's.
const othersWords = "## Of Helm and the system"

var (
	verb    = regexp.MustCompile(`%[-+# 0]*(\d+|\*)?(\.(\d+|\*))?[a-zA-Z]`)
	message = regexp.MustCompile("(?m)^\\| `([^`]+)`")
)

// TestTroubleshootingQuotesTheCode: each message of the page is said by the code.
func TestTroubleshootingQuotesTheCode(t *testing.T) {
	page, _, _ := strings.Cut(docPages(t)[filepath.Join(repository, "docs", "troubleshooting.md")], othersWords)
	texts := codeTexts(t)
	said := func(m string) bool {
		for _, text := range texts {
			if strings.Contains(text, m) {
				return true
			}
		}
		return false
	}
	messages := message.FindAllStringSubmatch(page, -1)
	for _, m := range messages {
		if !said(strings.Trim(m[1], "… ")) {
			t.Errorf("no code says %q", m[1])
		}
	}
	if len(messages) < 70 {
		t.Errorf("only %d messages were found", len(messages))
	}
	if said("a message that nobody says") {
		t.Error("everything is found")
	}
}

// codeTexts are the texts of the program's code, with … for what is filled in.
func codeTexts(t *testing.T) (texts []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(repository, "internal"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := literal(expr)
			if ok {
				texts = append(texts, strings.ReplaceAll(verb.ReplaceAllString(strings.ReplaceAll(text, "%%", "\x00"), "…"), "\x00", "%"))
			}
			return !ok
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// literal is the text of a string, or of a sum in which one is.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, okLeft := literal(e.X)
		right, okRight := literal(e.Y)
		if !okLeft {
			left = "…"
		}
		if !okRight {
			right = "…"
		}
		return left + right, okLeft || okRight
	}
	return "", false
}
