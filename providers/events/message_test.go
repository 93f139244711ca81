package events_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/events"
	"uaol/providers/events/sqs/sqstest"
	"uaol/services"
)

// TestMessageIsACloudEvent with what the specification asks for, and reads back.
func TestMessageIsACloudEvent(t *testing.T) {
	t.Parallel()
	e := events.New("tool.approved", "the-tool", uuid.New(), map[string]int{"version": 2})
	e.Time = services.Time{Time: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}
	m, err := events.NewMessage(services.Registry, e)
	require.NoError(t, err)
	var c map[string]any
	require.NoError(t, json.Unmarshal(m.Body, &c))
	require.Equal(t, map[string]any{
		"specversion": "1.0", "id": e.ID.String(), "source": "/uaol/registry", "type": "tool.approved", "subject": "the-tool",
		"datacontenttype": "application/json", "organization": e.Organization.String(), "partitionkey": e.Organization.String(),
		"data": map[string]any{"version": 2.0}, "time": c["time"],
	}, c)
	at, err := time.Parse(time.RFC3339, c["time"].(string))
	require.NoError(t, err)
	require.True(t, at.Equal(e.Time.Time))
	back, err := events.Parse(m.Body)
	require.NoError(t, err)
	require.True(t, back.Time.Equal(e.Time.Time))
	back.Time = e.Time
	require.Equal(t, e, back)

	nobodys := events.New("user.access_changed", "account", uuid.Nil, nil)
	m, err = events.NewMessage(services.Auth, nobodys)
	require.NoError(t, err)
	require.Equal(t, "account", m.Key)
	require.NotContains(t, string(m.Body), "organization")
}

func FuzzParse(f *testing.F) {
	m, err := events.NewMessage(services.Registry, events.New("tool.approved", "s", uuid.New(), nil))
	require.NoError(f, err)
	f.Add(m.Body)
	f.Add([]byte(`{"specversion":"1.0","source":"/uaol/x","type":"a.b","id":"` + uuid.NewString() + `","organization":"x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := events.Parse(body)
		if err == nil && (e.ID == uuid.Nil && e.Type == "" || !json.Valid(e.Data)) {
			t.Fatalf("%+v", e)
		}
	})
}

// TestOneOfAKeyAtATime: what failed for the moment holds back what is behind it of
// its key, and nothing else.
func TestOneOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	message := func(key, kind string) events.Message { return events.Message{Key: key, Type: kind} }
	var sent [][]string
	outcomes := events.InRounds([]events.Message{message("a", "1"), message("a", "2"), message("b", "1"), message("a", "3"), message("b", "2")},
		func(round []events.Message) []error {
			var names []string
			outcomes := make([]error, len(round))
			for i, m := range round {
				names = append(names, m.Key+m.Type)
				switch m.Key + m.Type {
				case "a2":
					outcomes[i] = errors.New("try again")
				case "b1":
					outcomes[i] = events.Refuse("never")
				}
			}
			sent = append(sent, names)
			return outcomes
		})
	require.Equal(t, [][]string{{"a1", "b1"}, {"a2", "b2"}}, sent)
	require.NoError(t, outcomes[0])
	require.EqualError(t, outcomes[1], "try again")
	require.True(t, events.IsRefused(outcomes[2]))
	require.Error(t, outcomes[3])
	require.NoError(t, outcomes[4])
}

// TestAQueueThatFailsOneMessage, as SQS may within a request, keeps the order.
func TestAQueueThatFailsOneMessage(t *testing.T) {
	t.Parallel()
	var fake *sqstest.Queue
	b := setupRelay(t, func(t *testing.T) body {
		made := newSQS(t, "events.fifo")
		fake = made.fake
		return made
	})
	want := b.happen(t, 12, 2)
	for key := range want {
		fake.FailOnce(key)
	}
	relay := b.relay(b.Broker)
	_, err := relay.Round(t.Context())
	require.Error(t, err)
	b.drain(t)
	got, _ := b.firsts(t, 12)
	b.same(t, want, got)
	require.Equal(t, 1, b.logs.FilterMessageSnippet("can't be published").Len())
}
