package decode

// jsonRPC is JSON-RPC 2.0 and what is built on it: language servers, MCP, Ethereum.
func jsonRPC() Protocol {
	return Rule{
		Name: "json-rpc", Title: "JSON-RPC 2.0: LSP, MCP, Ethereum, …",
		Subprotocols: []string{"mcp", "json-rpc", "jsonrpc", "graphql-rpc"},
		First:        []string{"jsonrpc=2.0"},
		Method:       []string{"method"},
		Detail:       []string{"params.name", "params.subscription"},
		ID:           []string{"id"},
		Result:       []string{"result"},
		Error:        []string{"error"},
		Topic:        []string{"params.subscription", "params.textDocument.uri"},
		Body:         []string{"error", "result", "params"},
		spec:         "jsonrpc.org/specification", pairs: "id, of each direction by itself; batches", spoken: true,
	}.protocol()
}
