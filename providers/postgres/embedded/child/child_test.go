package child

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain also makes the test binary the parent that some tests kill.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && (os.Args[1] == "kernel" || os.Args[1] == "watchdog") {
		parent(os.Args[1])
	}
	goleak.VerifyTestMain(m)
}

// parent starts a child, says its number and waits to be killed.
func parent(how string) {
	cmd := exec.Command("sleep", "600")
	if how == "kernel" {
		c, err := Start(cmd, nil, syscall.SIGQUIT)
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(c.Pid()) + "\n")
		<-c.Done()
		os.Exit(1)
	}
	if cmd.Start() != nil {
		os.Exit(1)
	}
	if _, err := watchdog(cmd.Process.Pid, syscall.SIGQUIT); err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(cmd.Process.Pid) + "\n")
	_ = cmd.Wait()
	os.Exit(1)
}

func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, how := range []string{"kernel", "watchdog"} {
		cmd := exec.Command(self, how)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, 0), "it runs")
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Eventually(t, func() bool { return ended(pid) }, 2*time.Second, 5*time.Millisecond, how)
	}
}

// ended also takes for ended what nobody has waited for yet.
func ended(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(string(state), "Z")
}

func TestWatchdogLeavesAnotherProcessInPeace(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "600")
	require.NoError(t, cmd.Start())
	release, err := watchdog(cmd.Process.Pid, syscall.SIGKILL)
	require.NoError(t, err)
	release() // as when the child has ended and its number is another's
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.ErrorContains(t, cmd.Wait(), "terminated")
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	// The shell's own child holds the output open: the whole group must end.
	cmd := exec.Command("/bin/sh", "-c", "sleep 600 & echo $!; wait")
	out, in, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = in
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		cancel()
		said <- strings.TrimSpace(line)
	}()
	require.ErrorIs(t, Run(ctx, cmd, nil), context.Canceled)
	require.NoError(t, in.Close())
	pid, err := strconv.Atoi(<-said)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return ended(pid) }, time.Second, 5*time.Millisecond)
	require.NoError(t, out.Close())
}

func TestStartOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := Start(exec.Command("/nonexistent/program"), nil, syscall.SIGKILL)
	require.ErrorContains(t, err, "start /nonexistent/program")
}

func TestAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		require.Nil(t, Unprivileged())
		t.Skip("only root can become another user")
	}
	as := Unprivileged()
	require.NotZero(t, as.UID)
	var out strings.Builder
	cmd := exec.Command("id", "-u")
	cmd.Dir, cmd.Stdout = "/", &out
	require.NoError(t, Run(context.Background(), cmd, as))
	require.Equal(t, strconv.Itoa(as.UID), strings.TrimSpace(out.String()))
}

func TestMay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info := func(mode os.FileMode) os.FileInfo {
		require.NoError(t, os.Chmod(dir, mode))
		i, err := os.Stat(dir)
		require.NoError(t, err)
		return i
	}
	uid, gid := os.Getuid(), os.Getgid()
	require.True(t, (&User{UID: uid, GID: gid}).May(info(0o700), 7))
	require.False(t, (&User{UID: uid, GID: gid}).May(info(0o077), 1), "the owner's bits alone count for the owner")
	require.True(t, (&User{UID: uid + 1, GID: gid}).May(info(0o710), 1))
	require.True(t, (&User{UID: uid + 1, GID: gid + 1, Groups: []int{gid}}).May(info(0o710), 1))
	require.False(t, (&User{UID: uid + 1, GID: gid}).May(info(0o701), 1))
	require.True(t, (&User{UID: uid + 1, GID: gid + 1}).May(info(0o701), 1))
	require.False(t, (&User{UID: uid + 1, GID: gid + 1}).May(info(0o770), 1))
	info(0o700)
}
