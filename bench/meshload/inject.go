package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	body    = flag.String("body", "", "file with an AdmissionReview (inject)")
	ca      = flag.String("ca", "", "PEM file that the server's certificate is checked against (inject)")
	warmUp  = flag.Duration("warm-up", time.Second, "how long answers are not counted yet (inject)")
	seconds = flag.Duration("for", 0, "how long answers are counted; 0 counts -n of them (inject)")
)

// review sends one review after the other on a connection of its own, as long as more says so, and tells took of each.
func review(config *tls.Config, request []byte, more func() bool, took func(began time.Time)) error {
	conn, err := tls.Dial("tcp", *target, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 1<<15)
	answer := make([]byte, 0, 1<<15)
	for more() {
		began := time.Now()
		if _, err := conn.Write(request); err != nil {
			return err
		}
		head, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		if head.ContentLength < 0 {
			return errors.New("an answer without a length")
		}
		answer = append(answer[:0], make([]byte, head.ContentLength)...)
		if _, err := io.ReadFull(head.Body, answer); err != nil {
			return err
		}
		took(began)
		if head.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"patch"`)) {
			return fmt.Errorf("the webhook answered %s %.400s", head.Status, answer)
		}
	}
	return nil
}

// inject plays an API server: -clients connections over HTTPS keep-alive, one review at a time on each.
func inject() {
	content, err := os.ReadFile(*body)
	if err != nil {
		log.Fatal(err)
	}
	roots, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	if !config.RootCAs.AppendCertsFromPEM(roots) {
		log.Fatalf("%s holds no certificate", *ca)
	}
	head := fmt.Sprintf("POST /inject?timeout=10s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", *target, len(content))
	request := append([]byte(head), content...)

	counted := time.Now().Add(*warmUp)
	end := counted.Add(*seconds)
	var left atomic.Int64
	left.Store(int64(*count))
	more := func() bool {
		if *seconds > 0 {
			return time.Now().Before(end)
		}
		return left.Add(-1) >= 0
	}
	var mu sync.Mutex
	var times []float64
	took := func(began time.Time) {
		now := time.Now()
		if began.Before(counted) || (*seconds > 0 && now.After(end)) {
			return
		}
		mu.Lock()
		times = append(times, float64(now.Sub(began))/1e6)
		mu.Unlock()
	}
	var wg sync.WaitGroup
	for range *clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := review(config, request, more, took); err != nil {
				log.Fatal(err)
			}
		}()
	}
	wg.Wait()
	elapsed := time.Since(counted)
	if *seconds > 0 {
		elapsed = *seconds
	}
	b, _ := json.Marshal(map[string]any{"mode": "inject", "clients": *clients, "n": len(times), "per_s": float64(len(times)) / elapsed.Seconds(), "p50_ms": pct(times, .5), "p99_ms": pct(times, .99), "max_ms": pct(times, 1)})
	fmt.Println(string(b))
}
