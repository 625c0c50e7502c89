// Package record keeps what passed in a pcapng file and reads it back: live,
// while the file is still growing, or later. A recording opens in Wireshark as
// it is; docs/recording.md describes what wsproxy adds to the format.
//
// [Writer] takes the tap's output, [Follow] gives it back, [Store] is the index
// over it that a screen draws from.
package record

import (
	"fmt"
)

// commentPrefix stands in front of each note's JSON in a packet comment.
const commentPrefix = "wsproxy: "

// application is what a section header names as its writer, before the version.
const application = "wsproxy "

// ExistsError says that a file is there already and was neither to be
// overwritten nor added to.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string { return e.Path + " exists already" }

// LockedError says that another process, or another Writer, records to the file.
type LockedError struct{ Path string }

func (e *LockedError) Error() string { return e.Path + " is being written by another wsproxy" }

// TornError says that a file ends in the middle of a block: its writer was
// killed, or the file was cut. Everything before Offset was read.
type TornError struct{ Offset int64 }

func (e *TornError) Error() string {
	return fmt.Sprintf("the file ends in the middle of a block that begins at byte %d", e.Offset)
}

// DamagedError says that bytes of a file are no block. They were passed over;
// everything else was read.
type DamagedError struct {
	Offset int64 // of the first such place
	Bytes  int64 // in all
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%d bytes could not be read, the first at byte %d", e.Bytes, e.Offset)
}

// FormatError says that a file is neither pcapng nor pcap.
type FormatError struct{ Offset int64 }

func (e *FormatError) Error() string {
	return fmt.Sprintf("not a pcapng or pcap file (byte %d)", e.Offset)
}
