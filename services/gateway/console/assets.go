package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed assets
var assetFiles embed.FS

const assetPrefix = Prefix + "/assets/"

// assets are the files by the paths that they are served at. These say what is in all
// of them, for scripts name each other: browsers keep them for good.
var assets = sync.OnceValue(func() files { return readAssets(assetFiles) })

type files struct {
	at       string // what their paths begin with
	contents map[string][]byte
}

func readAssets(from fs.FS) files {
	named, sum := map[string][]byte{}, sha256.New()
	err := fs.WalkDir(from, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".md") {
			return err
		}
		text, err := fs.ReadFile(from, name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		named[strings.TrimPrefix(name, "assets/")] = text
		return err
	})
	if err != nil {
		panic(err)
	}
	at := assetPrefix + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:9]) + "/"
	contents := make(map[string][]byte, len(named))
	for name, text := range named {
		contents[at+name] = text
	}
	return files{at: at, contents: contents}
}

// assetPath is where a file of assets/ is served; an error for one that is not there.
func assetPath(name string) (string, error) {
	all := assets()
	if _, known := all.contents[all.at+name]; !known {
		return "", fmt.Errorf("there is no assets/%s", name)
	}
	return all.at + name, nil
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	text, known := assets().contents[r.URL.Path]
	if !known {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(text))
}
