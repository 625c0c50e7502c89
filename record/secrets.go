package record

import (
	"bytes"
	"encoding/json"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The list of what is a credential. Names are compared in lower case; those of
// URL parameters without their punctuation, so that access_token, access-token
// and auth[token] are told alike.

// secretHeaderEnds are how the names of header fields end whose whole value is a
// credential.
var secretHeaderEnds = []string{"authorization", "token", "api-key", "apikey", "secret", "password"}

// secretParams and secretParamEnds are URL parameters whose value is one.
var (
	secretParams = []string{"key", "auth", "sig", "pw", "otp", "jwt", "bearer", "session", "sid", "ticket",
		"code", "assertion", "samlresponse", "hmac", "authorization"}
	secretParamEnds = []string{"token", "secret", "password", "passwd", "passphrase", "apikey", "accesskey", "privatekey",
		"signature", "credential", "credentials", "sessionid", "pass", "pwd"}
)

// schemes are the words in front of credentials that may stay (RFC 9110 section
// 11.1 and its registry). Any other first word may be the secret itself.
var schemes = []string{"basic", "bearer", "digest", "negotiate", "ntlm", "token", "apikey", "aws4-hmac-sha256", "dpop", "gnap",
	"hoba", "mutual", "oauth", "privatetoken", "scram-sha-1", "scram-sha-256", "vapid"}

// tokenProtocols are subprotocols that carry a credential behind this prefix:
// the browser's WebSocket cannot set headers, so it goes here.
var tokenProtocols = []string{"openai-insecure-api-key.", "base64url.bearer.authorization.k8s.io.", "header-", "bearer.",
	"bearer-", "token.", "token-", "auth.", "auth-", "authorization.", "access_token.", "jwt.", "jwt-", "apikey.", "api-key."}

// tokenFollows are subprotocols behind which the credential is the next one.
var tokenFollows = []string{"access_token", "access-token", "authorization", "auth", "bearer", "token", "jwt", "apikey", "api-key", "api_key"}

// cookieAttributes are what of a Set-Cookie may stay (RFC 6265 section 4.1.1).
var cookieAttributes = []string{"expires", "max-age", "domain", "path", "secure", "httponly", "samesite", "partitioned", "priority"}

// tokenShapes are credentials that are known by their looks: JWTs (RFC 7519) and
// the keys of a few services.
var tokenShapes = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){2,4}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[a-z]-[A-Za-z0-9-]{10,}`)

// userinfo is the part of a URL in front of the host, plain or percent-encoded.
var userinfo = regexp.MustCompile(`(?i)://([^/?#\s"<>]*)@|%(?:25)*3A(?:%(?:25)*2F){2}((?:[^/?#&\s"<>%]|%(?:25)*(?:[013-9A-F][0-9A-F]|2[0-9A-E]))*?)%(?:25)*40`)

// encoded is a percent-encoded delimiter of a query, encoded again any number
// of times.
var encoded = regexp.MustCompile(`(?i)^%((?:25)*)(3F|26|23|3B|3D)`)

const (
	filler       = '*' // a token character, and legal in cookies and URLs
	maxParamName = 128
	maxWhat      = 32 // names that one note lists
)

// secrets replaces credentials, and remembers what they were called.
type secrets struct {
	what  []string
	bytes int
}

func (s *secrets) found(what string) {
	if !slices.Contains(s.what, what) && len(s.what) < maxWhat {
		s.what = append(s.what, what)
	}
}

// blank writes over a value. Line ends stay, and the white space behind one that
// makes a folded line, so that a head is framed as before. A value that was written
// over before, as the proxy does with its own password, is none.
func (s *secrets) blank(what string, b []byte) {
	if len(bytes.Trim(b, "* \t\r\n")) == 0 {
		return
	}
	for i, c := range b {
		fold := i > 0 && b[i-1] == '\n' && (c == ' ' || c == '\t')
		if c == '\r' || c == '\n' || fold {
			continue
		}
		b[i] = filler
		s.bytes++
	}
	if len(b) > 0 {
		s.found(what)
	}
}

