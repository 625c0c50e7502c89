package decode

import "strings"

// chromeDevTools is the Chrome DevTools Protocol, which Node's inspector speaks too.
func chromeDevTools() Protocol {
	return Rule{
		Name: "cdp", Title: "Chrome DevTools Protocol: Chromium, Node's inspector",
		Path:   []string{"/devtools/*"},
		First:  []string{"id&method=*.*"},
		Method: []string{"method"},
		ID:     []string{"id+sessionId"},
		Result: []string{"result"},
		Error:  []string{"error"},
		Topic:  []string{"sessionId", "params.sessionId"},
		Body:   []string{"error", "result", "params"},
		spec:   "chromedevtools.github.io/devtools-protocol", pairs: "id and sessionId", heard: ofDomain,
	}.protocol()
}

// webDriverBiDi is WebDriver BiDi.
func webDriverBiDi() Protocol {
	return Rule{
		Name: "webdriver-bidi", Title: "WebDriver BiDi",
		Path:   []string{"/session", "/session/*"},
		First:  []string{"id&method=session.*&params", "id&method=browsingContext.*", "id&method=script.*&params"},
		Method: []string{"method"},
		ID:     []string{"id"},
		Result: []string{"result"},
		Error:  []string{"error"},
		Topic:  []string{"params.context"},
		Body:   []string{"error", "result", "params"},
		spec:   "w3c.github.io/webdriver-bidi", pairs: "id", spoken: true,
	}.protocol()
}

// playwright is what Playwright's client and server speak.
func playwright() Protocol {
	return Rule{
		Name: "playwright", Title: "Playwright, its client and server",
		First:  []string{"id&guid&method", "guid&method=__create__"},
		Method: []string{"method"},
		Detail: []string{"params.type", "params.url"},
		ID:     []string{"id"},
		Result: []string{"result"},
		Error:  []string{"error"},
		Topic:  []string{"guid"},
		Body:   []string{"error", "result", "params"},
		spec:   "github.com/microsoft/playwright packages/protocol", pairs: "id", spoken: true, after: func(it *Item, b []byte) {
			if it.Name == "" && it.Kind == Event && it.ID != "" { // an answer without a result
				it.Kind = Reply
				it.answer(it.ID, false)
			}
		},
	}.protocol()
}

// ofDomain says that a method is one of a domain's: Runtime.evaluate. Other protocols
// have dots in their methods too, but no capital in front.
func ofDomain(b []byte) bool {
	domain, method, _ := strings.Cut(jsonText(jsonGet(b, "method")), ".")
	return domain != "" && method != "" && domain[0] >= 'A' && domain[0] <= 'Z' && method[0] >= 'a' && method[0] <= 'z'
}
