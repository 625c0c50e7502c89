package replay

import (
	"errors"
	"syscall"
)

// wasReset says that an error is a reset by the other side.
func wasReset(err error) bool { return errors.Is(err, syscall.WSAECONNRESET) }
