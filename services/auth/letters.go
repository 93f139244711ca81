package auth

import "uaol/providers/mail"

// The letters, in plain text. Times are those of the links' lives.

func (p *Post) verifyLetter(to, secret string) mail.Message {
	return mail.Message{To: to, Subject: "Confirm your e-mail address", Text: `An account was made with this e-mail address. To confirm that the address is
yours, open this link within a day:

` + p.link("confirm-email", secret) + `

If it was not you, you need not do anything.
`}
}

func (p *Post) changeLetter(to, secret string) mail.Message {
	return mail.Message{To: to, Subject: "Confirm your new e-mail address", Text: `An account shall have this e-mail address from now on. To confirm that the
address is yours, open this link within a day:

` + p.link("confirm-email", secret) + `

If it was not you, you need not do anything: the account keeps its address.
`}
}

func (p *Post) changeNotice(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your e-mail address is about to change", Text: `Somebody who is signed in to your account has asked for another e-mail address.
It changes once the new address has been confirmed.

If it was not you, sign in now, change your password and end all other sign-ins.
`}
}

func (p *Post) resetLetter(to, secret string) mail.Message {
	return mail.Message{To: to, Subject: "Choose a new password", Text: `Somebody asked for a new password for your account. To choose one, open this
link within an hour:

` + p.link("reset-password", secret) + `

If it was not you, you need not do anything: your password stays.
`}
}

func (p *Post) passwordNotice(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your password has changed", Text: `The password of your account has just been changed, and other sign-ins have ended.

If it was not you, ask for a new password at once, and look through your API keys.
`}
}

func (p *Post) deletedNotice(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your account has been deleted", Text: `Your account has just been deleted, as you asked. What belonged to it is being
erased. This address is no longer stored with us.
`}
}
