package mail

import (
	"context"
	"errors"
)

// Reach signs in to the mail server and leaves: nothing is sent. Its errors hold
// nothing that the server said in words.
func (m *Mailer) Reach(ctx context.Context) error {
	client, err := m.client(ctx)
	if err == nil {
		connected, dialled := client.DialToSMTPClientWithContext(ctx)
		if err = dialled; err == nil {
			_ = client.CloseWithSMTPClient(connected)
		}
	}
	if err != nil {
		return errors.New("the mail server can't be used: " + reason(err))
	}
	return nil
}
