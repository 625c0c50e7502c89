package decode

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"
)

// anyJSONValue makes a value that JSON, MessagePack and CBOR can all hold.
func anyJSONValue(rng *rand.Rand, depth int) any {
	kinds := 8
	if depth == 0 {
		kinds = 6
	}
	switch rng.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return rng.IntN(2) == 0
	case 2:
		return int64(rng.Uint64()) >> rng.IntN(64)
	case 3:
		return rng.NormFloat64() * math.Pow(10, float64(rng.IntN(20)))
	case 4:
		b := make([]rune, rng.IntN(40))
		for i := range b {
			b[i] = []rune("aé\"\\\n\u2028𝄞b{[")[rng.IntN(10)]
		}
		return string(b)
	case 5:
		return []any{}
	case 6:
		all := make([]any, rng.IntN(20))
		for i := range all {
			all[i] = anyJSONValue(rng, depth-1)
		}
		return all
	}
	all := map[string]any{}
	for range rng.IntN(20) {
		all[string(rune('a'+rng.IntN(26)))+"key"] = anyJSONValue(rng, depth-1)
	}
	return all
}

// The walkers read what the libraries write, and mean the same.
func TestFormsAgreeWithLibraries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		v := anyJSONValue(rng, 4)
		want := normal(t, v)
		packed, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		boxed, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []struct {
			name string
			b    []byte
			read func([]byte, int) (Node, int, string)
		}{{"MessagePack", packed, msgpackWhole}, {"CBOR", boxed, cborWhole}, {"JSON", text, func(b []byte, i int) (Node, int, string) {
			end, why := jsonValue(b, i)
			return jsonNode(b[i:end]), end, why
		}}} {
			n, end, why := form.read(form.b, 0)
			if why != "" || end != len(form.b) {
				t.Fatalf("%s of %v: %d of %d bytes, %s", form.name, v, end, len(form.b), why)
			}
			var got any
			if err := json.Unmarshal(n.JSON(), &got); err != nil {
				t.Fatalf("%s of %v: %v in %s", form.name, v, err, n.JSON())
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %v, not %v", form.name, got, want)
			}
			for cut := range min(len(form.b), 40) { // nothing that is cut short is whole, but a number
				if _, end, why := form.read(form.b[:cut], 0); why == "" && n.Type != Number && end <= cut {
					t.Fatalf("%s of %v is whole after %d of %d bytes", form.name, v, cut, len(form.b))
				}
			}
		}
	}
}

// normal is a value as encoding/json reads what it wrote. Texts with JSON in them are
// not among them: they are written unpacked.
func normal(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var n any
	if err := json.Unmarshal(b, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever encoding/json takes is taken, and nothing else, but for escapes and
// control characters in strings, which are shown as they are.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,true,null,"x\"y"]}`, `[]`, `{}`, `[1,]`, `{"a"}`, `[01]`, `-`, `"`, `[[[`, ` { "a" : 1 } `, `[1 2]`, `{"a":1,}`, `tru`, `[-0.0E+1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i := skipBlank(b, 0)
		end, why := jsonValue(b, i)
		ours := why == "" && skipBlank(b, end) == len(b)
		theirs := json.Valid(b)
		if theirs && !ours {
			if why == "it is nested too deep" {
				return
			}
			t.Fatalf("%q is JSON, and: at %d %s", b, end, why)
		}
		if ours && !theirs {
			for _, c := range b {
				if c < 0x20 && !blank(c) || c == '\\' || blank(c) && c != ' ' {
					return // inside a string, maybe
				}
			}
			t.Fatalf("%q is no JSON", b)
		}
		if ours {
			n := jsonNode(b[i:end])
			if s := n.JSON(); !json.Valid(s) {
				t.Fatalf("%q is written as %q", b, s)
			}
		}
	})
}
