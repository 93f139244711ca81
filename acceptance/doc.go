// Package acceptance asks a running UAOL over HTTP whether it does what it
// promises. Without more it starts its own, all services in one process and
// then each in one of its own. It also asks one that runs elsewhere:
//
//	UAOL_TEST_URL=https://uaol.example.com UAOL_TEST_ADMIN_KEY=uaol_… go test ./acceptance -count=1
//
// That one must reach the tools which the tests serve: UAOL_TEST_HOST is the
// name of this machine as seen from there (default 127.0.0.1), and its
// TOOL_EGRESS_ALLOW has to hold that name. It needs a RATE_LIMIT_PER_MINUTE of
// a few thousand and UAOL_SIGNUPS_PER_HOUR=0.
package acceptance
