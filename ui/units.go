package ui

import (
	"fmt"
	"time"
)

// bytesOf is an amount of bytes as people say it: "52 B", "310 kB", "1.2 MB".
func bytesOf(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if f /= 1000; f < 999.5 || unit == "PB" {
			if f < 9.95 {
				return fmt.Sprintf("%.1f %s", f, unit)
			}
			return fmt.Sprintf("%.0f %s", f, unit)
		}
	}
	return ""
}

// count is a number with its noun.
func count[N int | int64 | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// since is a time within a session: seconds to the millisecond, or hours.
func since(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < 1000*time.Second {
		return fmt.Sprintf("%.3f", d.Seconds())
	}
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// between is the time from one row to the next.
func between(d time.Duration) string {
	switch {
	case d < 0:
		return "+0"
	case d < time.Millisecond:
		return fmt.Sprintf("+%dµs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("+%.1fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("+%dms", d.Milliseconds())
	case d < 1000*time.Second:
		return fmt.Sprintf("+%.2fs", d.Seconds())
	}
	return fmt.Sprintf("+%dm", int(d.Minutes()))
}

// span is a length of time in words.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
