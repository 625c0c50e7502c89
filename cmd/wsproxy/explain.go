package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect/explain"
)

// explainLimit bounds what explain reads, in characters.
const explainLimit = 4 << 20

func explainCmd() *cobra.Command {
	var base bool
	cmd := &cobra.Command{
		Use:   "explain [BYTES]",
		Short: "Take WebSocket frames apart, bit by bit, in words",
		Long: `Explain the frames that BYTES are: hexadecimal, with or without spaces, or base64.
Without BYTES they are read from the standard input. Each field is shown with its
bits, its meaning and the section of RFC 6455 that it comes from.`,
		Example: `  wsproxy explain 818537fa213d7f9f4d5158
  wsproxy explain 81 05 48 65 6c 6c 6f
  echo gQVIZWxsbw== | wsproxy explain --base64`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.Join(args, "")
			if len(args) == 0 {
				in, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), explainLimit))
				if err != nil {
					return failf("", "the standard input: %v", cause(err))
				}
				text = string(in)
			}
			b, err := frameBytes(text, base)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if err := explain.Write(out, b); errors.Is(err, explain.ErrEmpty) {
				return usagef("wsproxy explain 818537fa213d7f9f4d5158", "there are no bytes to explain")
			} else if err != nil {
				return err
			}
			return out.Flush()
		},
	}
	cmd.Flags().BoolVar(&base, "base64", false, "the bytes are in base64")
	return cmd
}

// frameBytes reads bytes as people write them.
func frameBytes(text string, base bool) ([]byte, error) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !base && (r == ':' || r == ',') {
			return -1
		}
		return r
	}, text)
	if base {
		text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		b, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			return nil, usagef("without --base64 the bytes are hexadecimal", "the bytes are no base64: %v", err)
		}
		return b, nil
	}
	text = strings.ReplaceAll(strings.ToLower(text), "0x", "")
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, usagef("--base64 reads base64", "the bytes are no hexadecimal: %v", err)
	}
	return b, nil
}
