package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/wsproxy/wsproxy/record"
)

// saveFrom is how the screen saves what a temporary recording holds.
func saveFrom(dir string) func(context.Context, string, func(read, total int64)) (string, error) {
	return func(ctx context.Context, path string, progress func(read, total int64)) (string, error) {
		saved, err := record.Save(ctx, dir, path, record.SaveOptions{Version: version, Progress: progress})
		var exists *record.ExistsError
		switch {
		case errors.As(err, &exists):
			return "", fmt.Errorf("%s exists already; take another name", path)
		case err != nil:
			return "", cause(err)
		}
		return savedAs(path, saved), nil
	}
}

// savedAs says what was saved.
func savedAs(path string, s record.Saved) string {
	text := fmt.Sprintf("saved to %s (%s)", path, size(s.Bytes))
	if s.Lapped > 0 {
		text += fmt.Sprintf("; %s were written over before they were saved", size(s.Lapped))
	}
	return text
}
