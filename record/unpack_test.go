package record

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/wsproxy/wsproxy/inspect"
)

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(b, nil)
}

// recorded is a recording of one session with compressed messages both ways.
func recordedFile(t testing.TB) (path string, file []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	recordSession(t, rand.New(rand.NewPCG(7, 71)), w, 1, 40, 20_000)
	closed(t, w)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, file
}

// Everything that reads a recording reads a compressed one, in one frame or many;
// what it is tells by its first bytes, and nothing stays behind.
func TestCompressedRecordings(t *testing.T) {
	plain, file := recordedFile(t)
	want := events(t, plain)
	half := len(file) / 2
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for name, b := range map[string][]byte{
		"gzip":                      gzipped(t, file),
		"two gzip members":          slices.Concat(gzipped(t, file[:half]), gzipped(t, file[half:])),
		"zstd":                      zstandard(t, file),
		"two zstd frames":           slices.Concat(zstandard(t, file[:half]), zstandard(t, file[half:])),
		"a skippable frame, a zstd": slices.Concat([]byte("\x53\x2a\x4d\x18\x03\x00\x00\x00abc"), zstandard(t, file)),
	} {
		path := filepath.Join(t.TempDir(), "whatever.it.is")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		compareEvents(t, events(t, path), want)
		s, err := OpenStore(context.Background(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		p := s.Progress()
		if p.Err != nil || p.Read != p.Size || p.Size != int64(len(file)) || s.Len(0) == 0 {
			t.Errorf("%s: %+v, %d frames", name, p, s.Len(0))
		}
		rows := make([]Row, s.Len(0))
		s.Rows(0, 0, rows)
		if m, err := s.Message(rows[len(rows)-1], 1<<20); err != nil || len(m.Data) == 0 {
			t.Errorf("%s: the last message is %q, %v", name, m.Data, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		out := filepath.Join(t.TempDir(), "out.pcapng")
		if _, err := Save(t.Context(), path, out, SaveOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, file) {
			t.Errorf("%s: unpacked to %d bytes of %d, %v", name, len(got), len(file), err)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v stays behind, %v", left, err)
	}
}

// A torn or damaged archive is read up to there, and that is said.
func TestTornArchives(t *testing.T) {
	plain, file := recordedFile(t)
	whole := newReader(inspect.ClientLeg)
	if err := Follow(t.Context(), plain, nil, whole); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 72))
	for name, b := range map[string][]byte{"gzip": gzipped(t, file), "zstd": zstandard(t, file)} {
		longest := 0
		for n := range 16 {
			cut := 4 + r.IntN(len(b)-5)
			broken := slices.Clone(b[:cut])
			if n%4 == 3 {
				broken = slices.Clone(b)
				broken[cut] ^= 0x55
			}
			path := filepath.Join(t.TempDir(), "a")
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			got := newReader(inspect.ClientLeg)
			err := Follow(t.Context(), path, nil, got)
			var packed *PackedError
			var torn *TornError
			if !errors.As(err, &packed) || !errors.As(err, &torn) || torn.Offset != packed.Offset {
				if n%4 == 3 && (err == nil || errors.As(err, new(*DamagedError))) {
					continue // a header that says nothing of weight, or a text that unpacks to another
				}
				t.Fatalf("%s cut at %d of %d: %v", name, cut, len(b), err)
			}
			if n%4 < 3 && cut > 8 && !strings.Contains(err.Error(), "ends too early") {
				t.Errorf("%s cut at %d: %v", name, cut, err)
			}
			key := legDir{1, inspect.ClientLeg, inspect.ToServer}
			said := got.messages[key]
			longest = max(longest, len(said))
			for i, m := range said {
				if w := whole.messages[key][i]; !bytes.Equal(m.Data, w.Data) && !m.Cut && !m.Undecodable {
					t.Errorf("%s cut at %d: message %d is %.60q and not %.60q", name, cut, i, m.Data, w.Data)
				}
			}
		}
		if longest == 0 {
			t.Errorf("%s: nothing was ever read", name)
		}
	}
}

// endless is a compressed file that unpacks to zeros without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { clear(b); return len(b), nil }
func (endless) Close() error               { return nil }

// A file that unpacks to more than there may be, or than there is room for, ends there.
func TestBombs(t *testing.T) {
	for _, c := range []struct {
		most, space int64
		want        string
	}{
		{3<<20 + 7, math.MaxInt64, "longer than"},
		{math.MaxInt64, 100 << 20, "no room"},
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "a.gz"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPacked(f, func(io.Reader) (io.ReadCloser, error) { return endless{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		p.whole, p.err = false, nil
		p.most, p.space = c.most, func(string) int64 { return c.space }
		buf := make([]byte, 1<<20)
		var n int64
		for {
			k, err := p.ReadAt(buf, n)
			n += int64(k)
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n > 17<<20 || n < 3<<20 {
			t.Errorf("%d bytes were unpacked", n)
		}
		if err := p.fault(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("the error is %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	// What is no recording at all is found out at its first bytes.
	path := filepath.Join(t.TempDir(), "bomb.gz")
	if err := os.WriteFile(path, gzipped(t, make([]byte, 50<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	var format *FormatError
	if err := Follow(t.Context(), path, nil, newHeard()); !errors.As(err, &format) {
		t.Errorf("a bomb: %v", err)
	}
}

// A compressed capture of the older format is read too.
func TestCompressedPcap(t *testing.T) {
	file := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x65\x00\x00\x00")
	path := filepath.Join(t.TempDir(), "a.pcap.gz")
	if err := os.WriteFile(path, gzipped(t, file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(path); err != nil {
		t.Error(err)
	}
	if err := Follow(t.Context(), path, nil, newHeard()); err != nil {
		t.Error(err)
	}
}
