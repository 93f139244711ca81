package upstream

import (
	"context"
	"encoding/json"
	"net/http"

	"uaol/services"
)

// updated is how a server says that a resource has changed.
const updated = "notifications/resources/updated"

// Watch tells whenever a resource changes, until ctx ends or the server does not tell any
// more: then it gives the reason. It has a session of its own. Kinds: Unsupported where
// servers can't be watched, as processes; else as for Lists.
func (c *Client) Watch(ctx context.Context, target Target, uri string, changed func()) error {
	key := keyOf(target, nil)
	if key.protocol != ProtocolMCP {
		return services.Errorf(services.Unsupported, "resources of tools with the protocol %s can't be watched", key.protocol)
	}
	opened, err := c.openSession(key, target)
	if err != nil {
		return err
	}
	defer opened.close()
	s, ok := opened.(*streamable)
	if !ok {
		return services.Errorf(services.Internal, "a session of streamable HTTP is none")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	response, err := s.watch(ctx, uri, target.Headers)
	if err != nil {
		return fault(ctx, &delivery{}, err, true)
	}
	defer func() { _ = response.Body.Close() }()
	events := newEventReader(response.Body, s.limit)
	for {
		e, err := events.next()
		if err != nil {
			return fault(ctx, &delivery{}, err, true)
		}
		events.left = s.limit // the stream has no end, each event has
		message, err := parseMessage(e.data)
		if err != nil || message.Method != updated {
			continue // the rest is for others to judge
		}
		var about struct {
			URI string `json:"uri"`
		}
		if json.Unmarshal(message.Params, &about) == nil && about.URI == uri {
			changed()
		}
	}
}

// watch opens the stream on which the server tells of a resource.
func (s *streamable) watch(ctx context.Context, uri string, headers http.Header) (*http.Response, error) {
	wanted, err := encode(map[string]any{"uri": uri})
	if err != nil {
		return nil, err
	}
	r := &request{method: "resources/subscribe", params: wanted, headers: headers}
	if s.introduction == "" {
		if _, err := s.request(ctx, r, &delivery{}); err != nil {
			return nil, err
		}
		return s.stream(ctx, "", headers)
	}
	if wanted, err = encode(map[string]any{"notifications": map[string]any{"resourceSubscriptions": []string{uri}}}); err != nil {
		return nil, err
	}
	r.method, r.params = "subscriptions/listen", wanted
	body, err := r.body(s.ids.Add(1), s.introduction)
	if err != nil {
		return nil, err
	}
	response, err := s.post(ctx, r, &delivery{}, body)
	if err != nil {
		return nil, err
	}
	return s.streaming(response)
}

// streaming is an answer that has to be a stream.
func (s *streamable) streaming(response *http.Response) (*http.Response, error) {
	var err error
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		err = s.refused(response)
	case mediaType(response) != "text/event-stream":
		err = garbage("it is no event stream")
	default:
		return response, nil
	}
	_ = response.Body.Close()
	return nil, err
}
