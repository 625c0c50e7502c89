//go:build !linux

package record

import "os"

// partsOf is a file's writer of parts: one after the other here.
func partsOf(f *os.File) partsWriter { return oneByOne{f} }

// writePartsAt writes parts at an offset.
func writePartsAt(f *os.File, parts [][]byte, off int64) (n int, err error) {
	for _, p := range parts {
		k, err := f.WriteAt(p, off+int64(n))
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
