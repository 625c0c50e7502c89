package inspect

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// magic is how the files of a kind begin.
type magic struct {
	at    int
	bytes string
	kind  string
}

// magics are the kinds that bytes are known by, the longer signs first.
var magics = []magic{
	{0, "\x89PNG\r\n\x1a\n", "PNG image"},
	{0, "GIF87a", "GIF image"},
	{0, "GIF89a", "GIF image"},
	{0, "\xff\xd8\xff", "JPEG image"},
	{8, "WEBP", "WebP image"},
	{8, "WAVE", "WAV audio"},
	{8, "AVI ", "AVI video"},
	{4, "ftypavif", "AVIF image"},
	{4, "ftypheic", "HEIC image"},
	{4, "ftyp", "MP4 media"},
	{4, "moofmfhd", "MP4 fragment"},
	{4, "styp", "MP4 segment"},
	{0, "\x1aE\xdf\xa3", "WebM or Matroska media"},
	{0, "OggS", "Ogg media"},
	{0, "fLaC", "FLAC audio"},
	{0, "ID3", "MP3 audio"},
	{0, "%PDF-", "PDF document"},
	{0, "PK\x03\x04", "ZIP archive"},
	{0, "\x1f\x8b\x08", "gzip data"},
	{0, "\x28\xb5\x2f\xfd", "Zstandard data"},
	{0, "\x04\x22\x4d\x18", "LZ4 data"},
	{0, "\xff\x06\x00\x00sNaPpY", "Snappy data"},
	{0, "BZh", "bzip2 data"},
	{0, "\xfd7zXZ\x00", "xz data"},
	{0, "7z\xbc\xaf\x27\x1c", "7-Zip archive"},
	{257, "ustar", "tar archive"},
	{0, "\x00asm", "WebAssembly module"},
	{0, "\x7fELF", "ELF program"},
	{0, "SQLite format 3\x00", "SQLite database"},
	{0, "PAR1", "Parquet data"},
	{0, "ARROW1", "Arrow data"},
	{0, "Obj\x01", "Avro data"},
	{0, "\xd9\xd9\xf7", "CBOR data"},
	{0, "\xac\xed\x00\x05", "Java serialization"},
	{0, "wOF2", "WOFF2 font"},
	{0, "wOFF", "WOFF font"},
	{0, "glTF", "glTF model"},
	{0, "\x0a\x0d\x0d\x0a", "pcapng recording"},
	{0, "RFB 003.", "VNC (RFB) greeting"},
	{0, "SSH-2.0-", "SSH greeting"},
	{0, "\x16\x03", "TLS record"},
}

// riff stands in front of a length, and what the sign at 8 says.
const riff = "RIFF"

// Kind names what bytes are, by how they begin: "PNG image 640x480", "gzip data".
// It is empty where they say nothing. It looks at the first 300 bytes and its
// answer is safe to show.
func Kind(b []byte) string {
	for _, m := range magics {
		if len(b) < m.at+len(m.bytes) || string(b[m.at:m.at+len(m.bytes)]) != m.bytes {
			continue
		}
		if m.at == 8 && !bytes.HasPrefix(b, []byte(riff)) {
			continue
		}
		if w, h, ok := extent(m.kind, b); ok {
			return fmt.Sprintf("%s %dx%d", m.kind, w, h)
		}
		return m.kind
	}
	if len(b) > 2 && b[0] == 0x78 && binary.BigEndian.Uint16(b)%31 == 0 && b[1]&0x20 == 0 { // RFC 1950 section 2.2
		return "zlib data"
	}
	return ""
}

// extent is an image's width and height, where they stand at a fixed place.
func extent(kind string, b []byte) (w, h uint32, ok bool) {
	switch {
	case kind == "PNG image" && len(b) >= 24:
		return binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:]), true
	case kind == "GIF image" && len(b) >= 10:
		return uint32(binary.LittleEndian.Uint16(b[6:])), uint32(binary.LittleEndian.Uint16(b[8:])), true
	}
	return 0, 0, false
}
