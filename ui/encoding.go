package ui

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// decodedLimit bounds what is made of an encoded body: a few bytes may claim to be
// a gigabyte.
const decodedLimit = 1 << 20

// decoded undoes a Content-Encoding (RFC 9110 section 8.4), as far as the body goes.
// It is not ok if nothing could be made of it.
func decoded(body []byte, encoding string) (plain []byte, whole, ok bool) {
	in := bytes.NewReader(body)
	var r io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(in)
	case "deflate":
		if r, err = zlib.NewReader(in); err != nil { // some leave out the wrapping
			in.Reset(body)
			r, err = flate.NewReader(in), nil
		}
	case "br": // a window of at most 16 MiB (RFC 7932 section 9.1)
		r = brotli.NewReader(in)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return nil, false, false
	}
	if err != nil {
		return nil, false, false
	}
	plain, err = io.ReadAll(io.LimitReader(r, decodedLimit+1))
	if len(plain) > decodedLimit {
		return plain[:decodedLimit], false, true
	}
	return plain, err == nil, err == nil || len(plain) > 0 && errors.Is(err, io.ErrUnexpectedEOF)
}
