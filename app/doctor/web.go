package doctor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"uaol/app"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/llm"
	"uaol/providers/peers"
	"uaol/services"
	"uaol/services/auth/modelkeys"
	"uaol/services/registry/credentials"
)

// stay is for clients that are sent elsewhere: they do not follow.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// visitor asks over HTTP, through the proxies that are set.
func visitor(p *Patient) *http.Client {
	proxies, _ := read[egress.Proxies](p)
	return &http.Client{Transport: &http.Transport{Proxy: proxies.Through(), DisableKeepAlives: true}, CheckRedirect: stay}
}

// mostRead bounds what is read of an answer, in bytes.
const mostRead = 1 << 20

type reply struct {
	status int
	date   time.Time // by the other's clock; zero if it does not say
	asked  time.Time // by ours, in the middle between question and answer
	body   []byte
}

func ask(ctx context.Context, client *http.Client, method, address string, header http.Header, body string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	r := reply{status: response.StatusCode, asked: begun.Add(time.Since(begun) / 2)}
	r.date, _ = http.ParseTime(response.Header.Get("Date"))
	r.body, err = io.ReadAll(io.LimitReader(response.Body, mostRead))
	return r, err
}

// models asks each provider that the platform has a key of which models there are: it
// costs nothing, and a key that is refused is refused there too.
func models(ctx context.Context, p *Patient) []Finding {
	keys, ok := read[modelkeys.Config](p)
	at, alsoOK := read[llm.Config](p)
	if !ok || !alsoOK {
		return nil
	}
	var found []Finding
	for _, of := range []struct {
		provider      llm.Provider
		variable, key string
	}{
		{llm.OpenAI, "OPENAI_API_KEY", keys.OpenAIKey},
		{llm.Gemini, "GEMINI_API_KEY", keys.GeminiKey},
		{llm.Anthropic, "ANTHROPIC_API_KEY", keys.AnthropicKey},
	} {
		endpoint := at.Endpoint(of.provider)
		if of.key == "" && !endpoint.Set() {
			continue
		}
		header := http.Header{}
		if of.key != "" {
			header.Set("Authorization", "Bearer "+of.key)
			if of.provider == llm.Anthropic && !endpoint.Set() { // its own list wants its own header
				header = http.Header{"X-Api-Key": {of.key}, "Anthropic-Version": {"2023-06-01"}}
			}
		}
		host := hostOf(endpoint.URL)
		answer, err := ask(ctx, visitor(p), http.MethodGet, strings.TrimRight(endpoint.URL, "/")+"/models", header, "")
		switch {
		case err != nil:
			found = append(found, failed("correct "+endpoint.Variable+", or open the way to it", "%s at %s: %s", of.provider, host, causeOf(err)))
		case answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden:
			found = append(found, failed("set "+of.variable+" to a key that is valid there", "%s at %s refuses the key", of.provider, host))
		case answer.status >= http.StatusInternalServerError:
			found = append(found, warned("try again later, or look at what runs there", "%s at %s answers %d", of.provider, host, answer.status))
		case of.key == "":
			found = append(found, well("%s at %s answers; no key is set", of.provider, host))
		default:
			found = append(found, well("%s at %s takes the key", of.provider, host))
		}
	}
	return found
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "?"
	}
	return u.Host
}

// addresses looks whether anybody answers where settings say that somebody does.
func addresses(ctx context.Context, p *Patient) []Finding {
	var found []Finding
	for _, variable := range []string{"UAOL_EMBEDDINGS_URL", "UAOL_TRANSCRIPTION_URL", "UAOL_SPEECH_URL", "VAULT_ADDR", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		address, set := p.Env.Lookup(variable)
		if !set {
			continue
		}
		if _, err := ask(ctx, visitor(p), http.MethodGet, address, nil, ""); err != nil {
			found = append(found, failed("start what should answer there, or correct "+variable, "%s, %s: %s", variable, hostOf(address), causeOf(err)))
		} else {
			found = append(found, well("%s, %s: it answers", variable, hostOf(address)))
		}
	}
	return found
}

func publicURL(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[credentials.Config](p)
	process, alsoOK := read[config.Process](p)
	if _, set := p.Env.Lookup("UAOL_PUBLIC_URL"); !ok || !alsoOK || !set {
		return nil
	}
	answer, err := ask(ctx, visitor(p), http.MethodGet, strings.TrimRight(cfg.PublicURL, "/")+"/health", nil, "")
	const do = "let it lead to the gateway, or correct UAOL_PUBLIC_URL; a server that is not running yet can't answer"
	switch {
	case err != nil:
		return []Finding{warned(do, "%s: %s", hostOf(cfg.PublicURL), causeOf(err))}
	case answer.status != http.StatusOK:
		return []Finding{warned(do, "%s answers %d", hostOf(cfg.PublicURL), answer.status)}
	case process.Production() && !strings.HasPrefix(cfg.PublicURL, "https://"):
		return []Finding{warned("put TLS before it: keys and tokens pass there", "%s is not encrypted", hostOf(cfg.PublicURL))}
	}
	return []Finding{well("%s leads to a gateway", hostOf(cfg.PublicURL))}
}

