package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	body        = flag.String("body", "", "file with an AdmissionReview; bench/review-template.ts says what differs from pod to pod (inject)")
	deployments = flag.Uint64("deployments", 1, "how many there are whose pods come in turn; 0 makes each pod another's (inject)")
)

// post sends request() again and again on a connection of its own; each answer must be 200 and hold wanted.
func post(config *tls.Config, request func() []byte, wanted string, more func() bool, took func(began time.Time)) error {
	conn, err := tls.Dial("tcp", *target, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 1<<15)
	content := bytes.NewBuffer(make([]byte, 0, 1<<15))
	for more() {
		next := request()
		began := time.Now()
		if _, err := conn.Write(next); err != nil {
			return err
		}
		head, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		content.Reset()
		if _, err := content.ReadFrom(head.Body); err != nil {
			return err
		}
		took(began)
		if head.StatusCode != http.StatusOK || !bytes.Contains(content.Bytes(), []byte(wanted)) {
			return fmt.Errorf("the server answered %s %.400s", head.Status, content.Bytes())
		}
	}
	return nil
}

// A placeholder is a text that stands for a number, at the places where it was found.
type placeholder struct {
	text   string
	base   int
	places []int
}

func findPlaceholder(in []byte, text string, base int) placeholder {
	found := placeholder{text: text, base: base}
	for at := 0; ; {
		next := bytes.Index(in[at:], []byte(text))
		if next < 0 {
			return found
		}
		found.places = append(found.places, at+next)
		at += next + len(text)
	}
}

// write keeps the length: leading zeros fill it, and leading digits that are too many are lost.
func (p placeholder) write(into []byte, number uint64) {
	digits := strings.Repeat("0", len(p.text)) + strconv.FormatUint(number, p.base)
	for _, at := range p.places {
		copy(into[at:], digits[len(digits)-len(p.text):])
	}
}

// inject plays an API server: -clients connections over HTTPS keep-alive, one review at a time on each. Each review is of
// a pod of its own, and pods of the Deployments come in turn.
func inject() {
	content, err := os.ReadFile(*body)
	if err != nil {
		log.Fatal(err)
	}
	head := fmt.Sprintf("POST /inject?timeout=10s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: %d\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n", *target, len(content))
	config := verifying()
	template := append([]byte(head), content...)
	uid := findPlaceholder(template, "UUUUUUUUUUUU", 16)
	volume := findPlaceholder(template, "VVVVV", 36)
	deployment := findPlaceholder(template, "DDDDDDDD", 16)
	var reviews atomic.Uint64
	reviews.Store(uint64(time.Now().UnixMicro())) // no run repeats what another asked
	load(func(_ int, more func() bool, took func(time.Time)) error {
		request := bytes.Clone(template)
		return post(config, func() []byte {
			number := reviews.Add(1)
			uid.write(request, number)
			volume.write(request, number)
			if *deployments > 0 {
				deployment.write(request, number%*deployments)
			} else {
				deployment.write(request, number)
			}
			return request
		}, `"patch"`, more, took)
	})
}
