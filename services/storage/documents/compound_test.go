package documents

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// little writes numbers, the least significant byte first.
func little(values ...any) (b []byte) {
	for _, value := range values {
		switch v := value.(type) {
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		case int: // a byte
			b = append(b, byte(v))
		default:
			b, _ = binary.Append(b, binary.LittleEndian, v)
		}
	}
	return b
}

// stored is an entry of a container: a stream, or what holds the entry after it.
type stored struct {
	name    string
	content []byte
	storage bool
}

// compoundOf is a container of these streams, each of 4,096 bytes or more: smaller ones
// are stored otherwise ([MS-CFB] Compound File Mini FAT Sectors). They hang on each other like a list.
func compoundOf(entries ...stored) []byte {
	const sector, end, none = 512, uint32(0xfffffffe), uint32(0xffffffff)
	var body []byte
	var fat []uint32
	add := func(content []byte) (first uint32) {
		first = uint32(len(fat))
		for len(content) > 0 {
			n := min(sector, len(content))
			body = append(body, content[:n]...)
			body = append(body, make([]byte, sector-n)...)
			content = content[n:]
			fat = append(fat, uint32(len(fat)+1))
		}
		fat[len(fat)-1] = end
		return first
	}
	directory := func(name string, kind int, next, child, from uint32, size int) []byte {
		b := utf16Of(name, false, false)
		return little(b, make([]byte, 64-len(b)), uint16(len(b)+2), kind, 1, none, next, child, make([]byte, 36), from, uint64(size))
	}
	first := none
	if len(entries) > 0 {
		first = 1
	}
	all := directory("Root Entry", 5, none, first, end, 0)
	for i, e := range entries {
		next, child := uint32(i+2), none
		if i+1 == len(entries) {
			next = none
		}
		if e.storage {
			all = append(all, directory(e.name, 1, none, next, end, 0)...)
			continue
		}
		content := append(slices.Clone(e.content), make([]byte, max(0, 4096-len(e.content)))...)
		all = append(all, directory(e.name, 2, next, child, add(content), len(content))...)
	}
	for len(all)%sector != 0 {
		all = append(all, directory("", 0, none, none, 0, 0)...)
	}
	root := add(all)
	sectors := 0
	for len(fat)+sectors > sectors*sector/4 {
		sectors++
	}
	difat := make([]uint32, 109)
	for i := range difat {
		if difat[i] = none; i < sectors {
			difat[i] = uint32(len(fat))
			fat = append(fat, 0xfffffffd)
		}
	}
	for len(fat)%(sector/4) != 0 {
		fat = append(fat, none)
	}
	return little("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", make([]byte, 16), uint16(0x3e), uint16(3), uint16(0xfffe), uint16(9), uint16(6), make([]byte, 6),
		uint32(0), uint32(sectors), root, uint32(0), uint32(4096), end, uint32(0), end, uint32(0), difat, body, fat)
}

// olds are the files of Office 97 among the fixtures; two are encrypted.
func olds(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, pattern := range []string{"testdata/files/*.xls", "testdata/files/*.doc", "testdata/*.xls", "testdata/*.doc"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			files[filepath.Base(name)], err = os.ReadFile(name)
			require.NoError(t, err)
		}
	}
	require.GreaterOrEqual(t, len(files), 8)
	return files
}

// TestCutOffOldFiles: half a file that looks like all of it would be believed. What can
// be missing is what follows the text.
func TestCutOffOldFiles(t *testing.T) {
	t.Parallel()
	for name, content := range olds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, err := read(t, name, content)
			closed := err != nil
			refused := 0
			for cut := 8; cut < len(content); cut += 151 {
				doc, err := read(t, name, content[:cut])
				if err == nil {
					require.Equal(t, whole, doc, cut)
					continue
				}
				var fault *services.Error
				require.ErrorAs(t, err, &fault)
				if refused++; !closed || fault.Code != CodeEncrypted {
					requireFault(t, err, services.Invalid, CodeBroken, "cut off or damaged")
				}
			}
			require.NotZero(t, refused)
		})
	}
}

// TestDamagedOldFiles flips bytes everywhere.
func TestDamagedOldFiles(t *testing.T) {
	t.Parallel()
	for name, content := range olds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			for range 500 {
				damaged := slices.Clone(content)
				for range 1 + random.IntN(8) {
					damaged[random.IntN(len(damaged))] = byte(random.Uint32())
				}
				requireSound(t, extractionOf(t, name, damaged))
			}
		})
	}
}

func TestContainers(t *testing.T) {
	t.Parallel()
	book := stored{name: "Workbook", content: sheets97(row97("one"))}
	doc, err := read(t, "", compoundOf(book))
	require.NoError(t, err)
	require.Equal(t, "one", doc.Text())

	t.Run("what is in the root counts", func(t *testing.T) {
		t.Parallel()
		within := compoundOf(stored{name: "Workbook", content: sheets97(row97("one"))}, stored{name: "MBD01", storage: true}, stored{name: "WordDocument"}, stored{name: "EncryptedPackage"})
		doc, err := read(t, "", within)
		require.NoError(t, err)
		require.Equal(t, "xls", doc.Type)
		_, err = read(t, "", compoundOf(stored{name: "MBD01", storage: true}, book))
		requireFault(t, err, services.Unsupported, "", "Files of old office programs are not read")
	})
	t.Run("sectors in a circle", func(t *testing.T) {
		t.Parallel()
		content := compoundOf(stored{name: "Workbook", content: sheets97(row97(strings.Repeat("long ", 3000)))})
		table := len(content) - 512 // the only sector of the table of sectors
		for sector := range 128 {
			for _, next := range []uint32{0, uint32(sector), uint32(max(0, sector-1)), 3, 0x00ffffff, 0xfffffffd} {
				circle := slices.Clone(content)
				binary.LittleEndian.PutUint32(circle[table+4*sector:], next)
				requireSound(t, extractionOf(t, "", circle))
			}
		}
	})
	t.Run("a stream longer than its file", func(t *testing.T) {
		t.Parallel()
		content := compoundOf(book)
		at := bytes.Index(content, utf16Of("Workbook", false, false))
		copy(content[at+120:], "\xff\xff\xff\x7f")
		_, err := read(t, "", content)
		requireFault(t, err, services.Invalid, CodeBroken, "This workbook is cut off")
	})
	t.Run("objects within objects", func(t *testing.T) {
		t.Parallel()
		entries := []stored{book}
		for range 2000 {
			entries = append(entries, stored{name: "deep", storage: true})
		}
		doc, err := read(t, "", compoundOf(entries...))
		require.NoError(t, err)
		require.Equal(t, "one", doc.Text())
		begun := time.Now()
		_, err = read(t, "", compoundOf(append(entries, slices.Repeat(entries[1:], 2)...)...))
		requireFault(t, err, services.Invalid, CodeTooLarge, "more than 4096 objects")
		require.Less(t, time.Since(begun), 5*time.Second)
	})
	t.Run("bounds", func(t *testing.T) {
		t.Parallel()
		x := extractionOf(t, "", compoundOf(book))
		x.limits.Unpacked = 4000
		_, err := x.run()
		requireFault(t, err, services.Invalid, CodeTooLarge, "")
	})
	t.Run("no streams", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"Workbook", "WordDocument"} {
			_, err := read(t, "", compoundOf(stored{name: name, storage: true}, stored{name: "x"}))
			requireFault(t, err, services.Invalid, CodeBroken, "")
			_, err = read(t, "", compoundOf(stored{name: name}))
			requireFault(t, err, services.Invalid, CodeBroken, "")
		}
	})
}
