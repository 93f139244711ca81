package imports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"uaol/services"
)

// asJSON gives the document as JSON and as plain values; YAML's aliases are
// written out in both.
func asJSON(document []byte) ([]byte, map[string]any, error) {
	notOne := services.Errorf(services.Invalid, "the document is neither JSON nor YAML with an object in it")
	if !bytes.HasPrefix(bytes.TrimSpace(document), []byte("{")) {
		var loose any
		if err := yaml.Unmarshal(document, &loose); err != nil {
			return nil, nil, notOne.Because(err)
		}
		budget := maxParsed
		plain, err := plainly(loose, 0, &budget)
		if err != nil {
			return nil, nil, err
		}
		if document, err = json.Marshal(plain); err != nil {
			return nil, nil, notOne.Because(err)
		}
	}
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil || root == nil || decoder.More() {
		return nil, nil, notOne.Because(err)
	}
	return document, root, nil
}

// plainly makes of YAML's values those that JSON has: 200 as a key is "200".
func plainly(value any, depth int, budget *int) (any, error) {
	if *budget -= 8; depth > maxDepth || *budget < 0 {
		return nil, services.Errorf(services.Invalid, "the document is nested too deeply, or its aliases make too much of it")
	}
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			plain, err := plainly(inner, depth+1, budget)
			if err != nil {
				return nil, err
			}
			*budget -= len(key)
			out[key] = plain
		}
		return out, nil
	case map[any]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			plain, err := plainly(inner, depth+1, budget)
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(key)] = plain
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			plain, err := plainly(inner, depth+1, budget)
			if err != nil {
				return nil, err
			}
			out[i] = plain
		}
		return out, nil
	case string:
		*budget -= len(v)
	}
	return value, nil
}

// foreign finds a reference that leads outside the document, and what is nested
// so deeply that nobody wrote it.
func foreign(value any, depth int) string {
	if depth > maxDepth {
		return "what is nested more than 100 times"
	}
	switch v := value.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && !strings.HasPrefix(ref, "#") {
			return ref
		}
		for _, inner := range v {
			if found := foreign(inner, depth+1); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range v {
			if found := foreign(inner, depth+1); found != "" {
				return found
			}
		}
	}
	return ""
}

// withTextVersion mends what many get wrong in YAML: version: 1.0 is a number.
func withTextVersion(text []byte, root map[string]any) ([]byte, error) {
	info := asMap(root["info"])
	if _, isText := info["version"].(string); isText || info["version"] == nil {
		return text, nil
	}
	info["version"] = fmt.Sprint(info["version"])
	return json.Marshal(root)
}
