package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"uaol/services"
)

// secretSet is the secrets of a tool, or of a version of it that waits.
type secretSet struct {
	Version int64 // that waits; 0 for what counts
	Entries []secretEntry
}

// secretEntry is a secret that is wanted or given, never its value.
type secretEntry struct {
	Name    string `json:"name"`
	Wanted  bool   `json:"wanted"`
	Missing bool   `json:"missing"`
	Given   []struct {
		Scope   string    `json:"scope"`
		Set     bool      `json:"set"`
		Current bool      `json:"current"`
		Updated time.Time `json:"updated_at"`
	} `json:"given"`
}

// connection is a consent at a tool's authorization server.
type connection struct {
	Connected bool       `json:"connected"`
	Scope     string     `json:"scope"`
	Current   bool       `json:"current"`
	Scopes    string     `json:"scopes"`
	Expires   *time.Time `json:"expires_at"`
	Updated   *time.Time `json:"updated_at"`
}

// scopeText says for whom something is given.
func scopeText(scope string) string {
	switch scope {
	case "tool":
		return "for all callers"
	case "organization":
		return "for the organisation"
	}
	return "for yourself"
}

// secrets asks which there are, also of the version that waits, for those who may know.
func (v *visit) secrets(data *toolData) error {
	t := data.Tool
	sets := []secretSet{{}}
	if t.Proposed != nil {
		sets = append(sets, secretSet{Version: *t.Pending})
	}
	for _, set := range sets {
		version := ""
		if set.Version != 0 {
			version = strconv.FormatInt(set.Version, 10)
		}
		err := v.get(path(some("version", version), "tools", t.ID, "secrets"), &set.Entries)
		if err := unless(err, services.NotFound, services.Forbidden); err != nil {
			return err
		}
		if len(set.Entries) > 0 {
			data.Secrets = append(data.Secrets, set)
		}
	}
	return nil
}

func giveSecret(v *visit) error {
	id := v.r.PathValue("tool")
	name := strings.TrimSpace(v.form("name"))
	body := map[string]any{"value": v.form("value"), "scope": v.form("scope")}
	if v.form("version") != "" {
		version, err := v.number("version")
		if err != nil {
			return err
		}
		body["version"] = version
	}
	if err := v.send(http.MethodPut, path(nil, "tools", id, "secrets", name), body, nil); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "tools", id)+"#secrets", name+" is stored, "+scopeText(v.form("scope"))+". Nobody can read it again.")
}

func forgetSecret(v *visit) error {
	id, name := v.r.PathValue("tool"), v.form("name")
	if err := v.send(http.MethodDelete, path(some("scope", v.form("scope")), "tools", id, "secrets", name), nil, nil); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "tools", id)+"#secrets", name+" is forgotten, "+scopeText(v.form("scope"))+".")
}

type consentData struct {
	Tool tool
	Page string // of the authorization server
	Host string
	Back bool // the browser comes back to the console
}

// beginConsent asks for the page at the authorization server. It is a link to be followed:
// browsers let no form lead out of here.
func beginConsent(v *visit) error {
	var data consentData
	var begun struct {
		Page string `json:"authorizeUrl"`
	}
	id := v.r.PathValue("tool")
	err := v.get(path(nil, "tools", id), &data.Tool)
	if err == nil {
		body := map[string]string{"scope": v.form("scope"), "return_to": Prefix}
		err = v.send(http.MethodPost, path(nil, "tools", id, "authorize"), body, &begun)
	}
	if err != nil {
		return err
	}
	at, err := url.Parse(begun.Page)
	if err != nil || at.Scheme != "https" && at.Scheme != "http" {
		return services.Errorf(services.Upstream, "The authorization server has no page that a browser can open")
	}
	data.Page, data.Host = begun.Page, at.Host
	data.Back = strings.HasPrefix(at.Query().Get("state"), consoleState)
	return v.render(view{Template: "consent", Title: "Connect " + data.Tool.Name, Section: "tools", Data: data})
}

// consoleState begins the state of a consent that comes back here.
const consoleState = "console."

// consentEnd is what a browser came back with.
type consentEnd struct {
	State  string `json:"state"`
	Code   string `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
	Issuer string `json:"iss,omitempty"`
}

func endOf(said url.Values) consentEnd {
	return consentEnd{State: said.Get("state"), Code: said.Get("code"), Error: said.Get("error"), Issuer: said.Get("iss")}
}

// consentReturn is where the authorization server's page leads to. What it came with is
// sent by a form: only who began the consent can end it.
func consentReturn(v *visit) (view, error) {
	return view{Template: "consent-return", Title: "Connect a tool", Section: "tools", Data: endOf(v.r.URL.Query())}, nil
}

func finishConsent(v *visit) error {
	end := consentEnd{State: v.form("state"), Code: v.form("code"), Error: v.form("error"), Issuer: v.form("iss")}
	if pasted := strings.TrimSpace(v.form("address")); pasted != "" {
		at, err := url.Parse(pasted)
		if err != nil {
			return services.Faults(services.Fault{Path: "body.address", Message: "must be the whole address that the browser shows"})
		}
		end = endOf(at.Query())
	}
	var finished struct {
		Tool string `json:"tool_id"`
	}
	if err := v.send(http.MethodPost, "/tools/oauth/finish", end, &finished); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "tools", finished.Tool), "Connected: calls carry a token of the tool's authorization server.")
}

func forgetConsent(v *visit) error {
	id := v.r.PathValue("tool")
	if err := v.send(http.MethodDelete, path(some("scope", v.form("scope")), "tools", id, "authorization"), nil, nil); err != nil {
		return err
	}
	return v.to(Prefix+path(nil, "tools", id)+"#consent", "The consent is forgotten, "+scopeText(v.form("scope"))+".")
}
