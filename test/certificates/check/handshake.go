package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Seen is what each side read in the other's certificate, once its chain was verified.
type Seen struct {
	ByServer []string `json:"byServer"`
	ByClient []string `json:"byClient"`
	Version  string   `json:"version"`
}

const timeout = 10 * time.Second

// handshake connects a client to a server on loopback; each demands a certificate of the other that leads to a root.
func handshake(serverFile, clientFile, rootFile string) (*Seen, error) {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(rootFile)
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", rootFile)
	}
	serverPair, err := tls.LoadX509KeyPair(serverFile, serverFile)
	if err != nil {
		return nil, err
	}
	clientPair, err := tls.LoadX509KeyPair(clientFile, clientFile)
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{serverPair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
		MinVersion:   tls.VersionTLS12,
	})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	type outcome struct {
		uris []string
		err  error
	}
	served := make(chan outcome, 1)
	go func() {
		names, err := serveOne(listener)
		served <- outcome{names, err}
	}()
	client, err := tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", listener.Addr().String(), &tls.Config{
		Certificates: []tls.Certificate{clientPair},
		MinVersion:   tls.VersionTLS12,
		// A SPIFFE id is no host name, so that the chain alone is verified, below.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return verifyServer(state, roots) },
	})
	if err == nil {
		defer client.Close()
		_ = client.SetDeadline(time.Now().Add(timeout))
		// In TLS 1.3 a client is done before the server has judged it.
		_, err = client.Read(make([]byte, 1))
	}
	server := <-served
	if err = errors.Join(err, server.err); err != nil {
		return nil, err
	}
	return &Seen{
		ByServer: server.uris,
		ByClient: uris(client.ConnectionState()),
		Version:  tls.VersionName(client.ConnectionState().Version),
	}, nil
}

// serveOne greets one client that it accepts, and answers its names.
func serveOne(listener net.Listener) ([]string, error) {
	connection, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(timeout))
	if _, err := connection.Write([]byte{'!'}); err != nil {
		return nil, err
	}
	return uris(connection.(*tls.Conn).ConnectionState()), nil
}

func verifyServer(state tls.ConnectionState, roots *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, one := range state.PeerCertificates[1:] {
		intermediates.AddCert(one)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func uris(state tls.ConnectionState) []string {
	names := []string{}
	for _, uri := range state.PeerCertificates[0].URIs {
		names = append(names, uri.String())
	}
	return names
}
