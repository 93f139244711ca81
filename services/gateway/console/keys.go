package console

import (
	"net/http"
	"strconv"
	"time"

	"uaol/services"
)

const keysPath = Prefix + "/keys"

func keyRoutes() []route {
	return []route{
		see("/keys", unfilled(keysPage)),
		do("/keys", makeKey),
		do("/keys/{key}/regenerate", regenerateKey),
		do("/keys/{key}/revoke", revokeKey),
		do("/keys/models", storeProviderKey),
		do("/keys/models/{provider}/default", defaultProviderKey),
		do("/keys/models/{provider}/remove", removeProviderKey),
	}
}

// apiKey is an API key without its secret.
type apiKey struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Organization string     `json:"organization"`
	Masked       string     `json:"maskedKey"`
	Scopes       []string   `json:"scopes"`
	Created      time.Time  `json:"createdAt"`
	Expires      *time.Time `json:"expiresAt"`
	Used         *time.Time `json:"lastUsedAt"`
	Reaches      string     `json:"-"` // what the organisation is called
}

// Expired reports whether the key counts no more.
func (k apiKey) Expired() bool { return k.Expires != nil && time.Now().After(*k.Expires) }

// newKey is one with its secret, which is seen just once.
type newKey struct {
	apiKey
	Secret string `json:"apiKey"`
}

// providerKey is an organisation's key of a model provider, without its secret.
type providerKey struct {
	Provider string    `json:"provider"`
	Default  bool      `json:"isDefault"`
	Masked   string    `json:"maskedKey"`
	Updated  time.Time `json:"updatedAt"`
}

// modelProviders are those whose keys the API takes.
var modelProviders = []struct{ ID, Name string }{{"openai", "OpenAI"}, {"claude", "Anthropic (Claude)"}, {"gemini", "Google (Gemini)"}}

// Title is what people call the provider.
func (k providerKey) Title() string {
	for _, p := range modelProviders {
		if p.ID == k.Provider {
			return p.Name
		}
	}
	return k.Provider
}

// lives are how long a new key may count.
var lives = []struct {
	Days int
	Name string
}{{0, "until it is revoked"}, {1, "a day"}, {30, "30 days"}, {90, "90 days"}, {365, "a year"}}

// keyForm is what a form for a key offers, wherever it stands.
type keyForm struct {
	Scopes []keyScope
	Lives  []struct {
		Days int
		Name string
	}
	Form filled
}

func (v *visit) keyForm(form filled) keyForm {
	offered := make([]keyScope, 0, len(scopes))
	for _, s := range scopes {
		if s.Area != "audit" || v.who.Admin {
			offered = append(offered, s)
		}
	}
	return keyForm{Scopes: offered, Lives: lives, Form: form}
}

type keysData struct {
	Keys      []apiKey
	New       keyForm
	Models    []providerKey
	Providers []struct{ ID, Name string }
	Form      filled // of the providers' keys
}

func keysPage(v *visit, form filled) (view, error) {
	data := keysData{New: v.keyForm(form.In("key")), Providers: modelProviders, Form: form.In("model")}
	err := together(
		func() error { return v.get("/auth/keys", &data.Keys) },
		func() error { return v.get("/api-keys", &data.Models) },
	)
	for i, key := range data.Keys {
		data.Keys[i].Reaches = v.calls(key.Organization)
	}
	return view{Template: "keys", Title: "Keys", Section: "keys", Data: data}, err
}

// calls is what an organisation is called from where the visitor stands.
func (v *visit) calls(organization string) string {
	for _, o := range v.who.Organizations {
		if o.ID == organization {
			if o.Personal {
				return "Personal"
			}
			return o.Name
		}
	}
	return "…" + shortened(organization)
}

// keyAsked is the body that makes a key as a form says.
func (v *visit) keyAsked() (map[string]any, error) {
	body := map[string]any{"name": v.form("name")}
	if days := v.form("days"); days != "" && days != "0" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 {
			return nil, services.Faults(services.Fault{Path: "body.expiresAt", Message: "must be a number of days"})
		}
		body["expiresAt"] = time.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339)
	}
	if v.form("access") == "some" {
		chosen := v.r.PostForm["scope"]
		if len(chosen) == 0 { // which the API would take for all of them
			return nil, services.Faults(services.Fault{Path: "body.scopes", Message: "Choose at least one, or let the key do everything"})
		}
		body["scopes"] = chosen
	}
	return body, nil
}

func makeKey(v *visit) error {
	var made newKey
	body, err := v.keyAsked()
	if err == nil {
		err = v.send(http.MethodPost, "/auth/keys", body, &made)
	}
	if err != nil {
		return v.refill(err, keysPath, "key", keysPage)
	}
	return v.showKey(made, "keys", keysPath)
}

func regenerateKey(v *visit) error {
	var made newKey
	if err := v.send(http.MethodPost, path(nil, "auth", "keys", v.r.PathValue("key"), "regenerate"), nil, &made); err != nil {
		return err
	}
	return v.showKey(made, "keys", keysPath)
}

// shownKey is a key as it is shown once.
type shownKey struct {
	newKey
	Back     string // the page that lists it
	Snippets []snippet
}

// snippet is a text to be copied.
type snippet struct{ Name, Text string }

// showKey answers with the only sight of a key.
func (v *visit) showKey(made newKey, section, back string) error {
	v.standAt(back)
	made.Reaches = v.calls(made.Organization)
	data := shownKey{newKey: made, Back: back, Snippets: connecting(v.console.base(v.r), made.Secret)}
	return v.render(view{Template: "key-shown", Title: "Your new key", Section: section, Data: data})
}

// connecting is how programs are told of a key.
func connecting(base, secret string) []snippet {
	return []snippet{
		{"In a terminal", "export KEY=" + secret + "\ncurl -s " + base + "/auth/me -H \"X-API-Key: $KEY\""},
		{"Claude Code", "claude mcp add --transport http uaol " + base + "/mcp --header \"Authorization: Bearer " + secret + "\""},
		{"Cursor (~/.cursor/mcp.json)", `{
  "mcpServers": {
    "uaol": {
      "url": "` + base + `/mcp",
      "headers": { "Authorization": "Bearer ` + secret + `" }
    }
  }
}`},
	}
}

func revokeKey(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "auth", "keys", v.r.PathValue("key")), nil, nil); err != nil {
		return err
	}
	return v.to(keysPath, "The key is revoked, and what was got with it.")
}

func storeProviderKey(v *visit) error {
	body := map[string]any{"provider": v.form("provider"), "apiKey": v.form("secret"), "isDefault": v.form("default") != ""}
	if err := v.send(http.MethodPost, "/api-keys", body, nil); err != nil {
		return v.refill(err, keysPath, "model", keysPage)
	}
	return v.to(keysPath+"#models-title", "The key of "+providerKey{Provider: v.form("provider")}.Title()+" is stored, sealed.")
}

func defaultProviderKey(v *visit) error {
	provider := v.r.PathValue("provider")
	if err := v.send(http.MethodPut, path(nil, "api-keys", provider, "default"), nil, nil); err != nil {
		return err
	}
	return v.to(keysPath+"#models-title", providerKey{Provider: provider}.Title()+" is asked unless another is named.")
}

func removeProviderKey(v *visit) error {
	provider := v.r.PathValue("provider")
	if err := v.send(http.MethodDelete, path(nil, "api-keys", provider), nil, nil); err != nil {
		return err
	}
	return v.to(keysPath+"#models-title", "The key of "+providerKey{Provider: provider}.Title()+" is forgotten.")
}
