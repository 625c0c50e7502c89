package ui

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// saving is the saving that runs.
type saving struct {
	cancel context.CancelFunc // nil: none
	words  string             // what is said while it runs
}

// saveTold is how often the progress is told.
const saveTold = 100 * time.Millisecond

func canSave(v *view) bool { return v.options.Save != nil }

// askSave asks for the file that the recording is saved to.
func (v *view) askSave() {
	if v.saving.cancel != nil {
		v.said = "it is being saved already"
		return
	}
	v.askFor("save as: ", time.Now().Format("wsproxy-20060102-150405.pcapng"), func(path string) {
		if path != "" {
			v.save(path)
		}
	})
}

// saveAs saves under a name that was written.
func (v *view) saveAs(path string) {
	if v.saving.cancel != nil {
		v.said = "it is being saved already"
		return
	}
	v.save(path)
}

// save saves on a goroutine that Run waits for.
func (v *view) save(path string) {
	ctx, cancel := context.WithCancel(v.ctx)
	v.saving = saving{cancel, "saving … (Esc stops)"}
	v.start(func(context.Context) {
		defer cancel()
		var told time.Time
		said, err := v.options.Save(ctx, path, func(read, total int64) {
			if now := time.Now(); total > 0 && now.Sub(told) >= saveTold {
				told = now
				v.post(func() { v.saving.words = fmt.Sprintf("saving, %d %% … (Esc stops)", read*100/total) })
			}
		})
		v.post(func() {
			v.saving = saving{}
			switch {
			case err == nil:
				v.said = said
			case errors.Is(err, context.Canceled):
				v.said = "nothing was saved"
			default:
				v.said = "not saved: " + err.Error()
			}
		})
	})
}

func (v *view) stopSaving() {
	v.saving.cancel()
	v.saving.words = "stopping …"
}
