package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bufbuild/protocompile"
	"github.com/pelletier/go-toml/v2"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protocolsFile is where users describe protocols of their own, in wsproxy's folder of
// the user's configuration.
const protocolsFile = "protocols.toml"

// protocolTable is the table of protocols with those of the user's file in front.
// Without a path it is the one in the configuration, which need not be there.
func protocolTable(path string) (*decode.Table, error) {
	asked := path != ""
	if !asked {
		folder, err := os.UserConfigDir()
		if err != nil { // no home: there is no file either
			return decode.NewTable()
		}
		path = filepath.Join(folder, "wsproxy", protocolsFile)
	}
	file, err := os.Open(path)
	if !asked && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
		return decode.NewTable()
	}
	if err != nil {
		return nil, fileError(path, err)
	}
	defer file.Close() // read only
	var found struct {
		Protocol []decode.Rule `toml:"protocol"`
	}
	if err := toml.NewDecoder(file).DisallowUnknownFields().Decode(&found); err != nil {
		return nil, usagef("docs/protocols.md says what a protocol has", "%s: %s", path, tomlError(err))
	}
	table, err := decode.NewTable(found.Protocol...)
	if err != nil {
		return nil, usagef("docs/protocols.md says what a protocol has", "%s: %v", path, err)
	}
	return table, nil
}

// tomlError says in one line what is wrong and where.
func tomlError(err error) string {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		return "there is no key " + strings.Join(unknown.Errors[0].Key(), ".")
	}
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "toml: "), "\n", " ")
}

// schema are the messages that a .proto file has, or the one of a name. What it imports
// is looked for beside it.
func schema(ctx context.Context, path, message string) ([]protoreflect.MessageDescriptor, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fileError(path, err)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{filepath.Dir(path)}})}
	files, err := compiler.Compile(ctx, filepath.Base(path))
	if err != nil {
		return nil, usagef("", "%v", err)
	}
	var all []protoreflect.MessageDescriptor
	var names []string
	messages := files[0].Messages()
	for i := range messages.Len() {
		m := messages.Get(i)
		names = append(names, string(m.Name()))
		if message == "" || message == string(m.Name()) || message == string(m.FullName()) {
			all = append(all, m)
		}
	}
	if len(all) == 0 && message != "" {
		return nil, usagef("it has "+strings.Join(names, ", "), "%s has no message %s", path, message)
	}
	return all, nil
}
