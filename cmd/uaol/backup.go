package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"uaol/app"
	"uaol/app/backup"
	"uaol/migrations"
	"uaol/providers/config"
	"uaol/providers/postgres"
)

// errLost makes a command fail although it has made a backup.
var errLost = errors.New("the backup is made, but files' contents are missing in it that were missing before")

// secretWord is where a passphrase comes from.
type secretWord struct{ file string }

func (s *secretWord) add(command *cobra.Command) {
	command.Flags().StringVar(&s.file, "passphrase-file", "", "file with the passphrase; default: UAOL_BACKUP_PASSPHRASE, or it is asked for")
}

// get gives the passphrase; one that is new is asked for twice.
func (s *secretWord) get(cmd *cobra.Command, env *config.Environment, fresh bool) (string, error) {
	word, err := s.find(cmd, env, fresh)
	if err == nil && len(word) < backup.MinPassphrase {
		err = fmt.Errorf("a passphrase has %d characters or more", backup.MinPassphrase)
	}
	return word, err
}

func (s *secretWord) find(cmd *cobra.Command, env *config.Environment, fresh bool) (string, error) {
	if s.file != "" {
		text, err := os.ReadFile(s.file)
		return strings.TrimRight(string(text), "\r\n"), err
	}
	cfg, err := config.Parse[backup.Config](env)
	if err != nil || cfg.Passphrase != "" {
		return cfg.Passphrase, err
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", errors.New("a passphrase is needed: set UAOL_BACKUP_PASSPHRASE, or name a file with --passphrase-file")
	}
	word, err := ask(cmd, "Passphrase: ")
	if err != nil || !fresh {
		return word, err
	}
	again, err := ask(cmd, "Once more: ")
	if err == nil && again != word {
		err = errors.New("these are two passphrases")
	}
	return word, err
}

func ask(cmd *cobra.Command, prompt string) (string, error) {
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	text, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return string(text), err
}

func newBackup() *cobra.Command {
	var word secretWord
	var without struct{ secrets, files bool }
	var asJSON bool
	command := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that is kept here into one encrypted file, while it is in use",
		Long: `Write the database's tables, the contents of files and the secrets that open them
into one file, encrypted with a passphrase. Servers go on meanwhile: the tables are
of one moment, and no file's content that they name goes before it is copied.

It finds the database as serve does, by UAOL_DATA_DIR or DATABASE_URL;
UAOL_MIGRATE_DATABASE_URL counts before both. The file is there once it is whole, and
takes the place of an older one of that name. Keep the passphrase: without it nobody
opens the file.

What is elsewhere is not in it: secrets in Vault or AWS, and settings that are not
secrets. It ends with 1, with a backup made, if contents of files could not be read
because they are gone or damaged.`,
		Example: `  uaol backup uaol-$(date +%F).backup --passphrase-file /etc/uaol/passphrase
  uaol backup verify uaol-2026-01-31.backup
  uaol restore uaol-2026-01-31.backup`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := config.Read()
			if err != nil {
				return err
			}
			passphrase, err := word.get(cmd, env, true)
			if err != nil {
				return err
			}
			var made backup.Manifest
			began := time.Now()
			if err := withDirect(cmd, func(ctx context.Context, url string) (err error) {
				made, err = backup.Create(ctx, args[0], backup.Options{
					Env: env, URL: url, Version: app.Version, Passphrase: passphrase,
					WithoutSecrets: without.secrets, WithoutFiles: without.files, Progress: howFar(cmd.ErrOrStderr()),
				})
				return err
			}); err != nil {
				return err
			}
			if err := tell(cmd, asJSON, made, "Backed up to "+args[0], began); err != nil {
				return err
			}
			for _, id := range made.Missing {
				fmt.Fprintf(cmd.ErrOrStderr(), "lost before: content %s\n", id)
			}
			if made.Lost > 0 {
				return errLost
			}
			return nil
		},
	}
	word.add(command)
	command.Flags().BoolVar(&without.secrets, "without-secrets", false, "leave the secrets out: only who has them can restore")
	command.Flags().BoolVar(&without.files, "without-files", false, "leave files' contents out, where their bucket is backed up itself")
	command.Flags().BoolVar(&asJSON, "json", false, "what is in it, for machines")
	command.AddCommand(newBackupVerify(), newBackupSecrets())
	return command
}

