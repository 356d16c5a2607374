package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	security "istio.io/api/security/v1alpha1"
)

// request is a PEM CSR for -sa of -ns, by a new P-256 key.
func request() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	id, err := url.Parse("spiffe://cluster.local/ns/" + *ns + "/sa/" + *sa)
	if err != nil {
		log.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{id}}, key)
	if err != nil {
		log.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// csr asks for certificates by Istio's gRPC service: -clients workers on -conns connections.
func csr() {
	cred := insecure.NewCredentials()
	if *ca != "" {
		cred = credentials.NewTLS(verifying())
	} else if *useTLS {
		cred = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	connections := make([]security.IstioCertificateServiceClient, *conns)
	for i := range connections {
		c, err := grpc.NewClient(*target, grpc.WithTransportCredentials(cred))
		if err != nil {
			log.Fatal(err)
		}
		connections[i] = security.NewIstioCertificateServiceClient(c)
	}
	c := ctx()
	message := &security.IstioCertificateRequest{Csr: request(), ValidityDuration: 86400}
	load(func(i int, more func() bool, took func(time.Time)) error {
		client := connections[i%len(connections)]
		for more() {
			began := time.Now()
			answer, err := client.CreateCertificate(c, message)
			if err != nil {
				return err
			}
			took(began)
			if len(answer.CertChain) == 0 {
				return errors.New("an answer without a chain")
			}
		}
		return nil
	})
}

// csrHTTP asks for the same by POST /v1/certificates, on a connection for each of -clients workers.
func csrHTTP() {
	config := verifying()
	bearer, err := os.ReadFile(*token)
	if err != nil {
		log.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"csr": request(), "ttlSeconds": 86400})
	if err != nil {
		log.Fatal(err)
	}
	head := fmt.Sprintf("POST /v1/certificates HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", *target, strings.TrimSpace(string(bearer)), len(body))
	content := append([]byte(head), body...)
	load(func(_ int, more func() bool, took func(time.Time)) error {
		return post(config, func() []byte { return content }, "BEGIN CERTIFICATE", more, took)
	})
}
