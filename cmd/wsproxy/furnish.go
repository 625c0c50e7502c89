package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
)

// furnish gives the screen what is the user's own: colours, keys and marks. What is
// wrong with one of them the screen says; it opens all the same.
func (v *view) furnish(o *ui.Options) {
	o.Theme = themeFor(v.flags.theme, os.Getenv("COLORFGBG"))
	var err error
	if o.Keys, err = readKeys(); err != nil {
		o.Warnings = append(o.Warnings, err.Error())
	}
	if o.Protocols, err = protocolTable(v.flags.meaning.protocols); err != nil {
		o.Warnings = append(o.Warnings, err.Error())
	}
	o.Decode = v.flags.meaning.as
	if save := o.Save; save != nil { // the recording is a temporary one
		var m heldMarks
		o.KeepMarks = m.hold
		o.Save = func(ctx context.Context, path string, progress func(read, total int64)) (string, error) {
			said, err := save(ctx, path, progress)
			if err == nil {
				err = m.write(path)
			}
			return said, err
		}
		return
	}
	if o.Marks, err = record.ReadMarks(v.path); err != nil {
		o.Warnings = append(o.Warnings, fmt.Sprintf("marks of earlier are not shown, and new ones not kept: %v", cause(err)))
		return
	}
	o.KeepMarks = func(all []record.Mark) error { return cause(record.WriteMarks(v.path, all)) }
}

// themeFor is the theme that was asked for, or what the terminal says of its
// background: COLORFGBG ends with the number of its colour.
func themeFor(name, colors string) ui.Theme {
	if t, ok := ui.ParseTheme(name); ok {
		return t
	}
	n, err := strconv.Atoi(colors[strings.LastIndexByte(colors, ';')+1:])
	switch {
	case err != nil || n < 0 || n > 15:
		return ui.TerminalTheme
	case n == 7 || n > 8:
		return ui.Light
	}
	return ui.Dark
}

// heldMarks are the marks on a temporary recording, which are written when that is saved.
type heldMarks struct {
	mu  sync.Mutex
	all []record.Mark
}

func (m *heldMarks) hold(all []record.Mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = all
	return nil
}

func (m *heldMarks) write(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := record.WriteMarks(path, m.all); err != nil {
		return fmt.Errorf("the recording is saved, its marks are not: %w", cause(err))
	}
	return nil
}

// keysFile is where the user's keys are.
func keysFile() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "wsproxy", "keys.toml"), err
}

// keysLimit is how long a keys file may be.
const keysLimit = 1 << 20

// readKeys reads the user's keys; without a file there are none.
func readKeys() (ui.Keys, error) {
	path, err := keysFile()
	if err != nil {
		return ui.Keys{}, nil // there is no home
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return ui.Keys{}, nil
	}
	if err != nil {
		return ui.Keys{}, fmt.Errorf("%s: %w", path, cause(err))
	}
	defer f.Close() // read only
	data, err := io.ReadAll(io.LimitReader(f, keysLimit))
	if err != nil {
		return ui.Keys{}, fmt.Errorf("%s: %w", path, cause(err))
	}
	k, err := ui.ReadKeys(data)
	if err != nil {
		return ui.Keys{}, fmt.Errorf("%s:%w", path, err)
	}
	return k, nil
}

func keysCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Print the screen's commands and their keys, as a keys file",
		Long: `Print every command of the screen with its keys, as a file that may be put into
the configuration folder as wsproxy/keys.toml and changed there. What is wrong
with the file that is there already is an error.`,
		Example: `  wsproxy keys
  wsproxy keys > ~/.config/wsproxy/keys.toml`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := readKeys(); err != nil {
				return usagef("wsproxy keys prints all commands when that is mended", "%v", err)
			}
			path, err := keysFile()
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "# The keys of wsproxy's screen. Put into %s,\n# a line gives a command other keys: one, or a list; [] takes them away.\n", path)
			}
			return ui.WriteKeys(cmd.OutOrStdout())
		},
	}
}
