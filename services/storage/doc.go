// Package storage keeps people's files: what is known of them in the database,
// their contents in the blob store under the file's id.
package storage
