package console

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/services"
)

// TestAdminPagesAreForAdmins: nobody else gets as far as asking the API.
func TestAdminPagesAreForAdmins(t *testing.T) {
	t.Parallel()
	all := 0
	for _, one := range adminRoutes() {
		all++
		for name, w := range map[string]who{"somebody": {Email: "ada@example.com"}, "a guest": {Guest: true}} {
			v := &visit{who: w}
			if one.page != nil {
				_, err := one.page(v)
				require.ErrorIs(t, err, errNoAdmin, "%s: %s", one.pattern, name)
			}
			if one.act != nil {
				require.ErrorIs(t, one.act(v), errNoAdmin, "%s: %s", one.pattern, name)
			}
		}
		require.Equal(t, members, one.access, one.pattern)
	}
	require.Greater(t, all, 12)
	require.Equal(t, "ADMIN_ONLY", problemOf(errNoAdmin).Code)
	require.Contains(t, problemOf(errNoAdmin).Next.Text, "admin of the platform")
}

func TestSettingsAreGroupedAndFound(t *testing.T) {
	t.Parallel()
	all := []setting{
		{Variable: "DATABASE_URL", Part: "postgres", Doc: "where the database is", Value: "set"},
		{Variable: "JWT_SECRET", Part: "auth", Doc: "signs tokens"}, {Variable: "LOG_LEVEL", Part: "logging", Value: "debug"},
		{Variable: "GUESTS", Part: "auth", Doc: "whether people without an account are served"},
	}
	parts := byPart(all)
	require.Equal(t, []settingsPart{{"auth", []setting{all[1], all[3]}}, {"logging", all[2:3]}, {"postgres", all[:1]}}, parts)
	require.Empty(t, byPart(nil))
	for text, want := range map[string]int{"": 4, "guest": 1, "AUTH": 2, "signs": 1, "Debug": 1, "database": 1, "nothing": 0} {
		found := 0
		for _, s := range all {
			if s.About(text) {
				found++
			}
		}
		require.Equal(t, want, found, text)
	}
}

// TestAuditFilter: days are UTC's, the last one counts whole, and an export takes days alone.
func TestAuditFilter(t *testing.T) {
	t.Parallel()
	require.False(t, auditFilter{}.Any())
	v := &visit{} // asks nothing as long as no e-mail address is looked for
	query, err := v.auditQuery(auditFilter{})
	require.NoError(t, err)
	require.Empty(t, query)
	f := auditFilter{Action: "key.create", Account: "a", Organization: "o", Since: "2026-02-27", Until: "2026-02-28"}
	require.True(t, f.Any())
	query, err = v.auditQuery(f)
	require.NoError(t, err)
	require.Equal(t, "account=a&action=key.create&organization=o&since=2026-02-27T00%3A00%3A00Z&until=2026-03-01T00%3A00%3A00Z", query.Encode())
	require.Equal(t, "since=2026-02-27T00%3A00%3A00Z&until=2026-03-01T00%3A00%3A00Z", exportOf(query).Encode())
	for _, f := range []auditFilter{{Since: "yesterday"}, {Until: "31.12."}} {
		_, err = v.auditQuery(f)
		require.ErrorContains(t, err, "is not a day")
	}
}

func TestWhoseCreditsAnAccountHas(t *testing.T) {
	t.Parallel()
	email, name := "ada@example.com", "Builder"
	person := account{ID: "0199c0de-0000-7000-8000-00000000000a", Kind: "user", Email: &email, Organization: "o"}
	program := account{ID: "0199c0de-0000-7000-8000-00000000000b", Kind: "service", Name: &name, Organization: "o"}
	guest := account{ID: "0199c0de-0000-7000-8000-00000000000c", Kind: "guest", Organization: "o"}
	require.Equal(t, map[string]any{"userId": person.ID}, person.whose())
	require.Equal(t, map[string]any{"organizationId": "o"}, program.whose())
	require.Equal(t, map[string]any{"userId": guest.ID}, guest.whose())
	require.Equal(t, []string{"ada@example.com", "Builder", "Guest …0000000c"}, []string{person.Says(), program.Says(), guest.Says()})
	require.Equal(t, []string{"Person", "Service account", "Guest"}, []string{person.KindSays(), program.KindSays(), guest.KindSays()})
	require.Contains(t, adminAccountData{account: program, Base: "http://x"}.GrantCommand(), `http://x/credits/grant`)
	require.Contains(t, adminAccountData{account: program}.GrantCommand(), `"organizationId":"o"`)
}

// heardOf is what a check has told.
func heardOf(text string) (all []adminLedgerData, err error) {
	err = eachVerification(strings.NewReader(text), func(now adminLedgerData) error {
		all = append(all, now)
		return nil
	})
	return all, err
}

func TestWhatACheckTells(t *testing.T) {
	t.Parallel()
	const progress = "event: progress\ndata: {\"organizations\":1,\"entries\":9,\"of\":4}\n\n"
	all, err := heardOf(progress + ": still here\n\n" + "event: later\ndata: {}\n\n" +
		"event: done\ndata: {\"entries\":12,\"accounts\":4,\"seals\":2,\"credits\":{\"held\":3,\"available\":-5,\"debt\":0},\"faults\":[{\"message\":\"entry 3: it is odd\"}],\"moreFaults\":2}\n\n")
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, &verifying{Organizations: 1, Entries: 9, Of: 4}, all[0].Going)
	done := all[1].Verified
	require.EqualValues(t, 12, done.Entries)
	require.EqualValues(t, 3, done.Number())
	require.Equal(t, []creditPlace{{"To spend", -5}, {"Set aside", 3}}, done.Places())

	all, err = heardOf(progress + `event: error` + "\n" + `data: {"success":false,"error":{"code":"SERVICE_UNAVAILABLE","message":"The database is away"}}` + "\n\n")
	require.NoError(t, err)
	require.Equal(t, "The database is away", all[1].Problem.Message)

	_, err = heardOf(progress)
	require.ErrorIs(t, err, errNoReport, "it was cut off")
	_, err = heardOf("event: done\ndata: nonsense\n\n")
	require.Equal(t, services.Internal, services.KindOf(err))
	gone := errors.New("nobody is there")
	require.ErrorIs(t, eachVerification(strings.NewReader(progress+progress), func(adminLedgerData) error { return gone }), gone)
}

func FuzzWhatACheckTells(f *testing.F) {
	f.Add("event: progress\ndata: {\"of\":1}\n\nevent: done\ndata: {\"faults\":[]}\n\n")
	f.Add("event: error\ndata: {\"error\":{\"code\":\"CONFLICT\",\"message\":\"x\"}}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := heardOf(text)
		over := false
		for _, now := range all {
			over = over || now.Verified != nil || now.Problem != nil
			if now.Verified != nil {
				now.Verified.Places()
			}
		}
		if err == nil && !over {
			t.Fatal("it has ended without a word")
		}
	})
}