// head replaces the credentials of an HTTP head in place. One that is not whole
// may end inside a value that cannot be known for what it is yet.
func (s *secrets) head(b []byte, whole bool) {
	started := false
	for len(b) > 0 {
		n := lineEnd(b)
		if !started {
			started = len(bytes.TrimSpace(b[:n])) > 0
			s.startLine(b[:n], whole || n < len(b) || b[n-1] == '\n')
			b = b[n:]
			continue
		}
		for n < len(b) && (b[n] == ' ' || b[n] == '\t') { // folded (RFC 9112 section 5.2)
			n += lineEnd(b[n:])
		}
		s.field(b[:n], whole || n < len(b) || b[n-1] == '\n')
		b = b[n:]
	}
}

func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// startLine: a request's target is a URL, in which quotes and spaces that do not
// belong there end nothing.
func (s *secrets) startLine(b []byte, whole bool) {
	from, to := bytes.IndexByte(b, ' '), bytes.LastIndexByte(b, ' ')
	switch {
	case !whole && from >= 0:
		s.blank("start line", b[from+1:])
	case from > 0 && from < to && bytes.HasPrefix(b[to+1:], []byte("HTTP/1.")):
		s.params(b[from+1:to], "")
		s.text(b)
	case bytes.HasPrefix(b, []byte("HTTP/1.")):
		s.text(b)
	default:
		s.field(b, whole) // no HTTP, and nobody knows what it is
	}
}

// maxName is how far into a line its colon is looked for.
const maxName = 256

// field is a header field with its folded lines. Some peers take a bare CR for
// the end of a line, so what follows one may be another field.
func (s *secrets) field(b []byte, whole bool) {
	for at := 0; ; {
		if s.named(b[at:], whole) {
			s.text(b[:at])
			return
		}
		i := bytes.IndexByte(b[at:], '\r')
		if i < 0 || at+i+1 >= len(b) {
			break
		}
		at += i + 1
	}
	s.text(b)
}

// named takes a field whose name says that it is a credential, or that ends too
// early to be known.
func (s *secrets) named(b []byte, whole bool) bool {
	head := b[:min(len(b), maxName)]
	colon := bytes.IndexByte(head, ':')
	if colon < 0 {
		if colon = bytes.IndexByte(head, ' '); colon < 0 {
			return false
		}
	}
	name := fieldName(b[:colon])
	value := bytes.TrimRight(b[colon+1:], "\r\n")
	value = value[len(value)-len(bytes.TrimLeft(value, " \t\r\n")):]
	shown := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !whole:
		s.blank(shown, value)
	case slices.ContainsFunc(secretHeaderEnds, func(end string) bool { return strings.HasSuffix(name, end) }):
		s.blank(shown, value[schemeLen(value):])
	case name == "cookie", name == "cookie2":
		s.cookies(shown, value, false)
	case name == "set-cookie", name == "set-cookie2":
		s.cookies(shown, value, true)
	case name == "sec-websocket-protocol":
		s.protocols(shown, value)
	default:
		return false
	}
	return true
}

// fieldName is a name in lower case, without bytes that do not belong in one: a
// lenient peer may pass them over.
func fieldName(b []byte) string {
	var name []byte
	for _, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			name = append(name, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			name = append(name, c)
		case c > ' ' && c < 0x7f || len(name) == maxParamName:
			return string(name)
		}
	}
	return string(name)
}

// schemeLen is how much of a value is the name of a scheme and the space behind it.
func schemeLen(v []byte) int {
	word, _, ok := bytes.Cut(v, []byte(" "))
	if !ok || !slices.Contains(schemes, strings.ToLower(string(word))) {
		return 0
	}
	return len(v) - len(bytes.TrimLeft(v[len(word):], " \t"))
}

// cookies keeps the names; of a Set-Cookie the attributes too.
func (s *secrets) cookies(what string, v []byte, set bool) {
	for n := 0; len(v) > 0; n++ {
		end := cookieEnd(v)
		s.cookie(what, v[:end], set && n > 0)
		v = v[min(end+1, len(v)):]
	}
}

