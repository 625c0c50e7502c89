package record

import "os"

// Scratch makes a file for what is worked out of the recording and may not fill the
// memory. It lies where the Store's own index does, has no name, and is gone when it is
// closed, at the latest when this process ends where the system can do that: the caller
// must close it with Discard.
func (s *Store) Scratch() (*os.File, error) { return nameless(s.side.dirs, "wsproxy-*.talk") }

// Discard closes a file that Scratch made. Nothing of it is kept.
func Discard(f *os.File) { discard(f) }
