package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// terminal is where a command shows things to a person and asks.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	person   bool // somebody can answer
}

func newTerminal(cmd *cobra.Command) terminal {
	return terminal{in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), person: term.IsTerminal(int(os.Stdin.Fd()))}
}

func (t terminal) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// confirm asks a question. Without a person to answer it --yes is needed.
func (t terminal) confirm(yes bool, format string, args ...any) (bool, error) {
	question := fmt.Sprintf(format, args...)
	if yes {
		return true, nil
	}
	if !t.person {
		return false, errors.New(question + " Nobody can answer here: say --yes to approve")
	}
	fmt.Fprint(t.out, question+" [y/N] ")
	answer, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	if answer != "y" && answer != "yes" {
		t.say("Nothing was approved.")
		return false, nil
	}
	return true, nil
}

// table prints rows in columns; what a cell must not hold is taken out.
func (t terminal) table(header []string, rows [][]string) {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(header, "\t"))
	for _, row := range rows {
		for i := range row {
			row[i] = plain(row[i], 80)
		}
		fmt.Fprintln(table, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = table.Flush() // to a terminal or a buffer
}

func (t terminal) methods(methods []method) {
	if len(methods) == 0 {
		t.say("Its server has no way to tell its methods: any may be called.")
		return
	}
	header := []string{"METHOD", "DESCRIPTION"}
	var rows [][]string
	for _, m := range methods {
		first, _, _ := strings.Cut(strings.TrimSpace(m.Description), "\n")
		row := []string{m.Name, plain(first, 70)}
		if marks := m.marks(); marks != "" {
			row = append(row, marks)
			header = []string{"METHOD", "DESCRIPTION", "NOTE"}
		}
		rows = append(rows, row)
	}
	t.table(header, rows)
}

// marks are what a reader should know of a method.
func (m method) marks() string {
	var marks []string
	if m.Difference != "" {
		marks = append(marks, m.Difference+" since it was approved")
	}
	for _, f := range m.Flags {
		marks = append(marks, "! "+f.What+" in "+f.Path)
	}
	return strings.Join(marks, "; ")
}

func (t terminal) json(value any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// plain makes a stranger's text fit for one line of a terminal: no control
// characters, which it would obey, and none that can't be seen.
func plain(text string, most int) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "�"))), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// printable is plain for texts of several lines.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
