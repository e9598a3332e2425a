{{/* The chart's name. */}}
{{- define "reveille.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* What every name begins with. Short enough for what is put behind it. */}}
{{- define "reveille.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "reveille.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "reveille.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Which pods are those of a plane: (list $ "activator"). Never changes, as selectors cannot. */}}
{{- define "reveille.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "reveille.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels of an object of a plane: (list $ "activator"). */}}
{{- define "reveille.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "reveille.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: reveille
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "reveille.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}

{{/* The ServiceAccount of a plane: (list $ "activator"). */}}
{{- define "reveille.serviceAccount" -}}
{{- $root := index . 0 }}{{ $plane := index . 1 -}}
{{- $account := (index $root.Values $plane).serviceAccount -}}
{{- if $account.name }}{{ $account.name }}
{{- else if $account.create }}{{ include "reveille.fullname" $root }}-{{ $plane }}
{{- else }}{{ fail (printf "%s.serviceAccount.name: name one, as none is made" $plane) }}
{{- end }}
{{- end }}

{{/* The same as a user. */}}
{{- define "reveille.user" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ include "reveille.serviceAccount" . }}
{{- end }}

{{/* The Secret of the control port's TLS. */}}
{{- define "reveille.controlSecret" -}}
{{- if .Values.controlTls.existingSecret }}{{ .Values.controlTls.existingSecret }}
{{- else if .Values.controlTls.certManager.enabled }}{{ include "reveille.fullname" . }}-control-certificate
{{- else }}{{ include "reveille.fullname" . }}-control
{{- end }}
{{- end }}

{{- define "reveille.leaseName" -}}
{{ include "reveille.fullname" . }}-leader
{{- end }}

{{- define "reveille.portsConfigMap" -}}
{{ include "reveille.fullname" . }}-ports
{{- end }}

{{/* Not empty if the Scale API is served: once it is said who may call it. */}}
{{- define "reveille.scaleApi" -}}
{{- if and .Values.scaleApi.keys.existingSecret .Values.scaleApi.allowAnonymous }}
{{- fail "scaleApi: either keys.existingSecret or allowAnonymous" }}
{{- end }}
{{- if or .Values.scaleApi.keys.existingSecret .Values.scaleApi.allowAnonymous }}yes{{ end }}
{{- end }}

{{- define "reveille.scaleApiArgs" -}}
{{- if include "reveille.scaleApi" . }}
- --api=0.0.0.0:8080
{{- if .Values.scaleApi.allowAnonymous }}
- --allow-anonymous
{{- else }}
- --keys=/etc/reveille/keys/{{ .Values.scaleApi.keys.key }}
{{- end }}
{{- range .Values.scaleApi.hosts }}
- --api-host={{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* --watch-namespace, once for each. */}}
{{- define "reveille.watchArgs" -}}
{{- range .Values.rbac.namespaces }}
- --watch-namespace={{ . }}
{{- end }}
{{- end }}

{{/* The settings of a pod of a plane that have nothing to do with what it runs: (list $ "activator"). */}}
{{- define "reveille.podSettings" -}}
{{- $root := index . 0 }}{{ $plane := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "reveille.serviceAccount" . }}
automountServiceAccountToken: true
# Variables of Services would be taken for settings: each option is also read from REVEILLE_*.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if not (kindIs "invalid" $root.Values.runAsUser) }}
  runAsUser: {{ int64 $root.Values.runAsUser }}
  runAsGroup: {{ int64 $root.Values.runAsUser }}
  # Reads the keys and tokens that are mounted.
  fsGroup: {{ int64 $root.Values.runAsUser }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with $plane.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $plane.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $plane.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $plane.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Over nodes, each version by itself: (list $ "activator"). */}}
{{- define "reveille.spread" -}}
{{- $root := index . 0 }}{{ $plane := index $root.Values (index . 1) -}}
topologySpreadConstraints:
{{- if $plane.topologySpreadConstraints }}
  {{- toYaml $plane.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "reveille.selector" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* What every container has. */}}
{{- define "reveille.containerSettings" -}}
image: {{ include "reveille.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Probes on the admin port. */}}
{{- define "reveille.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}
