package app

// Version is this binary's; a release build sets it.
var Version = "0.1.0-dev"
