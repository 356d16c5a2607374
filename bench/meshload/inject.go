package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

var body = flag.String("body", "", "file with an AdmissionReview (inject)")

// post sends the request again and again on a connection of its own; each answer must be 200 and hold wanted.
func post(config *tls.Config, request []byte, wanted string, more func() bool, took func(began time.Time)) error {
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
		if head.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(wanted)) {
			return fmt.Errorf("the server answered %s %.400s", head.Status, answer)
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
	head := fmt.Sprintf("POST /inject?timeout=10s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", *target, len(content))
	config := verifying()
	request := append([]byte(head), content...)
	load(func(_ int, more func() bool, took func(time.Time)) error {
		return post(config, request, `"patch"`, more, took)
	})
}
