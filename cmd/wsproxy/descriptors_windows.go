package main

// maxConns is 0: Windows has no limit of open sockets for a process.
func maxConns() int { return 0 }
