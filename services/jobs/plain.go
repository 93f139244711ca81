package jobs

import "strings"

const maxMessage = 2000 // runes of a message that is stored

// plain makes a message fit to be stored: others write into it.
func plain(message string) string {
	message = strings.ReplaceAll(strings.ToValidUTF8(message, "\ufffd"), "\x00", "\ufffd")
	if runes := []rune(message); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return message
}
