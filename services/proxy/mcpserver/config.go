package mcpserver

// Config is where the endpoint may be called from. Both settings are others' too.
type Config struct {
	PublicURL string   `env:"UAOL_PUBLIC_URL" envDefault:"http://localhost:3000" want:"an http or https URL without query" doc:"address under which clients reach the gateway; tools' authorization servers send people back to it, at /tools/oauth/callback"`
	Origins   []string `env:"UAOL_CORS_ORIGINS" envDefault:"*" want:"origins such as https://app.example.com, separated by commas, or *" doc:"origins whose pages may call this API from a browser, such as https://app.example.com or https://*.example.com"`
}
