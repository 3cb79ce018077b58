{{- define "router.selector" -}}
app.kubernetes.io/name: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "router.labels" -}}
{{ include "router.selector" . }}
app.kubernetes.io/component: {{ .part }}
app.kubernetes.io/part-of: drover
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
drover.dev/env: {{ .root.Values.environment }}
{{- end -}}

{{- define "router.name" -}}
{{- printf "%s-%s" .root.Release.Name .part | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "router.image" -}}
{{- if not .digest }}{{- fail (printf "the image %s has no digest: the pipeline writes one, or give it by hand" .repository) -}}{{- end -}}
{{- .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest -}}
{{- end -}}

{{- define "router.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Everything of a pod that does not depend on which process it runs. */}}
{{- define "router.pod" -}}
automountServiceAccountToken: false
serviceAccountName: {{ include "router.name" . }}
enableServiceLinks: false
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "router.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "router.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* The environment of a process that connects to NATS as `role`. */}}
{{- define "router.natsEnv" -}}
- { name: NATS_URL, value: {{ .root.Values.nats.url | quote }} }
- { name: NATS_NKEY_FILE, value: /nats/nkey/{{ .root.Values.nats.seedKey }} }
- { name: NATS_INBOX_PREFIX, value: _INBOX_{{ .role }} }
{{- if .root.Values.nats.caSecret }}
- { name: NATS_CA_FILE, value: /nats/tls/ca.crt }
{{- end }}
- { name: LOG_LEVEL, value: {{ .root.Values.logLevel }} }
{{- end -}}

{{- define "router.natsMounts" -}}
- { name: nkey, mountPath: /nats/nkey, readOnly: true }
{{- if .root.Values.nats.caSecret }}
- { name: nats-ca, mountPath: /nats/tls, readOnly: true }
{{- end }}
{{- end -}}

{{- define "router.natsVolumes" -}}
- name: nkey
  secret:
    secretName: {{ get .root.Values.nats.seedSecrets .role }}
    defaultMode: 0440
{{- with .root.Values.nats.caSecret }}
- name: nats-ca
  secret:
    secretName: {{ . }}
    items:
      - { key: ca.crt, path: ca.crt }
{{- end }}
{{- end -}}
