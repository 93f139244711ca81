package console

// keyScope is a part of the API that a key can be held to, and what can be done there.
type keyScope struct {
	Area  string
	Read  bool // there is something to read
	Write bool // there is something to change or to do
	Says  string
}

// scopes are those that operations need. They are written down here, and not read from the
// API, for people: a test compares them with its operations.
var scopes = []keyScope{
	{"tools", true, true, "Tools: look for them, register and change one’s own"},
	{"proxy", true, true, "Calls of tools, and what became of them"},
	{"mcp", false, true, "The MCP endpoint"},
	{"profiles", true, true, "Choices of tools for MCP clients"},
	{"jobs", true, true, "Jobs: start, watch, decide, cancel"},
	{"workflows", true, true, "Saved workflows"},
	{"schedules", true, true, "Schedules"},
	{"chat", true, true, "Chat with models, and speech"},
	{"storage", true, true, "Files"},
	{"documents", true, true, "What files say, and search in it"},
	{"credits", true, true, "Credits: balance, usage and history; transfers"},
	{"billing", true, true, "Plan, payments and spend caps"},
	{"receipts", true, false, "Receipts"},
	{"api-keys", true, true, "Keys of model providers"},
	{"organizations", true, true, "The organisation: members, invitations, log"},
	{"invitations", true, true, "Accepting invitations"},
	{"account", true, true, "The account itself: API keys, sign-ins, profile"},
	{"audit", true, false, "The platform’s audit log, for its admins"},
	{"accounts", true, true, "Everybody’s accounts, for the platform’s admins"},
	{"ledger", true, false, "The books of credits, for the platform’s admins"},
	{"events", true, true, "Events that are published, for the platform’s admins"},
	{"configuration", true, false, "Settings of the server, for the platform’s admins"},
}

// Scopes lists the scopes that the console offers, as keys name them.
func Scopes() []string {
	var all []string
	for _, s := range scopes {
		if s.Read {
			all = append(all, s.Area+":read")
		}
		if s.Write {
			all = append(all, s.Area+":write")
		}
	}
	return all
}
