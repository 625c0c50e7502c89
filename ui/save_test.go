package ui

import (
	"context"
	"errors"
	"testing"
)

func saveNothing(context.Context, string, func(int64, int64)) (string, error) { return "saved", nil }

// w asks for a file, saves to it while the screen goes on, and says what became of it.
func TestSave(t *testing.T) {
	p := everyday(t)
	p.close()
	type saved struct {
		path     string
		progress func(read, total int64)
		done     chan error
		ctx      context.Context
	}
	calls := make(chan saved, 1)
	save := func(ctx context.Context, path string, progress func(read, total int64)) (string, error) {
		c := saved{path, progress, make(chan error, 1), ctx}
		calls <- c
		select {
		case err := <-c.done:
			return "saved to " + path + " (3 MiB)", err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	d := drive(t, p.store(false), Options{Save: save}, 80, 24)
	d.keys("w").has("save as: wsproxy-2", ".pcapng")
	d.keys("<Ctrl-U>a.pcapng<Enter>").has("saving … (Esc stops)")
	c := <-calls
	if c.path != "a.pcapng" {
		t.Errorf("to %q", c.path)
	}
	c.progress(30, 120)
	d.has("saving, 25 %")
	d.keys("w").has("saving, 25 %").hasNot("save as:")
	d.keys("<Enter>j").has("connection_init") // the screen goes on
	c.done <- nil
	d.has("saved to a.pcapng (3 MiB)")

	d.keys("w<Ctrl-U>b.pcapng<Enter>")
	(<-calls).done <- errors.New("b.pcapng exists already")
	d.has("not saved: b.pcapng exists already")

	d.keys("w<Ctrl-U>c.pcapng<Enter>").has("saving")
	c = <-calls
	d.keys("<Esc>").has("nothing was saved")
	if c.ctx.Err() == nil {
		t.Error("it is not stopped")
	}

	d.keys("w<Esc>").hasNot("save as:") // no file after all
	d.keys("w<Ctrl-U>d.pcapng<Enter>").has("saving")
	<-calls
	d.keysNow("Q") // the screen ends, and does not wait for ever
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}

// What is a file already need not be saved.
func TestNoSave(t *testing.T) {
	p := everyday(t)
	p.close()
	drive(t, p.store(false), Options{}, 80, 24).keys("w").hasNot("save as:", "w save")
}
