package main

import (
	"path/filepath"
	"strings"

	"github.com/smallstep/truststore"
)

// systemStore is what is changed, and by which command.
func systemStore() string {
	if len(truststore.SystemTrustCommand) == 0 {
		return "nothing: this system has no store that is known"
	}
	return filepath.Dir(truststore.SystemTrustFilename) + " by " + strings.Join(truststore.SystemTrustCommand, " ") + ", as the administrator"
}