// cookieEnd is where a cookie ends: at a semicolon that is not quoted.
func cookieEnd(v []byte) int {
	quoted := false
	for i, c := range v {
		if c == '"' {
			quoted = !quoted
		} else if c == ';' && !quoted {
			return i
		}
	}
	return len(v)
}

func (s *secrets) cookie(what string, c []byte, attribute bool) {
	name, value, ok := bytes.Cut(c, []byte("="))
	bare := strings.ToLower(string(bytes.TrimSpace(name)))
	switch {
	case attribute && slices.Contains(cookieAttributes, bare):
		commas := 0 // behind one a second cookie may stand
		if bare == "expires" {
			commas = 1
		}
		for i := range value {
			if value[i] != ',' {
				continue
			}
			if commas--; commas < 0 {
				s.blank(what, value[i:])
				break
			}
		}
		s.text(value)
	case !ok:
		s.blank(what, bytes.TrimSpace(c))
	default:
		s.blank(what, bytes.TrimSpace(value))
	}
}

// protocols: credentials among the subprotocols.
func (s *secrets) protocols(what string, v []byte) {
	next := false // the one before says that this is a credential
	for len(v) > 0 {
		end := bytes.IndexByte(v, ',')
		if end < 0 {
			end = len(v)
		}
		item := bytes.Trim(v[:end], " \t\r\n\"")
		low := strings.ToLower(string(item))
		prefix := 0
		for _, p := range tokenProtocols {
			if strings.HasPrefix(low, p) {
				prefix = max(prefix, len(p))
			}
		}
		switch {
		case next, prefix > 0, looksRandom(item):
			s.blank(what, item[prefix:])
		}
		next = slices.Contains(tokenFollows, low)
		s.text(v[:end])
		v = v[min(end+1, len(v)):]
	}
}

// looksRandom says that a word is more likely a key than a name.
func looksRandom(word []byte) bool {
	var digits, upper, lower int
	for _, c := range word {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		}
	}
	return len(word) >= 20 && (digits >= 3 && upper+lower >= 3 || digits > 0 && upper > 0 && lower > 0)
}

// text replaces what URLs in a text carry, and what looks like a token.
func (s *secrets) text(b []byte) {
	for _, m := range userinfo.FindAllSubmatchIndex(b, -1) {
		for g := 2; g < len(m); g += 2 {
			if m[g] >= 0 {
				s.blank("userinfo", b[m[g]:m[g+1]])
			}
		}
	}
	s.params(b, " \t\r\n\"<>")
	for _, m := range tokenShapes.FindAllIndex(b, -1) {
		s.blank("token", b[m[0]:m[1]])
	}
}

// params replaces the values of URL parameters, in URLs inside URLs too. A value
// ends at & or #, or at one of ends.
func (s *secrets) params(b []byte, ends string) {
	i := s.param(b, 0, ends)
	for i < len(b) {
		n := delimiter(b[i:])
		if n == 0 {
			i++
			continue
		}
		i = s.param(b, i+n, ends)
	}
}

// param replaces the value of the parameter that begins at i, if it has one that
// is a credential, and answers where to go on.
func (s *secrets) param(b []byte, i int, ends string) int {
	name, n, level := paramName(b[i:])
	if !secretParam(name) {
		return i
	}
	from := i + n
	to := from
	for to < len(b) && !ended(b[to:], level, ends) {
		to++
	}
	s.blank("?"+name, b[from:to])
	return to
}

// delimiter is how long the delimiter is that b begins with; 0: it begins with none.
func delimiter(b []byte) int {
	if strings.IndexByte("?&;# \t\r\n\",", b[0]) >= 0 {
		return 1
	}
	if n, c, _ := percent(b); c != '=' {
		return n
	}
	return 0
}

// percent reads a percent-encoded delimiter: its length, the character, and how
// often it was encoded.
func percent(b []byte) (n int, c byte, level int) {
	if b[0] != '%' {
		return 0, 0, 0
	}
	m := encoded.FindSubmatch(b)
	if m == nil {
		return 0, 0, 0
	}
	c = map[string]byte{"3F": '?', "26": '&', "23": '#', "3B": ';', "3D": '='}[strings.ToUpper(string(m[2]))]
	return len(m[0]), c, 1 + len(m[1])/2
}

