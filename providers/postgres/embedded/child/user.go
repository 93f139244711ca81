package child

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// overflow is the id that Linux and most others give to nobody.
const overflow = 65534

// User is whom a child runs as.
type User struct {
	Name   string
	UID    int
	GID    int
	Groups []int // the supplementary ones, the primary one may be among them
}

// Unprivileged is the user for programs that refuse to run as root: postgres
// where it exists, else nobody. It is nil when this process is not root, whose
// children then simply run as itself.
func Unprivileged() *User {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return from(u)
		}
	}
	return &User{Name: "nobody", UID: overflow, GID: overflow}
}

// ByID is the user with this id, with the groups the machine knows for it; a
// user without an entry in passwd has none but gid.
func ByID(uid, gid int) *User {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return from(u)
	}
	return &User{Name: strconv.Itoa(uid), UID: uid, GID: gid}
}

func from(u *user.User) *User {
	out := &User{Name: u.Username}
	out.UID, _ = strconv.Atoi(u.Uid)
	out.GID, _ = strconv.Atoi(u.Gid)
	ids, _ := u.GroupIds() // without them only the primary group counts
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			out.Groups = append(out.Groups, n)
		}
	}
	return out
}

// May tells whether the permission bits of a file let u do what bits (rwx as
// 4, 2, 1) asks. Access lists are not looked at.
func (u *User) May(info os.FileInfo, bits os.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	shift := 0
	switch {
	case int(stat.Uid) == u.UID:
		shift = 6
	case int(stat.Gid) == u.GID || slices.Contains(u.Groups, int(stat.Gid)):
		shift = 3
	}
	return info.Mode().Perm()>>shift&bits == bits
}

func (u *User) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
	for _, g := range u.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}
