package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"compress/gzip"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"uaol/providers/config"
	"uaol/providers/keyring"
	"uaol/providers/secrets"
	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
	"uaol/services/billing/receipts"
)

// errFindings makes a command fail after it has said why.
var errFindings = errors.New("the books do not add up")

// trust are flags that say whose signatures count.
type trust struct {
	keys    []string
	command *cobra.Command
}

func (t *trust) add(command *cobra.Command) {
	t.command = command
	command.Flags().StringSliceVar(&t.keys, "key", nil, "public key that counts (ed25519:…), instead of those of this machine's settings; may be repeated")
}

// keys are the public keys that count: the given ones, or those of the settings.
func (t *trust) trusted() (chain.Trusted, error) {
	var public []chain.Public
	for _, text := range t.keys {
		key, err := chain.ParsePublic(text)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		public = append(public, key)
	}
	if len(public) > 0 {
		return chain.NewTrusted(public...), nil
	}
	if t.command.Flags().Changed("key") { // it was to come from a command that failed, most likely
		return nil, errors.New("--key is empty; uaol ledger key and GET /receipts/key tell the server's")
	}
	_, trusted, err := ledgerKeys()
	return trusted, err
}

// ledgerKeys are those of this machine's settings. It makes none: a key that is
// made here signed nothing.
func ledgerKeys() (*chain.Key, chain.Trusted, error) {
	env, err := config.Read()
	if err != nil {
		return nil, nil, err
	}
	ringConfig, err := config.Parse[keyring.Config](env)
	if err != nil {
		return nil, nil, err
	}
	if ringConfig.Secret == "" && !secrets.Has(ringConfig.DataDir, keyring.Kept) {
		return nil, nil, fmt.Errorf("no server has run on %s, so its key is not known here; name the server's public key with --key, or its directory in UAOL_DATA_DIR", ringConfig.DataDir)
	}
	ring, err := keyring.New(ringConfig, zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	cfg, err := config.Parse[ledger.Config](env)
	if err != nil {
		return nil, nil, err
	}
	return ledger.Keys(cfg, ring)
}

func newLedger() *cobra.Command {
	command := &cobra.Command{Use: "ledger", Short: "Look whether the books of credits add up and were not changed"}
	command.AddCommand(newLedgerVerify(), newLedgerExport(), newLedgerKey())
	return command
}

func newLedgerVerify() *cobra.Command {
	var t trust
	var from string
	var heads []string
	var asJSON bool
	command := &cobra.Command{
		Use:   "verify",
		Short: "Check balances, sums, holds and the chain of seals",
		Long: `Check balances, sums, holds, who spent, and the chain of seals over the books of
credits, in the database or in a copy that uaol ledger export made.

A history that was written anew with full access to the database is found by the
signatures, which need a key that is not in there. Written anew with the key as
well, it is found by an older head of the chain that somebody has kept: heads are
in the log ("ledger sealed"), in UAOL_LEDGER_HEAD_FILE and at
UAOL_LEDGER_HEAD_WEBHOOK. The file of this machine's settings is read if it is there.

It ends with 1 when something is wrong.`,
		Example: `  uaol ledger verify
  uaol ledger verify --head heads.jsonl
  uaol ledger verify --file books.jsonl.gz --key ed25519:…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trusted, err := t.trusted()
			if err != nil {
				return err
			}
			published, err := headsOf(heads)
			if err != nil {
				return err
			}
			options := ledger.Options{Trusted: trusted, Heads: published}
			if from != "" {
				return verify(cmd, ledger.File(from), options, asJSON)
			}
			return withTables(cmd.Context(), services.Billing, func(pool *pgxpool.Pool) error {
				return verify(cmd, ledger.Database(pool), options, asJSON)
			})
		},
	}
	t.add(command)
	command.Flags().StringVar(&from, "file", "", "a copy of the books, instead of the database")
	command.Flags().StringSliceVar(&heads, "head", nil, "a file of published heads, one JSON object a line; may be repeated")
	command.Flags().BoolVar(&asJSON, "json", false, "the report as JSON")
	return command
}

func verify(cmd *cobra.Command, source ledger.Source, options ledger.Options, asJSON bool) error {
	report, err := ledger.Verify(cmd.Context(), source, options)
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	} else {
		_, err = io.WriteString(cmd.OutOrStdout(), report.String())
	}
	if err == nil && !report.OK() {
		err = errFindings
	}
	return err
}

// headsOf reads published heads; without any file named, those that the settings keep.
func headsOf(files []string) (heads []chain.Head, err error) {
	if len(files) == 0 {
		env, err := config.Read()
		if err != nil {
			return nil, err
		}
		cfg, err := config.Parse[ledger.Config](env)
		if err != nil {
			return nil, err
		}
		return ledger.Kept(cfg)
	}
	for _, name := range files {
		found, err := ledger.Heads(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case len(found) == 0:
			return nil, fmt.Errorf("%s: there is no head in it", name)
		}
		heads = append(heads, found...)
	}
	return heads, nil
}

func newLedgerExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE",
		Short: "Copy the books to a file that can be checked elsewhere",
		Long: `Copy the books of credits to a file, as lines of JSON, compressed if its name
ends in .gz; - writes to standard output. It names organisations by their ids and
people by the ids of their accounts and keys, until they are erased: then a copy made
before still does. Check it with uaol ledger verify --file.`,
		Example: `  uaol ledger export books.jsonl.gz`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTables(cmd.Context(), services.Billing, func(pool *pgxpool.Pool) error {
				return exportTo(cmd.Context(), pool, args[0], cmd.OutOrStdout())
			})
		},
	}
}

// exportTo writes a copy under a name that is only taken when all is there.
func exportTo(ctx context.Context, pool *pgxpool.Pool, name string, stdout io.Writer) (err error) {
	if name == "-" {
		return ledger.Export(ctx, ledger.Database(pool), stdout)
	}
	partial := name + ".partial"
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err == nil {
			err = os.Rename(partial, name)
		} else {
			_ = os.Remove(partial)
		}
	}()
	buffer := bufio.NewWriter(file)
	if !strings.HasSuffix(name, ".gz") {
		return errors.Join(ledger.Export(ctx, ledger.Database(pool), buffer), buffer.Flush())
	}
	packed := gzip.NewWriter(buffer)
	return errors.Join(ledger.Export(ctx, ledger.Database(pool), packed), packed.Close(), buffer.Flush())
}

func newLedgerKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print the public key that seals and receipts are signed with",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, _, err := ledgerKeys()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key.Public())
			return err
		},
	}
}

func newReceipt() *cobra.Command {
	command := &cobra.Command{Use: "receipt", Short: "Check receipts of calls and jobs"}
	var t trust
	check := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a receipt, without asking anybody",
		Long: `Check a receipt that GET /receipts/ID gave: its signature, its sums, that its
entries are in the chain over the books, and that who asked is whom they commit to. - reads standard input. Elsewhere than
on the server's machine, --key names the server's public key, which
uaol ledger key and GET /receipts/key tell.`,
		Example: `  curl -s localhost:3000/receipts/$ID -H "X-API-Key: $KEY" | uaol receipt verify - --key ed25519:…`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			trusted, err := t.trusted()
			if err != nil {
				return err
			}
			text, err := readAll(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			receipt, err := receipts.Parse(text)
			if err != nil {
				return err
			}
			if err := receipt.Verify(trusted); err != nil {
				return err
			}
			sealed := "and are in the chain"
			if !receipt.Sealed {
				sealed = "some of them not sealed yet when it was issued"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The receipt of %s %s is good: %d credits charged of %d held, %d released, %d refunded; %d entries, %s.\n%s\n",
				receipt.Kind, receipt.ID, receipt.Charged, receipt.Held, receipt.Released, receipt.Refunded, len(receipt.Entries), sealed, askedBy(receipt))
			return err
		},
	}
	t.add(check)
	command.AddCommand(check)
	return command
}

// askedBy says who asked, and on whose word.
func askedBy(r receipts.Receipt) string {
	if r.Account == nil {
		return "Who asked is not named."
	}
	who := "account " + r.Account.String()
	if r.Key != nil {
		who += " with key " + r.Key.String()
	}
	if r.Committed() {
		return "Its entries commit to who asked: " + who + "."
	}
	return "Who asked is the server's word alone: " + who + "."
}

const receiptMost = 64 << 20 // bytes

func readAll(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, receiptMost))
	}
	return os.ReadFile(name)
}
