{{- define "ratelimit.selector" -}}
app: {{ .Release.Name | quote }}
{{- end }}

{{- define "ratelimit.labels" -}}
{{ include "ratelimit.selector" . }}
app.kubernetes.io/name: {{ .Release.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: trysail
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The selector's labels stay whatever `podLabels` say. */}}
{{- define "ratelimit.podLabels" -}}
{{- $labels := fromYaml (include "ratelimit.labels" .) }}
{{- $labels = set $labels "sidecar.istio.io/inject" "true" }}
{{- with .Values.revision }}
{{- $labels = set $labels "istio.io/rev" . }}
{{- end }}
{{- toYaml (mergeOverwrite $labels (.Values.podLabels | default dict) (fromYaml (include "ratelimit.selector" .))) }}
{{- end }}
