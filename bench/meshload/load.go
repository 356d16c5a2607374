package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	ca      = flag.String("ca", "", "PEM file that the server's certificate is checked against (inject, csr, csr-http)")
	warmUp  = flag.Duration("warm-up", time.Second, "how long answers are not counted yet (inject, csr, csr-http)")
	seconds = flag.Duration("for", 0, "how long answers are counted; 0 counts -n of them (inject, csr, csr-http)")
)

// worker asks again and again, as long as more says so, and tells took of each answer.
type worker func(i int, more func() bool, took func(began time.Time)) error

// load runs -clients workers and prints what they reached. The first error of any ends the program.
func load(work worker) {
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
	for i := range *clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := work(i, more, took); err != nil {
				log.Fatal(err)
			}
		}()
	}
	wg.Wait()
	elapsed := time.Since(counted)
	if *seconds > 0 {
		elapsed = *seconds
	}
	b, _ := json.Marshal(map[string]any{"mode": *mode, "clients": *clients, "n": len(times), "per_s": float64(len(times)) / elapsed.Seconds(), "p50_ms": pct(times, .5), "p99_ms": pct(times, .99), "max_ms": pct(times, 1)})
	fmt.Println(string(b))
}

// verifying is TLS that trusts -ca alone.
func verifying() *tls.Config {
	roots, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	if !config.RootCAs.AppendCertsFromPEM(roots) {
		log.Fatalf("%s holds no certificate", *ca)
	}
	return config
}