func newBackupVerify() *cobra.Command {
	var word secretWord
	var asJSON bool
	command := &cobra.Command{
		Use:     "verify FILE",
		Short:   "Read a backup to its end and check that it is whole",
		Example: `  uaol backup verify uaol-2026-01-31.backup`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			began := time.Now()
			return withBackup(cmd, &word, args[0], func(r *backup.Reader) error {
				m, err := backup.Verify(r)
				if err != nil {
					return err
				}
				return tell(cmd, asJSON, m, fmt.Sprintf("Whole: a backup of %s by uaol %s", r.At.UTC().Format(time.RFC3339), r.Version), began)
			})
		},
	}
	word.add(command)
	command.Flags().BoolVar(&asJSON, "json", false, "what is in it, for machines")
	return command
}

func newBackupSecrets() *cobra.Command {
	var word secretWord
	command := &cobra.Command{
		Use:     "secrets FILE",
		Short:   "Print the secrets that a backup holds, as lines of an .env file",
		Example: `  uaol backup secrets uaol-2026-01-31.backup >> .env`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBackup(cmd, &word, args[0], func(r *backup.Reader) error {
				if len(r.Secrets) == 0 {
					return errors.New("the backup was made without secrets")
				}
				_, err := io.WriteString(cmd.OutOrStdout(), r.EnvFile())
				return err
			})
		},
	}
	word.add(command)
	return command
}

// withBackup opens a backup for f.
func withBackup(cmd *cobra.Command, word *secretWord, name string, f func(*backup.Reader) error) error {
	env, err := config.Read()
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	passphrase, err := word.get(cmd, env, false)
	if err != nil {
		return err
	}
	r, err := backup.NewReader(file, passphrase)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	if err = f(r); errors.Is(err, backup.ErrDamaged) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return err
}

// withDirect runs f on the database, over the connection that migrations take, until it is
// told to stop.
func withDirect(cmd *cobra.Command, f func(ctx context.Context, url string) error) (err error) {
	ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	url, _, release, err := database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	env, err := config.Read()
	if err != nil {
		return err
	}
	cfg, err := config.Parse[migrations.Config](env)
	if err != nil {
		return err
	}
	if cfg.URL != "" {
		url = cfg.URL
	}
	err = f(ctx, url)
	if ctx.Err() != nil && cmd.Context().Err() == nil {
		return errors.New("it was stopped: nothing was made")
	}
	var answer *pgconn.PgError
	var connect *pgconn.ConnectError
	if errors.As(err, &answer) || errors.As(err, &connect) {
		return errors.New("DATABASE_URL: " + postgres.Cause(err))
	}
	return err
}

// howFar writes how far it has come, every few seconds.
func howFar(to io.Writer) func(backup.Progress) {
	last := time.Now()
	return func(p backup.Progress) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		if p.Table != "" {
			fmt.Fprintf(to, "%s … %d rows so far\n", p.Table, p.Rows)
			return
		}
		fmt.Fprintf(to, "files … %d, %s so far\n", p.Contents, megabytes(p.Bytes))
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func tell(cmd *cobra.Command, asJSON bool, m backup.Manifest, what string, began time.Time) error {
	if asJSON {
		return newTerminal(cmd).json(m)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d rows of %d tables, %d contents of files (%s), in %s.\n",
		what, m.Rows(), len(m.Tables), m.Contents, megabytes(m.Bytes), backup.Took(began))
	return err
}
