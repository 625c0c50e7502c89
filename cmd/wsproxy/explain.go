package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect/explain"
)

// explainLimit bounds what explain reads, in characters.
const explainLimit = 4 << 20

func explainCmd() *cobra.Command {
	var base, build bool
	cmd := &cobra.Command{
		Use:   "explain [BYTES]",
		Short: "Take WebSocket frames apart, bit by bit, in words",
		Long: `Explain the frames that BYTES are: hexadecimal, with or without spaces, or
base64. Without BYTES they are read from the standard input. Each field is shown
with its bits, its meaning and the section of RFC 6455 that it comes from.

With --build it is the other way round: words make frames, legal or not, and
their bytes are printed. A frame is its opcode (text, binary, cont, close, ping,
pong or op=N), then in any order "texts" and 0xBYTES for the payload, each as
often as *N says; fin=0, rsv1, rsv2, rsv3; mask=KEY; len=16bit or 64bit;
claims=N for a length that is not the payload's; of a Close its code. Behind +
comes the next fragment of the message, behind ; the next frame.`,
		Example: `  wsproxy explain 818537fa213d7f9f4d5158
  wsproxy explain 81 05 48 65 6c 6c 6f
  echo gQVIZWxsbw== | wsproxy explain --base64
  wsproxy explain --build 'text "Hello" mask=37fa213d'
  wsproxy explain --build 'text "Hel" + "lo"; close 1000 "bye"' | wsproxy explain`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := explainText(cmd, args, build)
			if err != nil {
				return err
			}
			if build {
				return buildFrames(cmd, text, base)
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
	cmd.Flags().BoolVar(&build, "build", false, "make frames of words, and print their bytes")
	return cmd
}

// explainText is what explain was given, in its arguments or else on its input.
func explainText(cmd *cobra.Command, args []string, words bool) (string, error) {
	switch {
	case len(args) > 0 && words:
		return strings.Join(args, " "), nil
	case len(args) > 0:
		return strings.Join(args, ""), nil
	}
	in, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), explainLimit))
	if err != nil {
		return "", failf("", "the standard input: %v", cause(err))
	}
	return string(in), nil
}

// buildFrames prints the bytes of the frames that words stand for.
func buildFrames(cmd *cobra.Command, words string, base bool) error {
	b, err := explain.Build(words)
	var wrong *explain.BuildError
	switch {
	case errors.As(err, &wrong):
		return usagef("wsproxy explain --build 'text \"Hello\" mask=37fa213d'; the quotes are for the shell", "the frames, %v", wrong)
	case err != nil:
		return err
	case len(b) == 0:
		return usagef("wsproxy explain --build 'text \"Hello\" mask=37fa213d'", "there is no frame to build")
	}
	text := hex.EncodeToString(b)
	if base {
		text = base64.StdEncoding.EncodeToString(b)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
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
