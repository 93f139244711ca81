package registry

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// registerAs registers a tool that some may find.
func (b *bench) registerAs(t testing.TB, caller services.Caller, name, url string, visibility Visibility) Tool {
	t.Helper()
	tool, err := b.service.Register(t.Context(), caller, Change{Name: &name, GatewayURL: &url, Visibility: &visibility})
	require.NoError(t, err)
	return tool
}

// callableContract: a caller is given what it may call, and told of nothing else.
func callableContract(t *testing.T, b *bench, catalog Catalog) {
	ctx, ada, bob := t.Context(), user(), user()
	colleague := user()
	colleague.Organization = ada.Organization
	made := map[string]Tool{}
	for name, visibility := range map[string]Visibility{"Weather of towns": Public, "Ledger": Organization, "Diary": Private} {
		url := "https://" + strings.ToLower(strings.Fields(name)[0]) + ".example.com/mcp"
		b.servers.serve(url, method("look", "looks it up"))
		tool := b.registerAs(t, ada, name, url, visibility)
		require.NoError(t, b.service.Approve(ctx, admin(), tool.ID, Decision{}))
		made[name] = tool
	}
	b.registerAs(t, ada, "Pending", "https://pending.example.com/mcp", Public)
	names := func(caller services.Caller, in CallableRequest) (all []string) {
		in.Caller = caller
		offers, err := catalog.Callable(ctx, in)
		require.NoError(t, err)
		for _, o := range offers {
			require.True(t, o.VisibleTo(caller))
			all = append(all, o.Name)
		}
		return all
	}
	require.ElementsMatch(t, []string{"Weather of towns", "Ledger", "Diary"}, names(ada, CallableRequest{Limit: 10}))
	require.ElementsMatch(t, []string{"Weather of towns", "Ledger"}, names(colleague, CallableRequest{Limit: 10}))
	require.Equal(t, []string{"Weather of towns"}, names(bob, CallableRequest{Limit: 10}))
	require.Equal(t, []string{"Weather of towns"}, names(ada, CallableRequest{Text: "How is the weather in Paris? It's what I'd like to know: 'quoted' & (odd) | words!", Limit: 1}))
	require.Len(t, names(ada, CallableRequest{Text: "weather", Limit: 2}), 2, "others make it full")
	diary := made["Diary"]
	require.Equal(t, []string{"Diary", "Weather of towns"}, names(ada, CallableRequest{Named: []string{made["Weather of towns"].Slug, diary.ID.String()}}))
	for _, of := range []string{diary.ID.String(), diary.Slug, "pending", "nothing"} {
		_, err := catalog.Callable(ctx, CallableRequest{Caller: bob, Named: []string{"weather-of-towns", of}})
		require.True(t, services.Is(err, services.NotFound), "%s: %v", of, err)
	}
}

func TestMethodName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "weather__get-forecast", MethodName("weather", "get-forecast"))
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	seen := map[string]string{}
	for _, m := range []string{"a.b", "a_b", "a b", "ä", "", "x/y", strings.Repeat("long", 40), strings.Repeat("long", 40) + "er", "日本語", "日本话"} {
		for i := range 2 {
			name := MethodName(strings.Repeat("s", maxSlug-i), m)
			require.Regexp(t, form, name)
			require.Empty(t, seen[name], "%q and %q have one name", m, seen[name])
			seen[name] = fmt.Sprintf("%d/%s", i, m)
		}
	}
}