// ready is what /readyz says.
type ready struct {
	Data struct {
		Services []services.Name `json:"services"`
		Version  string          `json:"version"`
	} `json:"data"`
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
}

func server(ctx context.Context, p *Patient) []Finding {
	address, err := app.ReadyURL(p.Env, p.Set...)
	if err != nil {
		return nil
	}
	here, err := app.LocalClient(p.Env, p.Set...)
	if err != nil {
		return nil
	}
	answer, err := ask(ctx, here, http.MethodGet, address, nil, "")
	if err != nil {
		return []Finding{well("none runs on this machine at %s", hostOf(address))}
	}
	return []Finding{readiness(answer, hostOf(address), "")}
}

// readiness judges what a process says of itself; wanted is a service that it must run.
func readiness(answer reply, host string, wanted services.Name) Finding {
	var said ready
	if json.Unmarshal(answer.body, &said) != nil || answer.status == http.StatusOK && said.Data.Version == "" {
		return failed("see what listens there, or correct the address", "%s: what answers is no server of ours", host)
	}
	switch {
	case answer.status != http.StatusOK:
		return failed("see to what it names", "%s is not ready: %s", host, said.Error.Message)
	case wanted != "" && !slices.Contains(said.Data.Services, wanted):
		return failed("correct the address: it must lead to a process that runs "+string(wanted), "%s runs other services", host)
	case said.Data.Version != app.Version:
		return warned("bring all processes to one version, unless an upgrade is under way", "%s is version %s, this is %s", host, said.Data.Version, app.Version)
	}
	return well("%s is ready, version %s", host, said.Data.Version)
}

// peersAnswer looks at every address of every service of ours that runs elsewhere.
func peersAnswer(ctx context.Context, p *Patient) []Finding {
	cfg, ok := read[peers.Config](p)
	if !ok {
		return nil
	}
	tokens, err := peers.NewTokens(cfg, true, zap.NewNop())
	if err != nil {
		return []Finding{failed("correct the files that UAOL_PEER_TLS_CERT and its like name", "%s", causeOf(err))}
	}
	defer tokens.Close()
	var found []Finding
	for _, service := range app.Services() {
		for _, address := range addressesOf(p, service) {
			f := peer(ctx, tokens, cfg.Secret != "", service, address)
			f.Check = "peer " + string(service)
			found = append(found, f)
		}
	}
	return found
}

// addressesOf is where the settings say that a service of ours runs elsewhere.
func addressesOf(p *Patient, service services.Name) (addresses []string) {
	given, set := p.Env.Lookup("UAOL_" + strings.ToUpper(string(service)) + "_URL")
	if !set || service == services.Gateway { // which no service calls
		return nil
	}
	for address := range strings.SplitSeq(given, ",") {
		addresses = append(addresses, strings.TrimRight(strings.TrimSpace(address), "/"))
	}
	return addresses
}

func peer(ctx context.Context, tokens *peers.Tokens, shared bool, service services.Name, address string) Finding {
	client := &http.Client{Transport: tokens.Transport(), CheckRedirect: stay}
	host := hostOf(address)
	answer, err := ask(ctx, client, http.MethodGet, address+"/readyz", nil, "")
	if err != nil {
		return failed("start it, or correct UAOL_"+strings.ToUpper(string(service))+"_URL", "%s: %s", host, causeOf(err))
	}
	f := readiness(answer, host, service)
	if f.Status == Fail {
		return f
	}
	if !answer.date.IsZero() {
		// The header has whole seconds, which were cut off.
		if off := apart(answer.date.Add(500*time.Millisecond).Sub(answer.asked), "the clock of "+host, 500*time.Millisecond); off.Status != OK {
			return off
		}
	}
	if !shared {
		return failed("set UAOL_SERVICE_SECRET to what all processes share", "%s can't be asked: no UAOL_SERVICE_SECRET is set", host)
	}
	token, err := tokens.Sign(service, services.Caller{Role: services.RoleService})
	if err != nil {
		return failed("please report it", "%s: no token can be made", host)
	}
	// A question that reads nothing: what matters is who may ask.
	question := "recent"
	if service == services.Proxy { // it has no events
		question = "methods"
	}
	answer, err = ask(ctx, client, http.MethodPost, address+"/internal/"+string(service)+"/"+question,
		http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}, `{"back":0}`)
	switch {
	case err != nil:
		return failed("look at its log", "%s: %s", host, causeOf(err))
	case answer.status == http.StatusUnauthorized:
		return failed("set UAOL_SERVICE_SECRET to the same text in all processes, and their clocks right", "%s refuses our token", host)
	}
	return f
}
