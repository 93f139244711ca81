// Package gateway is the front door: it answers under one address for all
// services. Those in its own process are mounted beside it; requests for the
// others are passed on, with the caller's own credentials.
package gateway
