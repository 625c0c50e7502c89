package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/proxy/ca"
)

// forwardFlags are those that every forward proxy has, beside a run's.
type forwardFlags struct {
	passThrough, only []string
}

func (f *forwardFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringArrayVar(&f.passThrough, "pass-through", nil, "leave hosts of this `pattern` alone: neither looked at nor recorded, repeatable ('*.bank.example')")
	s.StringArrayVar(&f.only, "only", nil, "look at hosts of this `pattern` only, repeatable")
}

func forwardCmd() *cobra.Command {
	var run rootFlags
	var f forwardFlags
	cmd := &cobra.Command{
		Use:   "forward",
		Short: "An HTTP and SOCKS proxy for clients whose URL cannot be changed",
		Long: `Listen as an HTTP proxy: for clients that are told to use it rather than given
another URL. ws:// and http:// pass in absolute-form and through CONNECT; wss://
and https:// are taken apart with certificates of wsproxy's own CA, which
clients must trust (wsproxy ca). SOCKS5 clients are taken on the same port. What
speaks none of these goes on as it is.`,
		Example: `  wsproxy forward
  curl -x localhost:8080 --cacert "$(wsproxy ca path)" https://example.com/
  wsproxy forward --pass-through '*.bank.example' --socks 127.0.0.1:1080`,
		Args: exactly(0, "no arguments; to stand in front of one server: wsproxy ws://localhost:3000"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if run.forward, err = f.forward(); err != nil {
				return err
			}
			authority, err := openCA()
			if err != nil {
				return err
			}
			run.forward.Leaf = authority.Leaf
			run.output.exchanges = true
			p, err := startProxy(cmd, run, nil)
			if err != nil {
				return err
			}
			if !run.output.quiet {
				fmt.Fprintf(p.err, "clients must trust %s (wsproxy ca env prints how)\n", authority.Path())
			}
			return p.watchUntilEnd(cmd.Context())
		},
	}
	run.registerRun(cmd)
	run.registerRequests(cmd)
	f.register(cmd)
	run.registerSOCKS(cmd)
	return cmd
}

func (f *rootFlags) registerSOCKS(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.socks, "socks", nil, "`host:port` to take SOCKS5 clients on, repeatable")
}

// forward reads the flags.
func (f *forwardFlags) forward() (*proxy.Forward, error) {
	to := &proxy.Forward{}
	for _, p := range f.passThrough {
		to.PassThrough = append(to.PassThrough, proxy.Pattern(p))
	}
	for _, p := range f.only {
		to.Only = append(to.Only, proxy.Pattern(p))
	}
	return to, nil
}

// openCA opens the user's certificate authority, or makes it.
func openCA() (*ca.Authority, error) {
	dir, err := ca.Dir()
	if err != nil {
		return nil, failf("set HOME or WSPROXY_CA_DIR", "%v", err)
	}
	a, err := ca.Open(dir)
	if err != nil {
		return nil, failf("WSPROXY_CA_DIR names another folder", "the certificate authority cannot be used: %v", err)
	}
	return a, nil
}
