package dispatcher

import (
	"time"

	"github.com/janpfeifer/gonb/internal/kernel"
	"k8s.io/klog/v2"
)

// abortPause is how long nothing more may arrive before a queue is whole: Jupyter sends the cells of "Run all" one by one,
// and the first of them may fail at once.
const abortPause = 100 * time.Millisecond

// queued takes what waits behind a cell that failed out of the queue. It must be called before Jupyter hears of the
// failure, so that nothing is in it that was asked because of that.
func queued() (waiting []*shellMsgParams) {
	for {
		select {
		case params, ok := <-busyMessagesChan:
			if !ok {
				return waiting
			}
			waiting = append(waiting, params)
		case <-time.After(abortPause):
			return waiting
		}
	}
}

// abortCells answers cells that wait behind a failed one with "aborted", as ipykernel does, and all else that waits as usual.
func abortCells(waiting []*shellMsgParams) {
	for _, params := range waiting {
		answer := abortCell
		if params.msg.ComposedMsg().Header.MsgType != "execute_request" {
			answer = func(msg kernel.Message) error { return handleBusyMessage(msg, params.goExec) }
		}
		if err := answer(params.msg); err != nil {
			klog.Errorf("Failed to answer what waited behind a failed cell: %+v", err)
		}
	}
}

// abortCell answers the request to run a cell without running it.
func abortCell(msg kernel.Message) error {
	if err := kernel.PublishKernelStatus(msg, kernel.StatusBusy); err != nil {
		return err
	}
	if err := msg.Reply("execute_reply", map[string]any{"status": "aborted"}); err != nil {
		return err
	}
	return kernel.PublishKernelStatus(msg, kernel.StatusIdle)
}
