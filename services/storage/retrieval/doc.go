// Package retrieval finds the passages of documents that answer a question.
package retrieval
