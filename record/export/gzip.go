package export

import (
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/wsproxy/wsproxy/record"
)

// writeGzip writes a pcapng.gz (RFC 1952).
func writeGzip(ctx context.Context, from string, w io.Writer, o record.SaveOptions) (record.Saved, error) {
	z := gzip.NewWriter(w)
	saved, err := record.Convert(ctx, from, z, o)
	return saved, errors.Join(err, z.Close())
}
