// Package storage keeps people's files: what is known of them in the database, what
// they contain in the blob store.
//
// A content is kept once per organisation, however many of its files have it:
//
//	coming ──> kept ──> leaving ──> (no row)
//	   └───────────────────^
//
// It is coming from before the first byte is stored until its first file's row is
// there, in one transaction; it is leaving from when its last file's row is gone until
// the store has removed it. Whoever dies in between leaves a row that the sweeper finds.
//
// A ticket is a file that somebody may upload by a signed URL. What is uploaded
// through us becomes a file at once; where a store of others takes it (S3), it becomes
// one when it is first asked for.
package storage
