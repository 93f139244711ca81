//go:build unix

package upstream

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var background = context.Background()

func ignore(signals chan os.Signal) { signal.Notify(signals, syscall.SIGTERM) }

// about is what a process can say about itself.
func (b *toolbox) about(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ Name string }
	if err := json.Unmarshal(r.Params.Arguments, &in); err != nil {
		return nil, err
	}
	switch in.Name {
	case "pid":
		return text(strconv.Itoa(os.Getpid())), nil
	case "pwd":
		dir, err := os.Getwd()
		return text(dir), err
	case "child":
		child := exec.Command("sh", "-c", `trap "" TERM; sleep 1000 & wait`)
		err := child.Start()
		return text(strconv.Itoa(child.Process.Pid)), err
	case "*":
		var names []string
		for _, entry := range os.Environ() {
			name, _, _ := strings.Cut(entry, "=")
			names = append(names, name)
		}
		slices.Sort(names)
		return text(strings.Join(names, ",")), nil
	default:
		return text(os.Getenv(in.Name)), nil
	}
}
