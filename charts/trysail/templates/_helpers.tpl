{{/* The name of everything of this control plane: one of a revision runs beside the others. */}}
{{- define "trysail.name" -}}
{{- if eq .Values.revision "default" -}}trysail{{- else -}}trysail-{{ .Values.revision }}{{- end -}}
{{- end }}

{{- define "trysail.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "trysail.selector" -}}
app: trysail
istio.io/rev: {{ .Values.revision | quote }}
{{- end }}

{{- define "trysail.labels" -}}
{{ include "trysail.selector" . }}
app.kubernetes.io/name: trysail
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: trysail
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The selector's labels stay whatever `podLabels` say. */}}
{{- define "trysail.podLabels" -}}
{{- $labels := fromYaml (include "trysail.labels" .) }}
{{- $labels = set $labels "sidecar.istio.io/inject" "false" }}
{{- toYaml (mergeOverwrite $labels (.Values.podLabels | default dict) (fromYaml (include "trysail.selector" .))) }}
{{- end }}

{{/* What every container of the chart may do: nothing. */}}
{{- define "trysail.restricted" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
{{- end }}

{{- define "trysail.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Never injected: the program's own list, and what the values add. */}}
{{- define "trysail.ignoredNamespaces" -}}
{{- $always := list "kube-system" "kube-public" "kube-node-lease" "local-path-storage" "trysail-system" .Release.Namespace -}}
{{- concat $always ((.Values.injection | default dict).ignoredNamespaces | default list) | uniq | toJson -}}
{{- end }}

{{/*
What `trysail serve --injection-config` reads; what `injection` says wins over the values with a name of their own.
Before Kubernetes 1.29 a native sidecar is an init container that never ends, and its pod never starts.
*/}}
{{- define "trysail.injectionConfig" -}}
{{- range list "revision" "revisionTags" "enableNamespacesByDefault" }}
{{- if hasKey ($.Values.injection | default dict) . }}
{{- fail (printf "injection.%s would be followed by the control plane and not by its webhooks: set the value %s instead" . .) }}
{{- end }}
{{- end }}
{{- $own := dict
  "revision" .Values.revision
  "revisionTags" (.Values.revisionTags | default list)
  "enableNamespacesByDefault" .Values.enableNamespacesByDefault
  "initImage" (include "trysail.image" .)
  "imagePullPolicy" .Values.image.pullPolicy
  "imagePullSecrets" (.Values.imagePullSecrets | default list)
  "proxyImage" .Values.proxy.image
  "proxyLogLevel" .Values.proxy.logLevel
  "resources" .Values.proxy.resources
  "nativeSidecars" (and .Values.nativeSidecars (semverCompare ">=1.29.0-0" .Capabilities.KubeVersion.Version))
  "clusterId" .Values.multiCluster.clusterName
  "discoveryAddress" (printf "%s.%s.svc:15012" (include "trysail.name" .) .Release.Namespace)
-}}
{{- merge (.Values.injection | default dict | deepCopy) $own | toYaml -}}
{{- end }}
