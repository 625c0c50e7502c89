package replay

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/wsproxy/wsproxy/cassette"
)

// Save writes a cassette to a file, which is there whole or not at all: it is
// written beside it and renamed. A file that is there already is replaced.
func Save(c *cassette.Cassette, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	err = c.Write(f)
	if err == nil {
		err = f.Chmod(0o644) // it is to be looked at, and checked in
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
