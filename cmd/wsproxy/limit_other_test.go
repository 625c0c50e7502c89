//go:build !unix

package main

func limited() { main() }
