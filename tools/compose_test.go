// Package tools holds checks that need libraries which the program must not
// depend on.
package tools

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// What is not ours.
var surroundings = []string{"postgres", "redis", "nats"}

var secrets = []string{"POSTGRES_PASSWORD", "JWT_SECRET", "ENCRYPTION_SECRET"}

// load reads the file as docker compose does.
func load(t *testing.T, without string, profiles ...string) (*types.Project, error) {
	t.Helper()
	env := []string{"UAOL_SERVICE_SECRET=s-UAOL_SERVICE_SECRET", "REDIS_PASSWORD=s-REDIS", "NATS_PASSWORD=s-NATS"}
	for _, name := range secrets {
		if name != without {
			env = append(env, name+"=s-"+name)
		}
	}
	options, err := cli.NewProjectOptions([]string{"../deploy/compose.yaml"}, cli.WithEnv(env), cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(context.Background())
}

func names(p *types.Project) string {
	return strings.Join(slices.Sorted(maps.Keys(p.Services)), " ")
}

func TestComposeServices(t *testing.T) {
	for profile, want := range map[string]string{
		"":      "migrate postgres uaol",
		"apart": "auth billing gateway jobs migrate nats postgres proxy redis registry storage uaol",
	} {
		p, err := load(t, "", profile)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(p); got != want {
			t.Errorf("profile %q runs %s; want %s", profile, got, want)
		}
	}
}

func TestComposeRefusesMissingSecrets(t *testing.T) {
	for _, name := range secrets {
		if _, err := load(t, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestComposeContainers(t *testing.T) {
	p, err := load(t, "", "apart")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		if name != "uaol" && name != "migrate" && (s.HealthCheck == nil || s.HealthCheck.Disable) {
			t.Errorf("%s is not asked for its health", name)
		}
		if slices.Contains(surroundings, name) {
			continue
		}
		if !s.ReadOnly || len(s.Tmpfs) == 0 || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s may write outside its volumes or has capabilities", name)
		}
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < 30*time.Second {
			t.Errorf("%s is killed before its stop can end", name)
		}
		if s.Environment["DATABASE_URL"] == nil {
			t.Errorf("%s has no database", name)
		}
		if plain := s.Environment["UAOL_DATABASE_PLAINTEXT"]; plain == nil || *plain != "true" {
			t.Errorf("%s refuses its database, which speaks no TLS", name)
		}
		if name == "migrate" {
			continue
		}
		if s.DependsOn["migrate"].Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s does not wait for its tables", name)
		}
		if name == "uaol" {
			continue // its image serves everything and asks for its own health
		}
		for surrounding, variable := range map[string]string{"redis": "REDIS_URL", "nats": "NATS_URL"} {
			if url := s.Environment[variable]; url == nil || !strings.Contains(*url, "s-"+strings.ToUpper(surrounding)+"@"+surrounding+":") {
				t.Errorf("%s does not know where %s is, or by which password", name, surrounding)
			}
			if s.DependsOn[surrounding].Condition != types.ServiceConditionHealthy {
				t.Errorf("%s does not wait for %s", name, surrounding)
			}
		}
		if mq := s.Environment["MQ_TYPE"]; mq == nil || *mq != "nats" {
			t.Errorf("%s hands its events to nobody", name)
		}
		if got := strings.Join(s.Command, " "); got != "serve "+name {
			t.Errorf("%s runs %q", name, got)
		}
		if s.HealthCheck == nil || strings.Join(s.HealthCheck.Test, " ") != "CMD /uaol healthcheck "+name {
			t.Errorf("%s is asked for its health by %v", name, s.HealthCheck)
		}
		if s.Environment["UAOL_SERVICE_SECRET"] == nil || *s.Environment["UAOL_SERVICE_SECRET"] == "" {
			t.Errorf("%s cannot speak to the others", name)
		}
		for _, peer := range []string{"auth", "registry", "jobs", "proxy", "billing", "storage"} {
			if url := s.Environment["UAOL_"+strings.ToUpper(peer)+"_URL"]; url == nil || !strings.HasPrefix(*url, "http://"+peer+":") {
				t.Errorf("%s does not know where %s is", name, peer)
			}
		}
	}
}

// Each variable is a setting that something reads.
func TestComposeSettings(t *testing.T) {
	p, err := load(t, "", "apart")
	if err != nil {
		t.Fatal(err)
	}
	known := settings(t)
	for name, s := range p.Services {
		if slices.Contains(surroundings, name) {
			continue
		}
		for variable := range s.Environment {
			if !known[variable] {
				t.Errorf("%s: %s is no setting", name, variable)
			}
		}
	}
}

// Only who runs auth holds what signs sign-in tokens, and only who opens stored
// credentials or files, seals the ledger or signs callbacks what that takes: each would
// refuse to start without it.
func TestComposeSecrets(t *testing.T) {
	p, err := load(t, "", "apart")
	if err != nil {
		t.Fatal(err)
	}
	holders := map[string][]string{
		"JWT_SECRET":        {"auth", "uaol"},
		"ENCRYPTION_SECRET": {"auth", "registry", "proxy", "jobs", "billing", "storage", "uaol"},
	}
	for name, s := range p.Services {
		for secret, who := range holders {
			_, has := s.Environment[secret]
			if want := slices.Contains(who, name); has != want {
				t.Errorf("%s has %s: %v; want %v", name, secret, has, want)
			}
		}
	}
}
