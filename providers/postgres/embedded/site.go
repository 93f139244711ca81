package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"go.uber.org/zap"

	"uaol/providers/postgres/embedded/child"
)

// away is where root's clusters live that the unprivileged user could not reach
// in their data directory.
const away = "/var/lib/uaol"

// site is where a cluster is and whom postgres runs as, nil for this user.
type site struct {
	dir  string
	user *child.User
}

func hash(text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:digits]
}

// socketDir is short because a socket's path may have only 107 bytes (103 on
// macOS), and does not ask for TMPDIR because two processes must agree on it.
func socketDir(dataDir string) string {
	return filepath.Join("/tmp", "uaol-"+strconv.Itoa(os.Getuid())+"-"+hash(dataDir, 8))
}

func initialized(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "PG_VERSION"))
	return err == nil
}

func (s *Server) makeDataDir() error {
	if err := os.MkdirAll(s.dataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w; set UAOL_DATA_DIR to a place that can be written", err)
	}
	return nil
}

// Cluster is the directory that PostgreSQL keeps its data in, or will.
func (s *Server) Cluster() (string, error) {
	if err := s.makeDataDir(); err != nil {
		return "", err
	}
	at, err := s.site()
	return at.dir, err
}

// site finds the cluster, or the place for a new one. As root PostgreSQL runs as
// whoever owns the data, else as an unprivileged user that must reach it.
func (s *Server) site() (site, error) {
	home := filepath.Join(s.dataDir, "postgres")
	if os.Geteuid() != 0 {
		return site{dir: home}, owned(home)
	}
	other := filepath.Join(away, hash(s.dataDir, 12))
	for _, dir := range []string{home, other} {
		if initialized(dir) {
			user, err := keeper(dir)
			if err == nil {
				err = reachable(filepath.Dir(dir), user)
			}
			return site{dir, user}, err
		}
	}
	user := child.Unprivileged()
	if err := admit(s.dataDir, user); err != nil {
		return site{}, err
	}
	closed := reachable(s.dataDir, user)
	if closed == nil {
		return site{home, user}, nil
	}
	s.log.Info("the cluster lives outside the data directory", zap.String("cluster", other), zap.String("because", closed.Error()))
	if err := os.MkdirAll(away, 0o711); err != nil {
		return site{}, fmt.Errorf("make a place for the cluster: %w", err)
	}
	return site{other, user}, reachable(away, user)
}

// owned refuses a cluster of somebody else, which PostgreSQL would do less clearly.
func owned(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the cluster: %w", err)
	}
	if uid, _ := owner(info); uid != os.Geteuid() {
		return fmt.Errorf("the cluster in %s belongs to user %s: start as that user or as root, or set UAOL_DATA_DIR", dir, child.ByID(uid, uid).Name)
	}
	return nil
}

// keeper is the user of an existing cluster; one that root owns, because it was
// restored or copied, is given to the unprivileged user.
func keeper(dir string) (*child.User, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("the cluster: %w", err)
	}
	if uid, gid := owner(info); uid != 0 {
		return child.ByID(uid, gid), nil
	}
	user := child.Unprivileged()
	return user, hand(dir, user)
}

// admit lets the user's group pass through a data directory that root keeps for
// itself; nothing becomes readable by that.
func admit(dataDir string, user *child.User) error {
	info, err := os.Stat(dataDir)
	if err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	if uid, _ := owner(info); uid != 0 || info.Mode().Perm()&0o077 != 0 {
		return nil
	}
	if err := os.Chown(dataDir, 0, user.GID); err != nil {
		return fmt.Errorf("open the data directory to group %d: %w", user.GID, err)
	}
	return os.Chmod(dataDir, info.Mode().Perm()|0o010)
}

// reachable says which directory on the way to dir, itself included, is closed
// to the user.
func reachable(dir string, user *child.User) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for {
		info, err := os.Stat(real)
		if err != nil {
			return err
		}
		if user != nil && !user.May(info, 1) {
			return fmt.Errorf("%s is closed to user %s: chmod o+x it or set UAOL_DATA_DIR", real, user.Name)
		}
		if parent := filepath.Dir(real); parent != real {
			real = parent
			continue
		}
		return nil
	}
}

// hand gives a tree to the user; nil keeps it as it is.
func hand(dir string, user *child.User) error {
	if user == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, user.UID, user.GID)
		}
		return err
	})
}

// likeParent gives a file that root made in a user's directory to that user,
// who must be able to open it without root.
func likeParent(path string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(filepath.Dir(path)); err == nil {
		if uid, gid := owner(info); uid != 0 {
			_ = os.Lchown(path, uid, gid)
		}
	}
}

func owner(info os.FileInfo) (uid, gid int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(stat.Uid), int(stat.Gid)
}

// makeSocketDir makes the directory of the socket, or accepts one only if nobody
// else can have put it there: /tmp is open to all.
func makeSocketDir(dir string, user *child.User) error {
	uid := os.Geteuid()
	if user != nil {
		uid = user.UID
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the socket's directory: %w", err)
	}
	if info, err := os.Lstat(dir); err == nil && info.IsDir() && user != nil {
		if has, _ := owner(info); has == 0 { // made by root, now or at a start that was killed
			_ = os.Lchown(dir, user.UID, user.GID)
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("the socket's directory: %w", err)
	}
	if has, _ := owner(info); !info.IsDir() || info.Mode().Perm() != 0o700 || has != uid {
		return fmt.Errorf("%s is not a directory of user %d for that user alone (%s, user %d): remove it", dir, uid, info.Mode(), has)
	}
	return nil
}
