// Judges certificates by other people's tools, for test/certificates/*.test.ts.
//
//	certificate-check lint FILE...                  what zlint finds in the first certificate of each PEM file
//	certificate-check lint-list FILE...             the same of revocation lists
//	certificate-check handshake SERVER CLIENT ROOT  mutual TLS by Go's own stack
//
// SERVER and CLIENT are PEM files of a chain with its key. What is found is printed as JSON; whatever goes wrong ends
// the program with status 1 and its words on standard error.
package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// Finding is a lint that a file does not pass.
type Finding struct {
	File    string `json:"file"`
	Lint    string `json:"lint"`
	Status  string `json:"status"`
	Details string `json:"details"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("certificate-check lint|lint-list FILE... or handshake SERVER CLIENT ROOT")
	}
	var answer any
	var err error
	switch command := args[0]; {
	case command == "lint":
		answer, err = lintAll(args[1:], "CERTIFICATE", certificateResults)
	case command == "lint-list":
		answer, err = lintAll(args[1:], "X509 CRL", listResults)
	case command == "handshake" && len(args) == 4:
		answer, err = handshake(args[1], args[2], args[3])
	default:
		err = fmt.Errorf("no command %q with %d arguments", command, len(args)-1)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func lintAll(files []string, kind string, results func(der []byte) (*zlint.ResultSet, error)) ([]Finding, error) {
	found := []Finding{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != kind {
			return nil, fmt.Errorf("%s: no %s", file, kind)
		}
		set, err := results(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for name, result := range set.Results {
			if result.Status > lint.Pass {
				found = append(found, Finding{file, name, result.Status.String(), result.Details})
			}
		}
	}
	return found, nil
}

func certificateResults(der []byte) (*zlint.ResultSet, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return zlint.LintCertificate(certificate), nil
}

func listResults(der []byte) (*zlint.ResultSet, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	return zlint.LintRevocationList(list), nil
}
