package export

import (
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/wsproxy/wsproxy/record"
)

// writeZstd writes a pcapng.zst (RFC 8878).
func writeZstd(ctx context.Context, from string, w io.Writer, o record.SaveOptions) (record.Saved, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return record.Saved{}, err
	}
	saved, err := record.Convert(ctx, from, z, o)
	return saved, errors.Join(err, z.Close())
}
