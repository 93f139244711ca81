package events

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"uaol/services"
)

// Message is an event as brokers carry it.
type Message struct {
	ID   uuid.UUID // by which consumers, and some brokers, know it again
	Type string
	Key  string // within which messages keep their order
	Body []byte // the event in CloudEvents' structured JSON
}

// ContentType is the media type of a Message's body.
const ContentType = "application/cloudevents+json"

// cloudEvent is an event in the JSON format of CloudEvents 1.0
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
// with the extension of Partitioning and one of our own.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            services.Time   `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	PartitionKey    string          `json:"partitionkey,omitempty"`
	Organization    string          `json:"organization,omitempty"` // ours
	Data            json.RawMessage `json:"data"`
}

const specVersion = "1.0"

// NewMessage puts an event of a service into the form that leaves the deployment.
func NewMessage(service services.Name, e Event) (Message, error) {
	c := cloudEvent{
		SpecVersion: specVersion, ID: e.ID.String(), Source: "/uaol/" + string(service), Type: e.Type, Subject: e.Subject,
		Time: e.Time, DataContentType: "application/json", PartitionKey: e.Key(), Data: e.Data,
	}
	if e.Organization != uuid.Nil {
		c.Organization = e.Organization.String()
	}
	body, err := json.Marshal(c)
	return Message{ID: e.ID, Type: e.Type, Key: e.Key(), Body: body}, err
}

// Parse reads a Message's body. It takes what is ours: others may publish at the
// same place.
func Parse(body []byte) (Event, error) {
	var c cloudEvent
	if err := json.Unmarshal(body, &c); err != nil {
		return Event{}, fmt.Errorf("no CloudEvent in JSON: %w", err)
	}
	if c.SpecVersion != specVersion || !strings.HasPrefix(c.Source, "/uaol/") || c.Type == "" {
		return Event{}, fmt.Errorf("no event of UAOL")
	}
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return Event{}, fmt.Errorf("an event without a UUID: %w", err)
	}
	e := Event{ID: id, Type: c.Type, Subject: c.Subject, Data: c.Data, Time: c.Time}
	if len(e.Data) == 0 {
		e.Data = json.RawMessage("{}")
	}
	if c.Organization != "" {
		if e.Organization, err = uuid.Parse(c.Organization); err != nil {
			return Event{}, fmt.Errorf("an event of no organisation: %w", err)
		}
	}
	return e, nil
}
