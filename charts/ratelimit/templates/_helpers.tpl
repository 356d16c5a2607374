{{- define "ratelimit.selector" -}}
app: {{ .Release.Name }}
{{- end }}

{{- define "ratelimit.labels" -}}
{{ include "ratelimit.selector" . }}
app.kubernetes.io/name: {{ .Release.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: trysail
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
