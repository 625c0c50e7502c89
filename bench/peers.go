package main

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
)

// The proxies of others, set up for throughput as their manuals advise: HTTP/1.1 and
// the upgrade passed on, no access log, time limits out of the way.

func startWebsockify(ctx context.Context, p place) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	return startAt(ctx, exec.Command("websockify", addr, p.target), addr)
}

func startNginx(ctx context.Context, p place) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	listen := addr
	if p.tls {
		listen += " ssl"
	}
	path, err := p.config("nginx.conf", `daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 19000; }
http {
  access_log off;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server {
    listen %[2]s backlog=4096;
    ssl_certificate %[4]s; ssl_certificate_key %[4]s;
    location / {
      proxy_pass http://%[3]s;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_buffering off;
      proxy_read_timeout 1h; proxy_send_timeout 1h;
    }
  }
}
`, p.dir, listen, p.target, p.cert)
	if err != nil {
		return nil, err
	}
	return startAt(ctx, exec.Command("nginx", "-e", "stderr", "-p", p.dir, "-c", path), addr)
}

func startHAProxy(ctx context.Context, p place) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	bind := addr
	if p.tls {
		bind += " ssl crt " + p.cert
	}
	path, err := p.config("haproxy.cfg", `global
  maxconn 9400
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend bench
  bind %s
  default_backend server
backend server
  server load %s
`, bind, p.target)
	if err != nil {
		return nil, err
	}
	return startAt(ctx, exec.Command("haproxy", "-db", "-f", path), addr)
}

func startMitmdump(ctx context.Context, p place) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	args := []string{"--mode", "reverse:http://" + p.target, "--listen-host", host, "--listen-port", port,
		"--quiet", "--set", "confdir=" + filepath.Join(p.dir, "mitm")}
	if p.tls {
		args = append(args, "--certs", p.cert)
	}
	return startAt(ctx, exec.Command("mitmdump", args...), addr)
}
