package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

const adminEventsPath = adminPath + "/events"

// storedEvent is an event as its service keeps it.
type storedEvent struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Subject   string          `json:"subject"`
	Data      json.RawMessage `json:"data"`
	Created   time.Time       `json:"createdAt"`
	State     string          `json:"state"`
	Published *time.Time      `json:"publishedAt"`
	Reason    *string         `json:"reason"`
}

var eventStates = []string{"refused", "pending", "published"}

type adminEventsData struct {
	Outboxes []outbox
	Service  string
	State    string
	States   []string
	Events   []storedEvent
	More     string
}

// Here is the service that is looked at.
func (d adminEventsData) Here() outbox {
	for _, o := range d.Outboxes {
		if o.Service == d.Service {
			return o
		}
	}
	return outbox{Service: d.Service}
}

// Broker is to which events are published, as any of the services says; "" for nowhere.
func (d adminEventsData) Broker() string {
	for _, o := range d.Outboxes {
		if o.Published() {
			return o.Broker
		}
	}
	return ""
}

func adminEvents(v *visit) (view, error) {
	data := adminEventsData{Service: v.asked("service"), State: v.asked("state"), States: eventStates}
	var err error
	if data.Outboxes, err = v.outboxes(); err != nil {
		return view{}, err
	}
	if !slices.Contains(outboxOwners, data.Service) {
		data.Service = outboxOwners[0]
		for _, o := range slices.Backward(data.Outboxes) { // the first that has something to do
			if o.Refused > 0 {
				data.Service = o.Service
			}
		}
	}
	if !slices.Contains(eventStates, data.State) {
		data.State = eventStates[0]
	}
	next, err := v.list(path(some("state", data.State, "cursor", v.asked("cursor")), "events", data.Service), &data.Events)
	if away(err) && data.Here().Away {
		err = nil // the page says so
	}
	if next != "" {
		data.More = adminEventsPath + "?" + some("service", data.Service, "state", data.State, "cursor", next).Encode()
	}
	return view{Template: "admin-events", Title: "Events", Section: "admin", Data: data}, err
}

func retryEvent(v *visit) error {
	service := v.r.PathValue("service")
	if err := v.send(http.MethodPost, path(nil, "events", service, v.r.PathValue("event"), "retry"), nil, nil); err != nil {
		return err
	}
	return v.to(adminEventsPath+"?"+some("service", service, "state", "refused").Encode(), "The event waits to be published.")
}
