{{/* The gateway's name, from the release where the values say none. */}}
{{- define "gateway.name" -}}
{{ .Values.name | default .Release.Name }}
{{- end }}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "gateway.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/*
What Gateway objects select by. Of the name `istio-ingressgateway` the label is `istio: ingressgateway`, as every
example for Istio has it; `labels` may say another, as in Istio's chart.
*/}}
{{- define "gateway.selector" -}}
app: {{ (.Values.labels | default dict).app | default (include "gateway.name" .) | quote }}
istio: {{ (.Values.labels | default dict).istio | default (include "gateway.name" . | trimPrefix "istio-") | quote }}
{{- end }}

{{- define "gateway.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/name" (include "gateway.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "trysail"
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
}}
{{- $labels = mergeOverwrite $labels (.Values.labels | default dict) (fromYaml (include "gateway.selector" .)) }}
{{- with .Values.networkGateway }}
{{- $labels = set $labels "topology.istio.io/network" . }}
{{- end }}
{{- toYaml $labels }}
{{- end }}

{{/* The selector's labels stay whatever `podLabels` say: the Deployment would else not find its own pods. */}}
{{- define "gateway.podLabels" -}}
{{- $labels := fromYaml (include "gateway.labels" .) }}
{{- $labels = set $labels "sidecar.istio.io/inject" "true" }}
{{- with .Values.revision }}
{{- $labels = set $labels "istio.io/rev" . }}
{{- end }}
{{- toYaml (mergeOverwrite $labels (.Values.podLabels | default dict) (fromYaml (include "gateway.selector" .))) }}
{{- end }}

{{/* The ports of an ingress, or what Istio's chart gives to a gateway between networks. */}}
{{- define "gateway.ports" -}}
{{- if .Values.service.ports }}
{{- toYaml .Values.service.ports }}
{{- else if .Values.networkGateway -}}
- {name: status-port, port: 15021, protocol: TCP, targetPort: 15021}
- {name: tls, port: 15443, protocol: TCP, targetPort: 15443}
- {name: tls-istiod, port: 15012, protocol: TCP, targetPort: 15012}
- {name: tls-webhook, port: 15017, protocol: TCP, targetPort: 15017}
{{- else -}}
- {name: status-port, port: 15021, protocol: TCP, targetPort: 15021}
- {name: http2, port: 80, protocol: TCP, targetPort: 80}
- {name: https, port: 443, protocol: TCP, targetPort: 443}
{{- end }}
{{- end }}
