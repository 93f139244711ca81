// Package workflow is the language of workflow definitions: what they may say,
// what their references and conditions mean. It knows no database and no clock.
package workflow
