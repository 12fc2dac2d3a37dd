package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const repository = "../.."

// docPages returns the text of every page of the documentation by its path.
func docPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	read := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = string(text)
	}
	read(filepath.Join(repository, "README.md"))
	read(filepath.Join(repository, "CHANGELOG.md"))
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(path) == ".md" {
			read(path)
		}
		return err
	})
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	return pages
}

var (
	fence   = regexp.MustCompile("(?ms)^[ \t]*```([a-z]*)[^\n]*\n(.*?)^[ \t]*```")
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	inline  = regexp.MustCompile("`([^`\n]+)`")
)

func TestLinksLeadSomewhere(t *testing.T) {
	pages := docPages(t)
	n := 0
	for path, text := range pages {
		prose := inline.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			n++
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link to %s: there is no such file", path, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(pages[file]), anchor) {
				t.Errorf("%s: link to %s: there is no such heading", path, m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d links were found", n)
	}
}

// anchors are the headings of a page as links name them.
func anchors(text string) (out []string) {
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, m[1])
		if seen[slug]++; seen[slug] > 1 {
			slug = fmt.Sprintf("%s-%d", slug, seen[slug]-1)
		}
		out = append(out, slug)
	}
	return out
}

// TestCommandsExist reads every command line of fairlead in the documentation:
// the command and its flags have to exist.
func TestCommandsExist(t *testing.T) {
	n := 0
	for path, text := range docPages(t) {
		for _, line := range commandLines(text) {
			n++
			if err := parses(words(line)); err != nil {
				t.Errorf("%s: `%s`: %v", path, line, err)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d command lines were found", n)
	}
}

// commandLines returns what stands after fairlead, in code.
func commandLines(text string) (out []string) {
	var code []string
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if !slices.Contains([]string{"", "sh", "bash", "console", "yaml", "groovy"}, m[1]) {
			continue
		}
		body := strings.ReplaceAll(m[2], "\\\n", " ")
		for _, line := range strings.Split(body, "\n") {
			line = strings.TrimSpace(line)
			if m[1] == "console" {
				var command bool
				if line, command = strings.CutPrefix(line, "$ "); !command {
					continue
				}
			}
			code = append(code, strings.TrimSpace(strings.TrimPrefix(line, "- ")))
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		code = append(code, m[1])
	}
	for _, line := range code {
		for _, part := range regexp.MustCompile(`&&|\|\||;|\$\(`).Split(line, -1) {
			part = strings.TrimLeft(strings.TrimSpace(part), "!( ")
			for { // variables before the command
				name, rest, ok := strings.Cut(part, " ")
				if !ok || !regexp.MustCompile(`^[A-Z_]+=\S*$`).MatchString(name) {
					break
				}
				part = strings.TrimSpace(rest)
			}
			if rest, ok := strings.CutPrefix(part, "fairlead "); ok {
				out = append(out, rest)
			}
		}
	}
	return out
}

// words splits a line as a shell does, up to a redirection, pipe or comment.
func words(line string) (out []string) {
	var word strings.Builder
	quote, open := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && unicode.IsSpace(r):
			if open {
				out = append(out, word.String())
			}
			word.Reset()
			open = false
		case quote == 0 && !open && (r == '#' || r == '>' || r == '<' || r == '|' || r == '&'):
			return out
		case quote == 0 && (r == '|' || r == ')' || r == '>'):
			return append(out, word.String())
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		out = append(out, word.String())
	}
	return out
}

func parses(args []string) error {
	args = slices.DeleteFunc(args, func(a string) bool { return a == "..." || strings.HasPrefix(a, "[") || a == "…" || a == "/" })
	if call, ok := parseHelmCall(append([]string{"fairlead"}, args...), func(string) string { return "" }); ok {
		return call.err
	}
	root := newRootCommand(Streams{})
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("no such command")
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && !cmd.Runnable() {
		return fmt.Errorf("no such command of %s: %s", cmd.CommandPath(), rest[0])
	}
	return flagsExist(cmd, rest)
}

// flagsExist parses flags; their values may be placeholders.
func flagsExist(cmd *cobra.Command, args []string) error {
	cmd.InitDefaultHelpFlag()
	for i, a := range args {
		if a == "--" { // what follows is another program's
			break
		}
		if name, ok := strings.CutPrefix(a, "--"); ok && name != "" {
			name, _, _ = strings.Cut(name, "=")
			if cmd.Flag(name) == nil {
				return fmt.Errorf("no flag --%s", name)
			}
			continue
		}
		if strings.HasPrefix(a, "-") && len(a) > 1 && cmd.Flags().ShorthandLookup(a[1:2]) == nil && cmd.InheritedFlags().ShorthandLookup(a[1:2]) == nil {
			return fmt.Errorf("no flag %s", args[i])
		}
	}
	if err := cmd.ParseFlags(nil); err != nil && !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return nil
}

func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		`a --b 'c d' "e" # f`:     {"a", "--b", "c d", "e"},
		`releases -o json | jq .`: {"releases", "-o", "json"},
		`export crds > x`:         {"export", "crds"},
		`alerts list|silence`:     {"alerts", "list"},
	} {
		if got := words(line); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
