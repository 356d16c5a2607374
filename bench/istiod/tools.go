//go:build tools

// Package tools pins what `make bench-istiod` measures Trysail against.
package tools

import _ "istio.io/istio/pilot/cmd/pilot-discovery"
