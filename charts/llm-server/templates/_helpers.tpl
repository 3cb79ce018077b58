{{- define "llm-server.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | replace "llm-server-llm-server" "llm-server" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "llm-server.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "llm-server.labels" -}}
{{ include "llm-server.selector" . }}
app.kubernetes.io/component: agent
app.kubernetes.io/part-of: drover
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
drover.dev/cluster: {{ .Values.cluster }}
drover.dev/env: {{ .Values.environment }}
{{- end -}}

{{/* The catalogue's entry of the chosen model, as JSON. */}}
{{- define "llm-server.model" -}}
{{- $found := dict -}}
{{- range (.Files.Get "files/catalogue.json" | fromJson).models -}}
{{- if eq .name $.Values.model }}{{- $found = . -}}{{- end -}}
{{- end -}}
{{- if not $found.name }}{{- fail (printf "model %s is not in the catalogue" .Values.model) -}}{{- end -}}
{{- if and (not $found.file.sha256) (not .Values.allowUnverified) -}}
{{- fail (printf "the catalogue has no sha256 of %s: set allowUnverified to fetch it all the same" .Values.model) -}}
{{- end -}}
{{- if gt (int .Values.contextTokensPerSlot) (int $found.contextTokens) -}}
{{- fail (printf "contextTokensPerSlot is %d, and %s was made for %d" (int .Values.contextTokensPerSlot) .Values.model (int $found.contextTokens)) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/*
Who asks for the model's file: aws, gcp or azure; empty where everybody may. What the address needs and what the values
give have to be the same.
*/}}
{{- define "llm-server.identity" -}}
{{- $uri := (include "llm-server.model" . | fromJson).file.uri -}}
{{- $given := .Values.modelStore.identity -}}
{{- $needed := get (dict "s3" "aws" "gs" "gcp" "az" "azure") (splitList "://" $uri | first) -}}
{{- if and (eq $given "azure") (regexMatch "^https://[a-z0-9]+\\.blob\\.core\\.windows\\.net/[^?]+$" $uri) -}}
{{- $needed = "azure" -}}
{{- end -}}
{{- if and $needed (ne $needed $given) -}}
{{- fail (printf "%s is at %s: modelStore.identity must be %s" .Values.model $uri $needed) -}}
{{- end -}}
{{- $needed -}}
{{- end -}}

{{/* For whom the token of the pod's service account is made that the store's cloud takes; empty: none is mounted. */}}
{{- define "llm-server.audience" -}}
{{- $identity := include "llm-server.identity" . -}}
{{- $gcp := .Values.modelStore.gcp.provider -}}
{{- if eq $identity "aws" }}sts.amazonaws.com
{{- else if eq $identity "azure" }}api://AzureADTokenExchange
{{- else if and (eq $identity "gcp") $gcp }}https:{{ $gcp }}
{{- end -}}
{{- end -}}

{{/* repository@digest; a tag, when given, stays in the name for people. */}}
{{- define "llm-server.image" -}}
{{- if not .digest }}{{- fail (printf "the image %s has no digest: the pipeline writes one, or give it by hand" .repository) -}}{{- end -}}
{{- .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest -}}
{{- end -}}

{{/* What the cloud gives between its notice and the end of a spot node, in seconds. */}}
{{- define "llm-server.noticeSeconds" -}}
{{- get (dict "gcp" 15 "azure" 30 "aws" 120 "local" 3600) .Values.cloud -}}
{{- end -}}

{{- define "llm-server.graceSeconds" -}}
{{- if .Values.spot.enabled -}}
{{- min (int .Values.drain.graceSeconds) (int (include "llm-server.noticeSeconds" .)) -}}
{{- else -}}
{{- int .Values.drain.graceSeconds -}}
{{- end -}}
{{- end -}}

{{/*
MiB of memory: the weights, two bytes for K and for V per layer, head and token of context, and room to compute.
With a GPU the context is in its memory, and the weights pass through ours.
*/}}
{{- define "llm-server.memoryMib" -}}
{{- $model := include "llm-server.model" . | fromJson -}}
{{- $a := $model.architecture -}}
{{- $tokens := mul (int .Values.slots) (int .Values.contextTokensPerSlot) -}}
{{- $kv := mul 4 (int $a.layers) (int $a.kvHeads) (int $a.headDimension) $tokens -}}
{{- $weights := int64 ($model.file.bytes | default 8589934592) -}}
{{- if .Values.gpu.enabled }}{{- $kv = 0 }}{{- end -}}
{{- add 384 (div (add $weights $kv) 1048576) -}}
{{- end -}}

{{- define "llm-server.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end -}}