// paramName reads a parameter's name: where its value begins, and how often its
// equals sign was encoded. The name is empty if there is none.
func paramName(b []byte) (name string, value, level int) {
	for i := 0; i < len(b) && i < maxParamName; i++ {
		if b[i] == '=' {
			return plainName(b[:i]), i + 1, 0
		}
		if n, c, level := percent(b[i:]); c == '=' {
			return plainName(b[:i]), i + n, level
		}
		if delimiter(b[i:]) > 0 {
			return "", 0, 0
		}
	}
	return "", 0, 0
}

// plainName is a parameter's name without encodings and punctuation.
func plainName(b []byte) string {
	name := string(b)
	for strings.Contains(name, "%") {
		next, err := url.QueryUnescape(name)
		if err != nil || next == name {
			break
		}
		name = next
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

func secretParam(name string) bool {
	return slices.Contains(secretParams, name) ||
		slices.ContainsFunc(secretParamEnds, func(end string) bool { return strings.HasSuffix(name, end) })
}

// ended says that a parameter's value ends here. Inside an encoded URL its own
// encoded delimiters end it, not those of a value encoded once more.
func ended(b []byte, level int, ends string) bool {
	if b[0] == '&' || b[0] == '#' || strings.IndexByte(ends, b[0]) >= 0 {
		return true
	}
	if level == 0 {
		return false
	}
	n, c, l := percent(b)
	return n > 0 && (c == '&' || c == '#') && l <= level
}

// string is a URL, or a text with URLs in it, without credentials.
func (s *secrets) string(text string) string {
	b := []byte(text)
	s.text(b)
	return string(b)
}

// json replaces credentials in the strings of a JSON text: URLs, and heads or
// their fields. The rest stays as it is, in its order.
func (s *secrets) json(js []byte) []byte {
	var out []byte
	key := ""
	for len(js) > 0 {
		if js[0] != '"' {
			out, js = append(out, js[0]), js[1:]
			continue
		}
		n := stringEnd(js)
		text, rest := js[:n], bytes.TrimLeft(js[n:], " \t\r\n")
		js = js[n:]
		var v string
		if json.Unmarshal(text, &v) != nil {
			v = "" // no JSON: nothing of it goes on
		}
		if len(rest) > 0 && rest[0] == ':' {
			key = v
			out = append(out, text...)
			continue
		}
		named := []byte(key + ": " + v) // a field as key and value
		s.named(named, true)
		value := named[len(key)+2:]
		if bytes.IndexByte(value, '\n') >= 0 {
			s.head(value, true)
		} else {
			s.field(value, true)
		}
		out = append(out, quote(value)...)
	}
	return out
}

func quote(b []byte) []byte {
	js, err := json.Marshal(string(b))
	if err != nil {
		return []byte(`""`) // a string always marshals
	}
	return js
}

// stringEnd is the length of the JSON string at the start of js.
func stringEnd(js []byte) int {
	for i := 1; i < len(js); i++ {
		switch js[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(js)
}

// RedactHead is an HTTP head with its credentials replaced as --redact does, in
// memory of its own, and the names of what was replaced.
func RedactHead(head []byte) (redacted []byte, what []string) {
	b := bytes.Clone(head)
	var s secrets
	s.head(b, true)
	return b, s.what
}

// Secret says that a value is a credential: by the name of its header field or of
// its member in a message, such as access_token or password, or by its looks. Names
// that often are not one's, such as key and code, count for parameters of URLs
// alone, which begin with "?" here.
func Secret(name, value string) bool {
	param, inURL := strings.CutPrefix(name, "?")
	name = plainName([]byte(param))
	switch {
	case inURL && secretParam(name), tokenShapes.MatchString(value):
		return true
	case name == "cookie", name == "setcookie", strings.HasSuffix(name, "authorization"):
		return true
	}
	return name != "" && slices.ContainsFunc(secretParamEnds, func(end string) bool { return strings.HasSuffix(name, end) })
}
