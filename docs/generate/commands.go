package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// commandsPage describes every command: what `--help` says, in one page.
func commandsPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(generated + "# Commands\n\n" +
		"What `--help` of each command says. Results go to stdout, everything else to stderr.\n" +
		"Completion for your shell: `source <(fairlead completion bash)`, or `zsh`, `fish`, `powershell`. Man pages: `make man` writes them to `dist/man`.\n\n")
	all := commandsBelow(root)
	for _, c := range all {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
	}
	for _, c := range all {
		writeCommand(&b, c)
	}
	return b.String()
}

// commandsBelow lists the commands that a user sees, parents first.
func commandsBelow(c *cobra.Command) (out []*cobra.Command) {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		out = append(out, sub)
		out = append(out, commandsBelow(sub)...)
	}
	return out
}

func writeCommand(b *strings.Builder, c *cobra.Command) {
	c.InitDefaultHelpFlag()
	fmt.Fprintf(b, "\n## %s\n\n%s\n", c.CommandPath(), c.Short)
	if c.Runnable() {
		block(b, "text", c.UseLine())
	}
	if c.Long != "" {
		block(b, "text", c.Long)
	}
	if c.Example != "" {
		b.WriteString("\nExamples:\n")
		block(b, "sh", dedent(c.Example))
	}
	if usages := c.NonInheritedFlags().FlagUsages(); c.Runnable() && usages != "" {
		b.WriteString("\nFlags:\n")
		block(b, "text", usages)
	}
	if usages := c.InheritedFlags().FlagUsages(); c.Runnable() && usages != "" {
		b.WriteString("\nFlags of the commands above it:\n")
		block(b, "text", usages)
	}
}

func block(b *strings.Builder, language, text string) {
	var lines []string
	for _, line := range strings.Split(strings.Trim(text, "\n"), "\n") {
		lines = append(lines, strings.TrimRight(line, " \t"))
	}
	fmt.Fprintf(b, "\n```%s\n%s\n```\n", language, strings.Join(lines, "\n"))
}

// dedent takes away the two blanks that examples begin their lines with.
func dedent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
