package jobs

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/services"
)

// undeliverable are addresses that nobody is ever told at, and what is wrong.
var undeliverable = map[string]string{
	"ftp://example.com/":               "must begin with http:// or https://",
	"example.com":                      "must begin with http:// or https://",
	"https://":                         "names no host",
	"https://ada:secret@example.com/":  "must not contain a user name or password",
	"http://169.254.169.254/latest":    "is not a public address",
	"http://10.0.0.7:8080/hook":        "is not a public address",
	"http://[::1]/":                    "is not a public address",
	"http://[::ffff:192.168.0.1]/":     "is not a public address",
	"http://0x7f.1/":                   "is not a public address",
	"http://localhost:3000/":           "is not a public address",
	"http://metadata.google.internal/": "is not a public address",
	"https://example.com:99999/":       "",
	"https://exa mple.com/":            "",
}

// TestAnAddressThatCannotBeToldIsRefused when it is given, wherever that is.
func TestAnAddressThatCannotBeToldIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})
	fine := b.schedule(t, `{"cron":"@daily","workflow_definition":`+string(good)+`,"callback_url":"https://example.com/hook"}`)
	for url, why := range undeliverable {
		faults := map[string]func() error{
			"body.callback_url": func() error {
				_, err := b.service.Create(t.Context(), b.caller, Request{Definition: good, Callback: url})
				return err
			},
			"body.jobs[1].callback_url": func() error {
				_, err := b.service.CreateMany(t.Context(), b.caller, []Request{{Definition: good}, {Definition: good, Callback: url}})
				return err
			},
		}
		for path, try := range faults {
			err := try()
			require.Equal(t, []string{path}, pathsOf(t, err), url)
			require.Contains(t, faultsOf(t, err)[0].Message, why, url)
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "uaol connect", "that is for tools")
		}
		in := ScheduleChange{Callback: &url}
		_, err := b.service.ChangeSchedule(t.Context(), b.caller, fine.ID, in)
		require.Equal(t, []string{"body.callback_url"}, pathsOf(t, err), url)
		daily := "@daily"
		in.Cron, in.Definition = &daily, good
		_, err = b.service.AddSchedule(t.Context(), b.caller, in)
		require.Equal(t, []string{"body.callback_url"}, pathsOf(t, err), url)
	}
	require.Zero(t, b.number(t, `SELECT count(*) FROM uaol_jobs.jobs`))
	require.Zero(t, b.spent(t))
	for _, url := range []string{"https://example.com/hook?a=b", "http://hooks.example.com:8080", "https://8.8.8.8/", "http://127.0.0.1:7/"} {
		b.request(t, Request{Definition: good, Callback: url}) // the last one an operator has opened
	}
}

func TestARefusedAddressIsABadRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	me, ask := b.me(), b.asking(t)
	text := string(definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)}))
	for path, body := range map[string]string{
		"/jobs":       `{"workflow_definition":` + text + `,"callback_url":"http://10.0.0.1/"}`,
		"/jobs/batch": `{"jobs":[{"workflow_definition":` + text + `,"callback_url":"http://10.0.0.1/"}]}`,
		"/schedules":  `{"cron":"@daily","workflow_definition":` + text + `,"callback_url":"http://10.0.0.1/"}`,
	} {
		status, answer := ask(me, http.MethodPost, path, body)
		require.Equal(t, http.StatusBadRequest, status, path)
		require.Contains(t, messageOf(answer), "callback_url: 10.0.0.1 is not a public address", path)
	}
}

// TestWorkDoesNotStopForAnAddress that was fine when it was given: an operator has
// closed it since.
func TestWorkDoesNotStopForAnAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failingUntil("a")
	b.start(t)
	text := definition(t, stepJSON{ID: "a", Tool: b.tool(t, 1)})
	const url = "http://127.0.0.1:7/"
	failed := b.request(t, Request{Definition: text, Callback: url})
	require.Equal(t, Failed, b.ended(t, failed.ID).Status)
	s := b.schedule(t, `{"cron":"* * * * *","workflow_definition":`+string(text)+`,"callback_url":"`+url+`"}`)
	b.service.policy = b.policyFor(t, "")
	_, err := b.service.Create(t.Context(), b.caller, Request{Definition: text, Callback: url})
	require.Equal(t, services.Invalid, services.KindOf(err))

	b.late(t, s, 0)
	require.NoError(t, NewScheduler(b.service, standings(nil), zap.NewNop()).Round(t.Context()))
	require.NotNil(t, b.of(t, s.ID).LastJob)
	_, err = b.service.RunSchedule(t.Context(), b.caller, s.ID, "")
	require.NoError(t, err)
	_, err = b.service.ChangeSchedule(t.Context(), b.caller, s.ID, asked(t, `{"enabled":false}`))
	require.NoError(t, err)
	made, err := b.service.Redrive(t.Context(), b.caller, RedriveRequest{Jobs: []uuid.UUID{failed.ID}})
	require.NoError(t, err)
	require.Len(t, made, 1)
}
