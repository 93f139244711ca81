package console

import (
	"slices"
	"sync"
)

// naming is what people call things, by their ids.
type naming struct {
	mu    sync.Mutex
	names map[string]string
}

func (n *naming) set(id, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		n.names = map[string]string{}
	}
	if id != "" && name != "" {
		n.names[id] = name
	}
}

// Of is the name of a thing, or the end of its id where the visitor can't see it.
func (n *naming) Of(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, known := n.names[id]; known {
		return name
	}
	return "…" + shortened(id)
}

// Known reports whether a thing has a name here.
func (n *naming) Known(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, known := n.names[id]
	return known
}

// nameTools asks what tools are called.
func (v *visit) nameTools(into *naming, ids []string) error {
	var asks []func() error
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if id == "" {
			continue
		}
		asks = append(asks, func() error {
			var found struct {
				Name string `json:"name"`
			}
			err := v.get(path(nil, "tools", id), &found)
			into.set(id, found.Name)
			if gone(err) {
				err = nil
			}
			return err
		})
	}
	return together(asks...)
}

// people are who is in the organisation that is looked at, programs too, and the keys that
// the visitor can see.
type people struct {
	naming
	Members []member
	Keys    []apiKey // that reach this organisation
}

// whoIsThere asks for them.
func (v *visit) whoIsThere() (*people, error) {
	p := &people{}
	err := together(
		func() error { return v.membersHere(p) },
		func() error {
			var own []apiKey
			err := v.get("/auth/keys", &own)
			p.add(own, v.who.Organization.ID)
			if gone(err) { // a key's sign-in, which does not reach the account
				err = nil
			}
			return err
		},
	)
	return p, err
}

// add takes keys of the organisation.
func (p *people) add(keys []apiKey, organization string) {
	for _, key := range keys {
		if key.Organization == organization {
			p.set(key.ID, key.Name)
			p.mu.Lock()
			p.Keys = append(p.Keys, key)
			p.mu.Unlock()
		}
	}
}

func (v *visit) membersHere(p *people) error {
	if v.who.Organization.Personal {
		p.set(v.who.Account, "You")
		return nil
	}
	if err := v.get(path(some("limit", "200"), "organizations", v.who.Organization.ID, "members"), &p.Members); err != nil {
		return err
	}
	var asks []func() error
	for _, m := range p.Members {
		p.set(m.Account, m.Says())
		if m.Kind == serviceAccount {
			asks = append(asks, func() error {
				keys, err := v.keysOf(m.Account)
				if err == nil {
					p.add(keys, v.who.Organization.ID)
				}
				return err
			})
		}
	}
	return together(asks...)
}

// keysOf lists a service account's keys; none for who may not see them.
func (v *visit) keysOf(account string) ([]apiKey, error) {
	var keys []apiKey
	err := v.get(path(nil, "organizations", v.who.Organization.ID, "service-accounts", account, "keys"), &keys)
	for i := range keys { // they reach no other
		keys[i].Organization = v.who.Organization.ID
	}
	if gone(err) {
		err = nil
	}
	return keys, err
}
